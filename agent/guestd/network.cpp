#include "network.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

struct Settings {
  in_addr address{};
  in_addr mask{};
  in_addr gateway{};
  bool has_address = false;
  bool has_gateway = false;
  std::array<unsigned char, 6> mac{};
  bool has_mac = false;
};

wire::Done invalid(std::string_view what, std::string_view value) {
  return {EINVAL, cat({"'", value, "' is not a valid ", what})};
}

int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

bool parse_mac(std::string_view text, std::array<unsigned char, 6>& mac) {
  if (text.size() != 17) return false;
  for (std::size_t i = 0; i < mac.size(); ++i) {
    const int high = hex_value(text[3 * i]);
    const int low = hex_value(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return false;
    mac[i] = static_cast<unsigned char>(high * 16 + low);
  }
  // The lowest bit of the first byte makes it a group's address.
  return (mac[0] & 1) == 0;
}

bool parse_cidr(const std::string& text, in_addr& address, in_addr& mask) {
  const std::size_t slash = text.find('/');
  unsigned long bits = 0;
  if (slash == std::string::npos || !parse_number(std::string_view{text}.substr(slash + 1), 32, bits)) return false;
  mask.s_addr = bits == 0 ? 0 : htonl(0xFFFFFFFFU << (32 - bits));
  return inet_pton(AF_INET, text.substr(0, slash).c_str(), &address) == 1;
}

wire::Done parse(const wire::Configure& request, Settings& settings) {
  if (request.interface.empty() || request.interface.size() >= IFNAMSIZ)
    return invalid("name of a network interface", request.interface);
  settings.has_address = !request.address.empty();
  if (settings.has_address && !parse_cidr(request.address, settings.address, settings.mask))
    return invalid("address with prefix length, like 172.16.0.5/24", request.address);
  settings.has_gateway = !request.gateway.empty();
  if (settings.has_gateway && inet_pton(AF_INET, request.gateway.c_str(), &settings.gateway) != 1)
    return invalid("gateway address", request.gateway);
  if (settings.has_gateway && !settings.has_address)
    return invalid("gateway for an interface without address", request.gateway);
  settings.has_mac = !request.mac.empty();
  if (settings.has_mac && !parse_mac(request.mac, settings.mac)) return invalid("hardware address", request.mac);
  return {};
}

sockaddr_in socket_address(in_addr address) {
  sockaddr_in result{};
  result.sin_family = AF_INET;
  result.sin_addr = address;
  return result;
}

/// ioctl(2) requests about one interface, up to the first failure.
class Interface {
 public:
  explicit Interface(const std::string& name) : socket_{socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}, name_{name} {
    if (!socket_.open()) fail("open a socket");
  }

  void set_up(bool up) {
    ifreq request = make_request();
    if (!call(SIOCGIFFLAGS, &request, "find it")) return;
    const short flags = request.ifr_flags;
    request.ifr_flags = static_cast<short>(up ? flags | IFF_UP : flags & ~IFF_UP);
    if (request.ifr_flags != flags) call(SIOCSIFFLAGS, &request, up ? "start it" : "stop it");
  }
  [[nodiscard]] bool is_up() {
    ifreq request = make_request();
    return call(SIOCGIFFLAGS, &request, "find it") && (request.ifr_flags & IFF_UP) != 0;
  }
  void set_mac(const std::array<unsigned char, 6>& mac) {
    ifreq request = make_request();
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::copy(mac.begin(), mac.end(), request.ifr_hwaddr.sa_data);
    call(SIOCSIFHWADDR, &request, "set its hardware address");
  }
  void set_address(in_addr address, in_addr mask) {
    ifreq request = make_request();
    const sockaddr_in own = socket_address(address);
    std::memcpy(&request.ifr_addr, &own, sizeof own);
    call(SIOCSIFADDR, &request, "set its address");
    const sockaddr_in netmask = socket_address(mask);
    std::memcpy(&request.ifr_netmask, &netmask, sizeof netmask);
    call(SIOCSIFNETMASK, &request, "set its network mask");
  }
  void set_gateway(in_addr gateway) {
    rtentry route{};
    const sockaddr_in anywhere = socket_address({});
    const sockaddr_in next = socket_address(gateway);
    std::memcpy(&route.rt_dst, &anywhere, sizeof anywhere);
    std::memcpy(&route.rt_genmask, &anywhere, sizeof anywhere);
    std::memcpy(&route.rt_gateway, &next, sizeof next);
    std::string device = name_;
    route.rt_dev = device.data();
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    call(SIOCADDRT, &route, "set its route");
  }
  [[nodiscard]] const wire::Done& outcome() const { return outcome_; }

 private:
  ifreq make_request() const {
    ifreq request{};
    std::copy(name_.begin(), name_.end(), request.ifr_name);
    return request;
  }
  void fail(std::string_view what) {
    const int error = errno;
    outcome_ = {error, cat({"network interface '", name_, "': cannot ", what, ": ", error_text(error)})};
  }
  bool call(unsigned long number, void* argument, std::string_view what) {
    if (outcome_.error != 0) return false;
    if (ioctl(socket_.get(), number, argument) == 0) return true;
    fail(what);
    return false;
  }

  OwnedFd socket_;
  std::string name_;
  wire::Done outcome_;
};

}  // namespace

void warm_up_interfaces() {
  const std::unique_ptr<struct if_nameindex, void (*)(struct if_nameindex*)> all{if_nameindex(), if_freenameindex};
  for (const auto* entry = all.get(); entry != nullptr && entry->if_index != 0; ++entry) {
    Interface interface { entry->if_name };
    if (interface.is_up()) continue;
    interface.set_up(true);
    interface.set_up(false);
  }
}

wire::Done check_interface(const wire::Configure& request) {
  Settings settings;
  return parse(request, settings);
}

wire::Done configure_interface(const wire::Configure& request) {
  Settings settings;
  wire::Done checked = parse(request, settings);
  if (checked.error != 0) return checked;
  Interface interface { request.interface };
  // Down first: that drops the routes and neighbours of the machine that this one was before.
  interface.set_up(false);
  if (settings.has_mac) interface.set_mac(settings.mac);
  if (settings.has_address) {
    interface.set_address(settings.address, settings.mask);
    interface.set_up(true);
    if (settings.has_gateway) interface.set_gateway(settings.gateway);
  }
  return interface.outcome();
}

}  // namespace fireclaw::guestd
