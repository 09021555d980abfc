#include "net/links/tap.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <functional>
#include <vector>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

namespace fireclaw::net {
namespace {

constexpr const char* tun_device = "/dev/net/tun";

sys::Fd open_tun_device() {
  const int fd = ::open(tun_device, O_RDWR | O_CLOEXEC | O_NONBLOCK);
  if (fd >= 0) return sys::Fd{fd};
  switch (errno) {
    case ENOENT:
    case ENODEV:
    case ENXIO:
      throw Error{ErrorCode::Unsupported,
                  fmt::format("no {}: load the kernel's tun module, give the container the device, or use --net user",
                              tun_device)};
    case EACCES:
    case EPERM:
      throw Error{ErrorCode::PermissionDenied,
                  fmt::format("cannot open {}: not permitted; run as root, or use --net user", tun_device)};
    default: sys::throw_errno(fmt::format("cannot open {}", tun_device));
  }
}

/// Creates the interface and attaches `fd` to it.
void attach_new(int fd, const InterfaceName& name, TapHeader header) {
  ifreq request{};
  const int header_flag = header == TapHeader::Virtio ? IFF_VNET_HDR : 0;
  request.ifr_flags = static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL | header_flag);
  std::memcpy(request.ifr_name, name.str().c_str(), name.str().size());
  if (::ioctl(fd, TUNSETIFF, &request) == 0) return;
  switch (errno) {
    case EBUSY:
      throw Error{ErrorCode::AlreadyExists, fmt::format("an interface named '{}' exists already", name.str())};
    case EPERM:
      throw Error{
          ErrorCode::PermissionDenied,
          fmt::format("cannot create tap '{}': not permitted; it needs CAP_NET_ADMIN: run as root, or use --net "
                      "user",
                      name.str())};
    default: sys::throw_errno(fmt::format("cannot create tap '{}'", name.str()));
  }
}

/// The number of the descriptor under which a process has the tap open, from what the tun driver tells in fdinfo.
std::optional<int> find_tap_descriptor(pid_t pid, const InterfaceName& tap) {
  const auto folder = fmt::format("/proc/{}/fdinfo", pid);
  const auto wanted = fmt::format("\niff:\t{}\n", tap.str());
  std::error_code error;
  std::filesystem::directory_iterator entries{folder, error};
  if (error) {
    throw sys::system_error(error.value(), fmt::format("cannot look for tap '{}' in {}", tap.str(), folder));
  }
  std::vector<int> numbers;
  for (; entries != std::filesystem::directory_iterator{}; entries.increment(error)) {
    if (error) break;  // the process ended meanwhile
    const auto name = entries->path().filename().string();
    int number = 0;
    if (std::from_chars(name.data(), name.data() + name.size(), number).ec == std::errc{}) numbers.push_back(number);
  }
  // The device was opened late.
  std::ranges::sort(numbers, std::greater{});
  for (const int number : numbers) {
    try {
      if (sys::read_file(fmt::format("{}/{}", folder, number), 1 << 16).find(wanted) != std::string::npos)
        return number;
    } catch (const Error&) {
      continue;  // closed meanwhile
    }
  }
  return std::nullopt;
}

}  // namespace

Tap Tap::create(const InterfaceName& name, TapHeader header) {
  auto fd = open_tun_device();
  attach_new(fd.get(), name, header);
  return Tap{name, std::move(fd)};
}

NamedTap NamedTap::create(const InterfaceName& name, std::optional<uid_t> owner) {
  NamedTap tap{name, Netlink{}};
  tap.owned_ = false;  // until it exists
  const auto creator = Tap::create(name);
  const uid_t user = owner.value_or(::geteuid());  // without an owner, anybody could attach to it
  sys::check(::ioctl(creator.fd(), TUNSETOWNER, static_cast<unsigned long>(user)),
             fmt::format("cannot give tap '{}' to user {}", name.str(), user));
  sys::check(::ioctl(creator.fd(), TUNSETPERSIST, 1UL), fmt::format("cannot keep tap '{}'", name.str()));
  tap.owned_ = true;
  return tap;
}

NamedTap::NamedTap(NamedTap&& other) noexcept
    : name_{other.name_}, netlink_{std::move(other.netlink_)}, owned_{std::exchange(other.owned_, false)} {}

NamedTap::~NamedTap() {
  if (!owned_) return;
  try {
    netlink_.delete_link(name_);
  } catch (...) {
    // The lease still has the name: reclaiming it deletes the interface.
  }
}

void NamedTap::hand_over(const sys::ProcessId& engine) {
  const auto process = sys::open_pidfd(engine);
  if (!process)
    throw Error{ErrorCode::NotFound, fmt::format("no process {} to hand tap '{}' to", engine.pid, name_.str())};
  const auto number = find_tap_descriptor(engine.pid, name_);
  if (!number) {
    throw Error{ErrorCode::InvalidState, fmt::format("process {} has not opened tap '{}'", engine.pid, name_.str())};
  }
  const sys::Fd copy{
      static_cast<int>(sys::check(::syscall(SYS_pidfd_getfd, process->get(), *number, 0U),
                                  fmt::format("cannot reach tap '{}' in process {}", name_.str(), engine.pid)))};
  // Guards against the number having been reused since it was looked up.
  ifreq attached{};
  if (::ioctl(copy.get(), TUNGETIFF, &attached) != 0 || name_.str() != attached.ifr_name) {
    throw Error{ErrorCode::InvalidState, fmt::format("process {} has closed tap '{}'", engine.pid, name_.str())};
  }
  sys::check(::ioctl(copy.get(), TUNSETPERSIST, 0UL), fmt::format("cannot release tap '{}'", name_.str()));
  owned_ = false;
}

}  // namespace fireclaw::net
