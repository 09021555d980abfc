// What is known of a machine that was stopped for a moment. With real machines, in the home folder that the vm tests
// share.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "core/machines/impl.hpp"
#include "core/testing/wrapped_instance.hpp"
#include "fireclaw/host.hpp"
#include "sys/file.hpp"
#include "vmm/brief_pause.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;

namespace {

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

Deadline soon() { return Deadline::after(40s); }

struct Fixture {
  sys::TempDir folder{"/tmp", "fireclaw-brief-pause-"};
  std::shared_ptr<Host::Impl> impl = Access::impl(Host::open([] {
    HostOptions options;
    options.home = environment("FIRECLAW_TEST_HOME", environment("FIRECLAW_BUILD_HOME", "").c_str());
    options.engine = engine_from_string(environment("FIRECLAW_TEST_ENGINE", "auto"));
    options.firecracker = environment("FIRECLAW_TEST_FIRECRACKER", "");
    return options;
  }()));

  /// Ends with the test, like anything that is no longer wanted.
  std::unique_ptr<VM::Impl> start() {
    auto machine = std::make_unique<VM::Impl>(impl, VMConfig{});
    machine->start();
    return machine;
  }
  [[nodiscard]] vmm::SnapshotFiles files() const { return {folder.path() / "state", folder.path() / "memory"}; }
  /// By how many seconds the guest's clock differs from the host's, rounded down.
  static std::int64_t lateness(VM::Impl& machine) {
    const auto now = [] { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); };
    const auto before = now();
    const auto there = std::stol(shell(machine, "date +%s"));
    return std::max({before - there, there - now(), std::int64_t{0}});
  }
  /// Long enough to be told from the second within which clocks are compared.
  static void let_time_pass(VM::Impl& machine) { CHECK_FALSE(machine.instance->wait_exit(Deadline::after(3s))); }
  static std::string shell(VM::Impl& machine, const std::string& line) {
    return machine.session(soon(), {})->exec(ExecOptions::shell(line)).out;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a machine that could not be told to continue is known to be paused, and can be resumed") {
  const auto machine = start();
  machine->instance = std::make_unique<core::testing::StuckInstance>(std::move(machine->instance));
  CHECK_THROWS_AS(machine->save_running(
                      files(), [] {}, soon()),
                  vmm::StaysPaused);
  const auto known = impl->runs.find(machine->record.id);
  REQUIRE(known);
  CHECK(known->paused);
  CHECK_FALSE(known->copier);
  VM::Impl other{impl, *known};
  CHECK(other.state == VMState::Paused);
  other.resume(soon());
  CHECK(shell(other, "echo well") == "well\n");
  CHECK_FALSE(impl->runs.find(machine->record.id)->paused);
}

TEST_CASE_FIXTURE(Fixture, "a guest's clock is right again after a pause") {
  const auto machine = start();
  REQUIRE(lateness(*machine) <= 1);
  SUBCASE("for the one who paused it") {
    machine->pause(soon());
    let_time_pass(*machine);
    machine->resume(soon());
    CHECK(lateness(*machine) <= 1);
    CHECK_FALSE(impl->runs.find(machine->record.id)->clock_late);
  }
  SUBCASE("which somebody else has ended") {
    machine->pause(soon());
    let_time_pass(*machine);
    VM::Impl other{impl, *impl->runs.find(machine->record.id)};
    other.resume(soon());
    CHECK(lateness(other) <= 1);
  }
}

TEST_CASE_FIXTURE(Fixture, "a guest's clock is right again after its machine was saved while it ran") {
  const auto machine = start();
  REQUIRE(lateness(*machine) <= 1);
  SUBCASE("and that worked") {
    (void)machine->save_running(
        files(), [&] { let_time_pass(*machine); }, soon());
  }
  SUBCASE("and that failed") {
    CHECK_THROWS_AS(machine->save_running(
                        files(),
                        [&] {
                          let_time_pass(*machine);
                          throw Error{ErrorCode::Io, "no space"};
                        },
                        soon()),
                    Error);
  }
  CHECK(lateness(*machine) <= 1);
}

TEST_CASE_FIXTURE(Fixture, "a clock that could not be set is set when a session opens next, and then left alone") {
  const auto machine = start();
  CHECK(shell(*machine, "date -s @1000000000") != "");
  machine->note([](state::RunRecord& now) { now.clock_late = true; });
  {
    VM::Impl other{impl, *impl->runs.find(machine->record.id)};
    CHECK(lateness(other) <= 1);
  }
  CHECK(shell(*machine, "date -s @1000000000") != "");
  VM::Impl other{impl, *impl->runs.find(machine->record.id)};
  CHECK(lateness(other) > 1000);
}
