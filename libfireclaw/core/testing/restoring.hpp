#pragma once

#include <doctest/doctest.h>

#include "core/host/engines.hpp"

namespace fireclaw::core::testing {

/// Whether a machine may continue from what the stand-in has saved. Without /dev/kvm the library restores nothing of
/// Firecracker's, which is then said.
inline bool can_restore() {
  const auto problem = kvm_problem();
  if (!problem.empty()) MESSAGE("no machine is restored: ", problem);
  return problem.empty();
}

}  // namespace fireclaw::core::testing
