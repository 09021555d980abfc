#include "vmm/qemu/host_cpu.hpp"

#include <doctest/doctest.h>

namespace fireclaw::vmm::qemu {
namespace {

TEST_CASE("the counter's frequency is one that processors have") {
  const auto khz = TscMeter{}.khz();
  if (khz == 0) return;  // there is no such counter here
  CHECK(khz > 100'000);
  CHECK(khz < 20'000'000);
}

}  // namespace
}  // namespace fireclaw::vmm::qemu
