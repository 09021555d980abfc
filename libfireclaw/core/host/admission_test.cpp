#include "core/host/admission.hpp"

#include <doctest/doctest.h>

#include <string>

#include "fireclaw/error.hpp"
#include "state/settings/config.hpp"
#include "sys/process.hpp"

using namespace fireclaw;
using core::refusal;
using core::Resources;

namespace {

constexpr Resources plenty{0, 1 << 20, 1 << 20};

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("a machine that fits may start") {
  CHECK(refusal({1, 128, 0}, {}, plenty, {}).empty());
  CHECK(refusal({1, 128, 64}, {2, 256, 0}, plenty, {3, 384, 64}).empty());
}

TEST_CASE("a machine beyond a home folder's limits is refused with the numbers") {
  const auto machines = refusal({1, 128, 0}, {3, 384, 0}, plenty, {.machines = 3, .memory_mib = {}, .disk_mib = {}});
  CHECK(has(machines, "3 machines run"));
  CHECK(has(machines, "limits.machines"));
  const auto memory = refusal({1, 128, 0}, {3, 384, 0}, plenty, {.machines = {}, .memory_mib = 500, .disk_mib = {}});
  CHECK(has(memory, "128 MiB of memory, 384 are taken"));
  CHECK(has(memory, "limit is 500"));
  const auto disk = refusal({1, 128, 100}, {1, 128, 50}, plenty, {.machines = {}, .memory_mib = {}, .disk_mib = 149});
  CHECK(has(disk, "100 MiB of disk, 50 are taken"));
  // What was started under a higher limit is over a lower one.
  CHECK_FALSE(refusal({1, 1, 0}, {9, 999, 0}, plenty, {.machines = {}, .memory_mib = 500, .disk_mib = {}}).empty());
}

TEST_CASE("a machine that the host has no room for is refused with the numbers") {
  CHECK(has(refusal({1, 4096, 0}, {}, {0, 4095, 0}, {}), "4096 MiB of memory, and this host has 4095 MiB left"));
  CHECK(has(refusal({1, 1, 1024}, {}, {0, 4095, 1000}, {}), "grow to 1024 MiB"));
}

TEST_CASE("machines that run count, those that have ended do not") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "admission-test-"};
  HostOptions options;
  options.home = folder.path();
  const Host::Impl host{options};
  for (const auto& each : {host.layout.runs(), host.layout.home() / "locks"}) sys::make_directories(each);
  const state::LimitSettings limits{.machines = 1};
  CHECK_NOTHROW(core::admit(host, limits, {1, 16, 0}));

  state::RunRecord record;
  record.owner = {sys::current_process().pid, 1};
  (void)host.runs.create(record);
  CHECK_NOTHROW(core::admit(host, limits, {1, 16, 0}));
  record.owner = sys::current_process();
  (void)host.runs.create(record);
  CHECK_THROWS_AS(core::admit(host, limits, {1, 16, 0}), Error);
}

TEST_CASE("a disk is not promised what the disks of machines that run may still take") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "admission-test-"};
  HostOptions options;
  options.home = folder.path();
  const Host::Impl host{options};
  for (const auto& each : {host.layout.runs(), host.layout.home() / "locks"}) sys::make_directories(each);
  CHECK_NOTHROW(core::admit(host, {}, {1, 16, 1}));
  state::RunRecord record;
  record.owner = sys::current_process();
  // More than any file system has left.
  record.scratch_mib = ~0U;
  record = host.runs.create(record);
  CHECK_THROWS_AS(core::admit(host, {}, {1, 16, 1}), Error);
  CHECK_NOTHROW(core::admit(host, {}, {1, 16, 0}));
  host.runs.remove(record.id);
  CHECK_NOTHROW(core::admit(host, {}, {1, 16, 1}));
}
