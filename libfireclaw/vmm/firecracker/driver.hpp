#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/deadline.hpp"
#include "base/logger.hpp"
#include "sys/sandbox/sandbox.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::vmm::firecracker {

struct Options {
  std::filesystem::path binary;
  /// Its binary_version().
  std::string version;
  Logger logger;
  /// How far its processes are confined.
  sys::Confinement confinement = sys::Confinement::None;
};

/// What `binary --version` says: "1.17.0-dev". Error(NotFound / PermissionDenied) if it cannot be executed,
/// Error(Vmm) if it is something else or fails, Error(Unsupported) if it is older than oldest_version.
std::string binary_version(const std::filesystem::path& binary, Deadline deadline);

/// The first processor in the text of /proc/cpuinfo, as far as a snapshot's guest has seen it: model and features, not
/// its clock rate. Pure.
std::string describe_cpu(std::string_view cpuinfo);

/// Whether Driver::snapshot_identity() of this version begins so.
bool is_of_version(std::string_view identity, std::string_view version);

/// The parts of this version that a guest can misuse, and that its machines therefore lack; empty if none is known.
/// Pure. Error(Vmm) for an invalid version.
std::string known_hole(std::string_view version);

/// The Firecracker engine. Error(Vmm or Unsupported) for a version that is invalid or too old.
std::unique_ptr<Driver> make_driver(Options options);

}  // namespace fireclaw::vmm::firecracker
