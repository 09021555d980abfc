#pragma once

#include <compare>
#include <string>
#include <string_view>

namespace fireclaw::vmm::firecracker {

/// Firecracker's version; what follows the three numbers ("-dev") does not count: a development build of 1.17 has
/// the fields of 1.17.
struct Version {
  unsigned major = 0;
  unsigned minor = 0;
  unsigned patch = 0;

  auto operator<=>(const Version&) const = default;  // NOLINT(modernize-use-nullptr): takes the default for a 0
};

/// The oldest that is supported.
inline constexpr Version oldest_version{1, 15, 0};

/// From "1.17.0-dev" or "v1.16.1". Error(Vmm), quoting the text, if it is neither.
Version parse_version(std::string_view text);
std::string to_string(const Version& version);

/// Fields that came after the oldest supported version. An unknown field fails the whole request.
constexpr bool has_vsock_override(const Version& version) { return version >= Version{1, 16, 0}; }
constexpr bool boots_bzimage(const Version& version) { return version >= Version{1, 17, 0}; }

/// 1.16.0 can leave a snapshot's vsock dead for good: the guest, once restored, no longer tells the device of packets
/// to send if one was waiting when the snapshot was made. 1.15 has no such notification scheme; 1.16.1 mends it.
constexpr bool loses_vsock_after_restore(const Version& version) {
  return version >= Version{1, 16, 0} && version < Version{1, 16, 1};
}

/// From 1.16.0 on, and until 1.17, resuming a machine makes the vsock device wait for the guest to acknowledge a
/// reset, also when none was announced, so that nothing reaches the guest any more. Only saving the machine's state
/// announces one.
constexpr bool waits_for_reset_after_resume(const Version& version) {
  return version >= Version{1, 16, 0} && version < Version{1, 17, 0};
}

/// Before 1.15.1 (and 1.14.4 in its line) a guest can set up a device on the PCI bus in an order that Firecracker does
/// not expect, and have its entropy device allocate as much memory as it likes.
constexpr bool trusts_guests_too_much(const Version& version) {
  return version < Version{1, 14, 4} || (version >= Version{1, 15, 0} && version < Version{1, 15, 1});
}

/// Before 1.16 a connection that overtakes the reset with which a restored guest begins is dropped by it; from then
/// on such connections are held back.
constexpr bool may_drop_first_connection(const Version& version) { return version < Version{1, 16, 0}; }

}  // namespace fireclaw::vmm::firecracker
