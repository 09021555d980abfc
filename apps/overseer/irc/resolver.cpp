#include "irc/resolver.hpp"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <poll.h>
#include <sys/eventfd.h>

#include <cerrno>
#include <cstring>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "irc/text.hpp"

namespace fireclaw::overseer {

struct Lookup::Shared {
  cli::Fd done{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
  std::mutex mutex;
  Result result;
};

namespace {

Lookup::Result look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  Lookup::Result result;
  const int error = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) {
    result.problem = fmt::format("host '{}' is not known: {}", host,
                                 error == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(error));
    return result;
  }
  for (const auto* one = found; one != nullptr; one = one->ai_next) {
    SocketAddress address;
    if (one->ai_addrlen > sizeof address.storage) continue;
    std::memcpy(&address.storage, one->ai_addr, one->ai_addrlen);
    address.size = one->ai_addrlen;
    result.addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  return result;
}

/// IPv4 ones as IPv6 has them.
std::optional<in6_addr> parse_address(const std::string& text) {
  in6_addr address{};
  if (::inet_pton(AF_INET6, text.c_str(), &address) == 1) return address;
  if (::inet_pton(AF_INET6, ("::ffff:" + text).c_str(), &address) == 1) return address;
  return std::nullopt;
}

std::optional<in6_addr> address_of(const sockaddr* address) {
  in6_addr out{};
  if (address != nullptr && address->sa_family == AF_INET6) {
    return reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  }
  if (address == nullptr || address->sa_family != AF_INET) return std::nullopt;
  out.s6_addr[10] = out.s6_addr[11] = 0xFF;
  std::memcpy(out.s6_addr + 12, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr, 4);
  return out;
}

bool is_of_an_interface(const in6_addr& address) {
  ifaddrs* all = nullptr;
  if (::getifaddrs(&all) != 0) return false;
  bool found = false;
  for (const auto* one = all; one != nullptr && !found; one = one->ifa_next) {
    const auto own = address_of(one->ifa_addr);
    found = own && IN6_ARE_ADDR_EQUAL(&*own, &address);
  }
  ::freeifaddrs(all);
  return found;
}

}  // namespace

bool is_own_host(const std::string& host) {
  if (is_loopback_name(host)) return true;
  const auto address = parse_address(host);
  if (!address) return false;
  const bool mapped_loopback = IN6_IS_ADDR_V4MAPPED(&*address) && address->s6_addr[12] == 127;
  return IN6_IS_ADDR_LOOPBACK(&*address) || mapped_loopback || is_of_an_interface(*address);
}

bool SocketAddress::is_loopback() const {
  if (storage.ss_family == AF_INET) {
    const auto& address = reinterpret_cast<const sockaddr_in&>(storage);
    return (ntohl(address.sin_addr.s_addr) >> 24) == 127;
  }
  const auto& address = reinterpret_cast<const sockaddr_in6&>(storage);
  return storage.ss_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address.sin6_addr);
}

bool is_loopback_name(const std::string& host) {
  if (fold(host) == "localhost") return true;
  in_addr v4{};
  in6_addr v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return ::inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

Lookup::Lookup(EventLoop& loop, const std::string& host, std::uint16_t port, std::function<void(Result)> done)
    : loop_{loop}, shared_{std::make_shared<Shared>()} {
  if (!shared_->done) throw std::system_error{errno, std::generic_category(), "eventfd"};
  watching_ = loop_.watch(shared_->done.get(), POLLIN, [this, done = std::move(done)](short) {
    loop_.cancel(watching_);
    Result result;
    {
      const std::scoped_lock lock{shared_->mutex};
      result = std::move(shared_->result);
    }
    done(std::move(result));
  });
  // getaddrinfo() cannot be called off, so the thread belongs to nobody: what it touches is its own share.
  std::thread{[shared = shared_, host, port] {
    auto result = look_up(host, port);
    {
      const std::scoped_lock lock{shared->mutex};
      shared->result = std::move(result);
    }
    const std::uint64_t one = 1;
    if (::write(shared->done.get(), &one, sizeof one) != sizeof one) return;
  }}.detach();
}

Lookup::~Lookup() { loop_.cancel(watching_); }

}  // namespace fireclaw::overseer
