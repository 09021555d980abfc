#include "core/host/endings.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>
#include <csignal>
#include <functional>
#include <future>
#include <thread>

#include "core/host/admission.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/stat_line.hpp"

namespace fireclaw::core {
namespace {

sys::Child sleeper(const std::string& seconds) {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", seconds};
  return sys::Child::spawn(spec);
}

/// A machine whose engine is `child`, and takes until `may_end` to be taken down.
class Machine final : public vmm::Instance {
 public:
  Machine(
      sys::Child child, std::shared_future<void> may_end, std::function<void()> on_kill = [] {})
      : child_{std::move(child)}, may_end_{std::move(may_end)}, on_kill_{std::move(on_kill)} {}

  [[nodiscard]] vmm::RuntimeRecord record() const override { return {"fake", child_.id(), {}}; }
  void pause(Deadline) override {}
  void resume(Deadline) override {}
  void snapshot(const vmm::SnapshotFiles&, Deadline, const std::stop_token&) override {}
  std::chrono::nanoseconds snapshot_running(const vmm::SnapshotFiles&, const std::function<void()>&, Deadline,
                                            const std::stop_token&) override {
    return {};
  }
  vmm::GuestStream connect_guest(Deadline, const std::stop_token&) override {
    throw Error{ErrorCode::Unsupported, "there is no guest"};
  }
  void kill() noexcept override {
    may_end_.wait();
    child_.kill();
    on_kill_();
  }
  void send_kill() noexcept override { child_.signal(SIGKILL); }
  [[nodiscard]] bool freeze() noexcept override { return child_.stop(); }
  bool wait_exit(Deadline, const std::stop_token&) override { return false; }
  [[nodiscard]] int exit_fd() const override { return child_.pidfd(); }
  [[nodiscard]] std::string exit_reason() override { return {}; }
  [[nodiscard]] std::string console_tail(std::size_t) const override { return {}; }

 private:
  sys::Child child_;
  std::shared_future<void> may_end_;
  std::function<void()> on_kill_;
};

struct Ends {
  sys::TempDir folder{"/tmp", "fireclaw-endings"};
  Endings endings{folder.path() / "note.json"};
  std::promise<void> ended;
  std::shared_future<void> may_end{ended.get_future()};
};

bool is_gone(const sys::ProcessId& id) { return sys::identify_even_ended(id.pid) != id; }

/// Reaped, by any process, within some seconds.
bool goes(const sys::ProcessId& id) {
  const auto limit = Deadline::after(std::chrono::seconds{20});
  while (!is_gone(id) && !limit.passed()) std::this_thread::yield();
  return is_gone(id);
}

TEST_CASE_FIXTURE(Ends, "nobody waits for an engine that takes long to end, and it is reaped when it does") {
  auto child = sleeper("1000");
  const auto id = child.id();
  endings.add(std::make_unique<Machine>(std::move(child), may_end));
  CHECK_FALSE(is_gone(id));
  ended.set_value();
  CHECK(goes(id));
}

TEST_CASE_FIXTURE(Ends, "the host program's signals are handled on its own threads") {
  const auto blocked = [] {
    sigset_t mask;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    return ::sigismember(&mask, SIGTERM) == 1;
  };
  std::promise<bool> there;
  endings.add(std::make_unique<Machine>(sleeper("1000"), may_end, [&] { there.set_value(blocked()); }));
  ended.set_value();
  CHECK(there.get_future().get());
  CHECK_FALSE(blocked());
}

TEST_CASE_FIXTURE(Ends, "an engine outlives the object that knows of its end") {
  auto child = sleeper("1000");
  const auto id = child.id();
  {
    Endings others{folder.path() / "others.json"};
    others.add(std::make_unique<Machine>(std::move(child), may_end));
  }
  ended.set_value();
  CHECK(goes(id));
}

TEST_CASE_FIXTURE(Ends, "a process that needs what the last one holds can wait for it") {
  CHECK_FALSE(endings.await_last());
  endings.add(std::make_unique<Machine>(sleeper("0.3"), may_end));
  CHECK(endings.await_last());
  CHECK_FALSE(endings.await_last());
  ended.set_value();
}

TEST_CASE_FIXTURE(Ends, "no machine is refused for want of room while the last one is being taken down") {
  HostOptions options;
  options.home = folder.path() / "home";
  Host::Impl host{options};
  for (const auto& each : {host.layout.runs(), host.layout.home() / "locks"}) sys::make_directories(each);
  constexpr std::uint64_t more_than_any_host_has = std::uint64_t{1} << 40;
  auto child = sleeper("0.3");
  const auto engine = child.id();
  host.endings.add(std::make_unique<Machine>(std::move(child), may_end));
  CHECK_THROWS_AS(admit(host, {}, {1, more_than_any_host_has, 0}), Error);
  CHECK_FALSE(sys::is_alive(engine));
  ended.set_value();
}

TEST_CASE_FIXTURE(Ends, "where nobody reaps what processes leave behind, the end is waited for") {
  auto left = sleeper("0");
  const auto zombie = left.id();
  sys::require_fd(left.pidfd(), POLLIN, Deadline::after(std::chrono::seconds{20}), "its end");
  // It is noted, and stays unreaped for as long as this waits.
  endings.add(std::make_unique<Machine>(std::move(left), may_end));
  REQUIRE_FALSE(is_gone(zombie));

  auto child = sleeper("1000");
  const auto id = child.id();
  std::promise<void> at_once;
  at_once.set_value();
  endings.add(std::make_unique<Machine>(std::move(child), at_once.get_future().share()));
  CHECK(is_gone(id));
  ended.set_value();
}

TEST_CASE_FIXTURE(Ends, "if too many end at once, the end is waited for") {
  std::vector<sys::ProcessId> ids;
  const auto add = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto child = sleeper("1000");
      ids.push_back(child.id());
      endings.add(std::make_unique<Machine>(std::move(child), may_end));
    }
  };
  add(Endings::most);
  // The thread may have taken one of them already.
  auto more = std::async(std::launch::async, add, 2);
  CHECK(more.wait_for(std::chrono::milliseconds{100}) == std::future_status::timeout);
  ended.set_value();
  more.get();
  for (const auto& id : ids) CHECK(goes(id));
}

}  // namespace
}  // namespace fireclaw::core
