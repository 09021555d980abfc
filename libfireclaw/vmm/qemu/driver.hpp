#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/deadline.hpp"
#include "base/logger.hpp"
#include "sys/sandbox/sandbox.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::vmm::qemu {

struct Options {
  std::filesystem::path binary;
  /// Its binary_version().
  std::string version;
  Accelerator accelerator = Accelerator::Tcg;
  /// One of candidate_cpu_models() that works here.
  std::string cpu_model;
  Logger logger;
  /// How far its processes are confined.
  sys::Confinement confinement = sys::Confinement::None;
};

/// What `binary --version` says: "7.2.22". Error(NotFound / PermissionDenied) if it cannot be executed, Error(Vmm) if
/// it is something else or fails, Error(Timeout) if it hangs, Error(Unsupported) if it is older than 7.2.
std::string binary_version(const std::filesystem::path& binary, Deadline deadline);

/// The values of -cpu to try, best first: with KVM not every host's own model can be offered to a guest.
std::vector<std::string> candidate_cpu_models(Accelerator accelerator);

/// The QEMU engine. Error(Unsupported or Vmm) for a version that is too old or invalid.
std::unique_ptr<Driver> make_driver(Options options);

}  // namespace fireclaw::vmm::qemu
