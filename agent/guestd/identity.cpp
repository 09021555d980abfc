#include "identity.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <vector>

#include "boot/failure.hpp"
#include "network.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr const char* boot_id_path = "/proc/sys/kernel/random/boot_id";
constexpr const char* own_boot_id_path = "/run/fireclaw/boot_id";
/// Ends the lines of /etc/hosts that are ours to replace.
constexpr std::string_view hosts_mark = "# this machine, by fireclaw";

wire::Done invalid(std::string_view what, std::string_view value) {
  return {EINVAL, cat({"'", value, "' is not a valid ", what})};
}

bool is_hostname(std::string_view name) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.';
  };
  return !name.empty() && name.size() <= 64 && name.front() != '-' && name.front() != '.' &&
         std::all_of(name.begin(), name.end(), fits);
}

bool is_machine_id(std::string_view id) {
  const auto fits = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  return id.size() == 32 && std::all_of(id.begin(), id.end(), fits);
}

bool is_ip(const std::string& text) {
  in6_addr any{};
  return inet_pton(AF_INET, text.c_str(), &any) == 1 || inet_pton(AF_INET6, text.c_str(), &any) == 1;
}

/// A file of /etc, made again: also where the image has a link to something that is not there.
wire::Done replace_file(const char* path, std::string_view content) {
  struct stat status {};
  mkdir("/etc", 0755);  // missing in an image that is one program
  if (lstat(path, &status) == 0 && !S_ISREG(status.st_mode)) unlink(path);
  return write_file(path, content) ? wire::Done{} : failure(cat({"write ", path}));
}

wire::Done add_entropy(const std::string& entropy) {
  const OwnedFd device{open("/dev/urandom", O_RDWR | O_CLOEXEC)};
  if (!device.open()) return failure("open /dev/urandom");
  std::vector<int> request(2 + (entropy.size() + sizeof(int) - 1) / sizeof(int));
  request[0] = static_cast<int>(entropy.size() * 8);
  request[1] = static_cast<int>(entropy.size());
  std::memcpy(request.data() + 2, entropy.data(), entropy.size());
  if (ioctl(device.get(), RNDADDENTROPY, request.data()) < 0) return failure("add entropy");
  if (ioctl(device.get(), RNDRESEEDCRNG) < 0) return failure("reseed the random number generator");
  return {};
}

/// A boot id of this clone's own over the kernel's, which every clone of a snapshot has in common.
wire::Done renew_boot_id() {
  std::array<unsigned char, 16> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size()))
    return failure("draw a boot id");
  random[6] = static_cast<unsigned char>((random[6] & 0x0F) | 0x40);
  random[8] = static_cast<unsigned char>((random[8] & 0x3F) | 0x80);
  std::string id;
  for (std::size_t i = 0; i < random.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) id += '-';
    id += "0123456789abcdef"[random[i] >> 4];
    id += "0123456789abcdef"[random[i] & 15];
  }
  id += '\n';
  const bool first = access(own_boot_id_path, F_OK) != 0;
  mkdir("/run/fireclaw", 0755);
  if (!write_file(own_boot_id_path, id, 0444)) return failure("write the boot id");
  if (first && mount(own_boot_id_path, boot_id_path, nullptr, MS_BIND, nullptr) < 0) return failure("set the boot id");
  return {};
}

/// Whether a line of /etc/hosts gives "localhost" the address 127.0.0.1.
bool names_localhost(std::string_view line) {
  line = line.substr(0, line.find('#'));
  bool address = false;
  for (bool first = true; !line.empty();) {
    const std::size_t begin = line.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) break;
    line.remove_prefix(begin);
    const std::string_view word = line.substr(0, line.find_first_of(" \t\r"));
    line.remove_prefix(word.size());
    if (first) address = word == "127.0.0.1";
    if (!first && address && word == "localhost") return true;
    first = false;
  }
  return false;
}

wire::Done write_hosts(const std::string& hostname) {
  std::string old;
  read_file("/etc/hosts", old);
  std::string hosts;
  bool has_localhost = false;
  for (const std::string_view line : split(old, '\n')) {
    if (line.find(hosts_mark) != std::string_view::npos) continue;
    has_localhost = has_localhost || names_localhost(line);
    hosts += cat({line, "\n"});
  }
  // Servers bind to it, also in images whose file says nothing of it.
  if (!has_localhost) hosts = cat({"127.0.0.1 localhost\n::1 localhost\n", hosts});
  hosts += cat({"127.0.1.1 ", hostname, " ", hosts_mark, "\n"});
  return replace_file("/etc/hosts", hosts);
}

wire::Done set_hostname(const std::string& hostname) {
  if (sethostname(hostname.data(), hostname.size()) < 0) return failure("set the host name");
  const wire::Done written = replace_file("/etc/hostname", cat({hostname, "\n"}));
  return written.error != 0 ? written : write_hosts(hostname);
}

constexpr const char* resolver_path = "/etc/resolv.conf";

wire::Done write_nameservers(const std::vector<std::string>& servers) {
  std::string content;
  for (const std::string& server : servers) content += cat({"nameserver ", server, "\n"});
  return replace_file(resolver_path, content);
}

}  // namespace

wire::Done check_identity(const wire::Configure& request) {
  if (!is_hostname(request.hostname)) return invalid("host name", request.hostname);
  if (!is_machine_id(request.machine_id)) return invalid("machine id", request.machine_id);
  for (const std::string& server : request.nameservers)
    if (!is_ip(server)) return invalid("address of a name server", server);
  return request.has_interface ? check_interface(request) : wire::Done{};
}

void warm_up_identity() {
  struct stat status {};
  if (lstat(resolver_path, &status) != 0 && errno == ENOENT) replace_file(resolver_path, "");
  warm_up_interfaces();
}

wire::Done set_clock(std::int64_t time_ns) {
  constexpr std::int64_t second = 1000000000;
  timespec time{};
  time.tv_sec = static_cast<time_t>(time_ns / second);
  time.tv_nsec = static_cast<long>(time_ns % second);
  return clock_settime(CLOCK_REALTIME, &time) == 0 ? wire::Done{} : failure("set the clock");
}

wire::Done apply_identity(const wire::Configure& request, Steps& steps) {
  wire::Done outcome = check_identity(request);
  if (outcome.error != 0) return outcome;
  const auto add = [&](const char* name, wire::Done step) {
    if (outcome.error == 0) outcome = std::move(step);
    steps.done(name);
  };
  add("clock", set_clock(request.time_ns));
  add("entropy", add_entropy(request.entropy));
  add("boot id", renew_boot_id());
  add("host name", set_hostname(request.hostname));
  add("machine id", replace_file("/etc/machine-id", cat({request.machine_id, "\n"})));
  if (!request.nameservers.empty()) add("name servers", write_nameservers(request.nameservers));
  if (request.has_interface) add("network", configure_interface(request));
  return outcome;
}

}  // namespace fireclaw::guestd
