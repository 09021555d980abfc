// Machines that are started ahead, on the stand-in for Firecracker.
#include "fireclaw/pool.hpp"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <stop_token>

#include "core/testing/stand_in_home.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/vm.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using namespace std::chrono_literals;
using sys::testing::code_of;
using testing::StandInHome;

struct Fixture : StandInHome {
  std::shared_ptr<Host::Impl> host = open();

  static PoolConfig config(std::size_t size) {
    PoolConfig made;
    made.machine.network = NetworkMode::None;
    made.machine.memory_mib = 128;
    made.size = size;
    return made;
  }
  [[nodiscard]] Pool pool(std::size_t size) const { return Access::host(host).vms().pool(config(size)); }
};

TEST_CASE_FIXTURE(Fixture, "a pool's machines are gone with it, and one that was taken is not") {
  std::optional<VM> taken;
  {
    auto two = pool(2);
    taken.emplace(two.take(30s));
    CHECK(taken->exec(ExecOptions::shell("echo well")).out == "well\n");
  }
  const auto left = host->runs.list();
  REQUIRE(left.size() == 1);
  CHECK(left.front().id == taken->info().id);
  CHECK(taken->exec(ExecOptions::shell("echo well")).out == "well\n");
  // What the pool's end stops is not the taker's.
  CHECK(taken->snapshot("kept").info().name == "kept");
}

TEST_CASE_FIXTURE(Fixture, "a pool's machines end with it, also if its configuration says that they are detached") {
  auto made = config(1);
  made.machine.detached = true;
  {
    auto one = Access::host(host).vms().pool(made);
    const auto machine = one.take(30s);
    for (const auto& run : host->runs.list()) CHECK_FALSE(run.detached);
  }
  CHECK(host->runs.list().empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "a start that failed is told, and is tried again when somebody wants a machine, and not before") {
  set_knobs("die_at=/actions");
  auto one = pool(1);
  for (int i = 0; i < 2; ++i) CHECK(code_of([&] { one.take(30s); }) == ErrorCode::Vmm);
  set_knobs("");
  // Each takes as long as a machine of the pool's would.
  for (int i = 0; i < 3; ++i) {
    auto other = Access::host(host).vms().run(config(1).machine);
    CHECK(other.exec(ExecOptions::shell("echo well")).out == "well\n");
    CHECK(one.ready() == 0);
  }
  auto machine = one.take(30s);
  CHECK(machine.exec(ExecOptions::shell("echo well")).out == "well\n");
}

TEST_CASE_FIXTURE(Fixture, "a wait for a machine that does not come ends in time, and at once when it is stopped") {
  set_knobs("hang_at_start");
  auto one = pool(1);
  CHECK(code_of([&] { one.take(0ms); }) == ErrorCode::Timeout);
  std::stop_source stop;
  stop.request_stop();
  CHECK(code_of([&] { one.take(60s, stop.get_token()); }) == ErrorCode::Cancelled);
}

TEST_CASE_FIXTURE(Fixture, "a process that was forked from a pool's owner has no machines of it, and ends none") {
  auto one = pool(1);
  auto machine = one.take(30s);
  const auto pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) {
    const auto refused = [](auto action) {
      try {
        action();
      } catch (const Error& error) {
        return error.code() == ErrorCode::InvalidState;
      }
      return false;
    };
    const bool right = refused([&] { static_cast<void>(one.ready()); }) && refused([&] { one.take(0ms); });
    { const auto gone = std::move(one); }
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  CHECK(status == 0);
  CHECK(one.take(30s).exec(ExecOptions::shell("echo well")).out == "well\n");
}

}  // namespace
}  // namespace fireclaw::core
