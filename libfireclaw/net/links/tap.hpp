#pragma once

#include "net/interface_name.hpp"
#include "net/links/netlink.hpp"
#include "sys/fd.hpp"
#include "sys/process.hpp"

namespace fireclaw::net {

// A tap is an Ethernet interface whose other end is a file descriptor. It normally vanishes with its last descriptor,
// so that not even SIGKILL leaves one behind. Only one descriptor can be attached at a time (EBUSY otherwise), which
// makes two kinds of owner necessary: Tap for a process that uses the descriptor, NamedTap for an engine that opens the
// interface by its name.

/// What comes with each frame that is read or written.
enum class TapHeader {
  None,    ///< nothing: checksums are complete and segments no longer than the MTU
  Virtio,  ///< ten bytes of virtio-net header, which say what was left to the other side
};

/// A tap and the descriptor that keeps it alive: whole Ethernet frames, one queue (IFF_TAP | IFF_NO_PI). Can be given
/// to an engine that takes descriptors. Destruction closes the descriptor, and with it the interface goes unless it was
/// duplicated. Use from one thread at a time.
class Tap {
 public:
  /// Creates the interface. Error(AlreadyExists) if the name is taken, Error(PermissionDenied) without CAP_NET_ADMIN
  /// or access to /dev/net/tun.
  static Tap create(const InterfaceName& name, TapHeader header = TapHeader::Virtio);

  /// One whose descriptor was made elsewhere.
  static Tap adopt(InterfaceName name, sys::Fd fd) { return Tap{std::move(name), std::move(fd)}; }

  [[nodiscard]] const InterfaceName& name() const noexcept { return name_; }
  /// Non-blocking.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }

 private:
  friend class NamedTap;
  Tap(InterfaceName name, sys::Fd fd) : name_{std::move(name)}, fd_{std::move(fd)} {}
  InterfaceName name_;
  sys::Fd fd_;
};

/// A tap that an engine opens by name (Firecracker's host_dev_name, QEMU's ifname=). For that it must exist with
/// nothing attached, so it is made persistent; once the engine is attached, hand_over() takes the persistence away
/// again and from then on the interface lives exactly as long as the engine does. Destruction before that deletes it.
/// If this process is killed between the two, the interface stays: its name is in the address lease, and the
/// process that reclaims the lease deletes it. Use from one thread at a time.
class NamedTap {
 public:
  /// `owner` (by default this process's user) may open it; others need CAP_NET_ADMIN.
  static NamedTap create(const InterfaceName& name, std::optional<uid_t> owner = std::nullopt);

  /// One that another process has made and kept.
  static NamedTap adopt(InterfaceName name) { return NamedTap{std::move(name), Netlink{}}; }

  NamedTap(NamedTap&& other) noexcept;
  NamedTap& operator=(NamedTap&&) = delete;
  ~NamedTap();

  [[nodiscard]] const InterfaceName& name() const noexcept { return name_; }
  /// Binds the interface's life to `engine`, which has it open by now: takes a copy of the engine's descriptor
  /// (pidfd_getfd) to turn persistence off. Error(InvalidState) if the engine has not opened it, Error(NotFound) if it
  /// is gone, Error(PermissionDenied) if the kernel does not let this process reach into the engine; the tap then
  /// still belongs to this object.
  void hand_over(const sys::ProcessId& engine);
  /// Leaves the interface in place for somebody else to delete, for engines that hand_over() may not reach into.
  void keep() noexcept { owned_ = false; }

 private:
  explicit NamedTap(InterfaceName name, Netlink netlink) : name_{std::move(name)}, netlink_{std::move(netlink)} {}
  InterfaceName name_;
  /// Opened at creation: the destructor must act on the same network namespace.
  Netlink netlink_;
  bool owned_ = true;
};

}  // namespace fireclaw::net
