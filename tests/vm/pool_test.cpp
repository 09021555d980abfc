#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <set>
#include <sstream>
#include <stop_token>
#include <string>
#include <vector>

#include "support.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using test::shell;

namespace {

PoolConfig three() {
  PoolConfig config;
  config.machine.start = StartMode::RequireSnapshot;
  config.size = 3;
  return config;
}

}  // namespace

TEST_CASE("a pool gives each machine to one taker, and has others made in their place") {
  const auto host = test::open_host();
  auto pool = host.vms().pool(three());
  std::vector<std::future<std::string>> takers;
  for (int i = 0; i < 8; ++i) {
    takers.push_back(std::async(std::launch::async, [&pool] {
      auto vm = pool.take();
      return shell(vm, "hostname");
    }));
  }
  std::set<std::string> names;
  for (auto& taker : takers) CHECK(names.insert(taker.get()).second);
  CHECK(names.size() == 8);
}

TEST_CASE("what is ready is given out at once, and outlives the pool") {
  const auto host = test::open_host();
  std::vector<VM> taken;
  {
    auto pool = host.vms().pool(three());
    taken.push_back(pool.take());
    const auto first = host.vms().list().size();
    CHECK(first >= 1);
  }
  CHECK(shell(taken.front(), "echo still here") == "still here");
  taken.front().wait_ready(10s);
  const auto pid = taken.front().info().engine_pid;
  taken.clear();
  CHECK(test::wait_gone(pid, 5s));
  for (const auto& vm : host.vms().list()) CHECK(vm.engine_pid != pid);
}

TEST_CASE("a machine of a pool has run a command before it is given out") {
  const auto host = test::open_host();
  // Page faults of guestd's children that have ended: field 11 of its stat.
  const auto faults_of_ended_children = [](VM& vm) {
    const auto stat = vm.read_file("/proc/1/stat");
    std::istringstream fields{stat.substr(stat.rfind(')') + 2)};
    std::string field;
    for (int number = 3; number <= 11; ++number) fields >> field;
    return std::stoul(field);
  };
  auto restored = host.vms().run(three().machine);
  const auto before = faults_of_ended_children(restored);
  auto pool = host.vms().pool(three());
  auto pooled = pool.take();
  CHECK(faults_of_ended_children(pooled) > before);
}

TEST_CASE("a pool that cannot be is refused at once") {
  const auto host = test::open_host();
  auto config = three();
  config.size = 0;
  CHECK(test::error_of([&] { return host.vms().pool(config); }).code() == ErrorCode::InvalidArgument);
  config = three();
  config.machine.image = "no-such-image";
  CHECK(test::error_of([&] { return host.vms().pool(config); }).code() == ErrorCode::NotFound);
}

TEST_CASE("a wait for a machine ends when it is stopped") {
  const auto host = test::open_host();
  auto config = three();
  config.size = 1;
  auto pool = host.vms().pool(config);
  auto only = pool.take();
  std::stop_source source;
  source.request_stop();
  // Either one has been made meanwhile, or the wait is over at once.
  try {
    pool.take(30s, source.get_token());
  } catch (const Error& problem) {
    CHECK(problem.code() == ErrorCode::Cancelled);
  }
}
