#include "processes/services.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "machine.hpp"
#include "sys/file.hpp"

namespace fireclaw::guestd {
namespace {

/// Processes that exist in name only, and do what a test says.
class FakeMachine final : public Machine {
 public:
  explicit FakeMachine(Loop& loop) : services_{loop, *this} {}

  wire::Hello hello() override { return {}; }
  std::optional<wire::ExecFailed> spawn(const wire::Exec&, Spawned&) override {
    return wire::ExecFailed{wire::ExecFailure::BadRequest, ENOSYS, "none here"};
  }
  std::optional<wire::ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid) override {
    if (broken) return wire::ExecFailed{wire::ExecFailure::NotFound, ENOENT, "'" + request.argv.front() + "' is gone"};
    pid = ++last_pid;
    outputs[pid] = output;
    last_request = request;
    return {};
  }
  std::optional<wire::ExecFailed> spawn_file_call(const wire::FileCall&, Spawned&) override {
    return wire::ExecFailed{wire::ExecFailure::BadRequest, ENOSYS, "none here"};
  }
  void signal_group(pid_t leader, int number) override { signals.emplace_back(-leader, number); }
  void signal_process(pid_t pid, int number) override { signals.emplace_back(pid, number); }
  Services& services() override { return services_; }
  wire::Done configure(const wire::Configure&, Steps&) override { return {}; }
  wire::Done set_clock(std::int64_t) override { return {}; }
  guest::Base files() override { return {AT_FDCWD, false}; }
  std::optional<guest::Failure> find_owner(std::string_view, guest::TreeWriter::Owner&) override { return {}; }
  wire::Done mount(const wire::Mount&) override { return {}; }
  wire::Done unmount(const wire::Unmount&) override { return {}; }
  wire::Done prepare_snapshot() override { return {}; }
  void shutdown(std::uint32_t) override {}

  bool broken = false;
  pid_t last_pid = 100;
  wire::Exec last_request;
  std::map<pid_t, int> outputs;
  /// Negative numbers are groups.
  std::vector<std::pair<pid_t, int>> signals;

 private:
  Services services_;
};

struct Guest {
  const sys::TempDir folder{"/tmp", "fireclaw-services-"};
  Loop loop;
  FakeMachine machine{loop};
  Services& services = machine.services();

  wire::ServiceStart request(const std::string& name = "bot") const {
    wire::ServiceStart start;
    start.name = name;
    start.argv = {"bot"};
    start.log = (folder.path() / (name + ".log")).string();
    start.log_limit = wire::min_log_limit;
    start.restart = wire::Restart::OnFailure;
    start.backoff_first_ms = 1;
    start.backoff_longest_ms = 8;
    return start;
  }
  wire::ServiceStatus status(const std::string& name = "bot") const {
    for (const auto& status : services.list().list)
      if (status.name == name) return status;
    return {};
  }
  /// Waits as the server does, until something is so.
  void run_until(const std::function<bool()>& done) {
    const std::int64_t limit = now_ms() + 20000;
    while (!done() && now_ms() < limit) {
      const std::int64_t due = services.deadline();
      loop.run_once(due < 0 ? 1000 : static_cast<int>(std::max<std::int64_t>(due - now_ms(), 0)));
      services.tick();
    }
    REQUIRE(done());
  }
  void exit_with(int code) { CHECK(services.child_ended(machine.last_pid, code << 8)); }
};

}  // namespace

TEST_CASE("a service that runs keeps its name; one that has ended gives it to the next") {
  Guest guest;
  CHECK(guest.services.start(guest.request()).error == 0);
  CHECK(guest.status().state == wire::ServiceState::Running);
  CHECK(guest.status().pid == 101);
  const wire::Done second = guest.services.start(guest.request());
  CHECK(second.error == EEXIST);
  CHECK(second.message == "service 'bot' runs already; stop it first, or give this one another name");
  guest.exit_with(0);
  CHECK(guest.status().state == wire::ServiceState::Stopped);
  CHECK(guest.services.start(guest.request()).error == 0);
  CHECK(guest.status().pid == 102);
  CHECK(guest.status().restarts == 0);
}

TEST_CASE("a service is started as it was asked for, each time") {
  Guest guest;
  auto request = guest.request();
  request.argv = {"bot", "-v"};
  request.env = {{"A", "1"}};
  request.cwd = "/srv";
  request.user = "nobody";
  const auto before = static_cast<std::uint64_t>(now_ms());
  guest.services.start(request);
  CHECK(guest.status().started_ms >= before);
  CHECK(guest.status().started_ms <= static_cast<std::uint64_t>(now_ms()));
  const auto as_asked = [&] {
    const auto& given = guest.machine.last_request;
    return given.argv == request.argv && given.env == request.env && given.cwd == request.cwd &&
           given.user == request.user;
  };
  CHECK(as_asked());
  guest.machine.last_request = {};
  guest.exit_with(1);
  guest.run_until([&] { return guest.machine.last_pid == 102; });
  CHECK(as_asked());
}

TEST_CASE("nothing is started again and nobody is killed before it is time") {
  Guest guest;
  auto request = guest.request();
  request.backoff_first_ms = request.backoff_longest_ms = 600'000;
  guest.services.start(request);
  guest.services.tick();
  guest.exit_with(1);
  guest.services.tick();
  CHECK(guest.status().state == wire::ServiceState::BackingOff);
  CHECK(guest.machine.last_pid == 101);
  guest.services.start(guest.request("other"));
  guest.services.stop({"other", 600'000});
  const auto signals = guest.machine.signals;
  guest.services.tick();
  CHECK(guest.machine.signals == signals);
}

TEST_CASE("one that does not end is killed once, and then nothing is due") {
  Guest guest;
  guest.services.start(guest.request());
  guest.services.stop({"bot", 0});
  guest.services.tick();
  guest.services.tick();
  const std::vector<std::pair<pid_t, int>> once{{-101, SIGTERM}, {-101, SIGCONT}, {-101, SIGKILL}};
  CHECK(guest.machine.signals == once);
  CHECK(guest.services.deadline() == -1);
}

TEST_CASE("a stop of a service that has failed leaves it failed") {
  Guest guest;
  auto request = guest.request();
  request.restart = wire::Restart::Never;
  guest.services.start(request);
  guest.exit_with(3);
  CHECK(guest.services.stop({"bot", 0}).error == 0);
  CHECK(guest.status().state == wire::ServiceState::Failed);
}

TEST_CASE("what is left of a service's group is killed when it ends") {
  Guest guest;
  guest.services.start(guest.request());
  guest.exit_with(0);
  CHECK(guest.machine.signals == std::vector<std::pair<pid_t, int>>{{-101, SIGKILL}});
}

TEST_CASE("whether a service is started again is its policy's matter") {
  using wire::Restart;
  using wire::ServiceState;
  struct Case {
    Restart policy;
    int code;
    ServiceState state;
  };
  for (const Case& expected :
       {Case{Restart::Never, 0, ServiceState::Stopped}, Case{Restart::Never, 3, ServiceState::Failed},
        Case{Restart::OnFailure, 0, ServiceState::Stopped}, Case{Restart::OnFailure, 3, ServiceState::BackingOff},
        Case{Restart::Always, 0, ServiceState::BackingOff}, Case{Restart::Always, 3, ServiceState::BackingOff}}) {
    CAPTURE(static_cast<int>(expected.policy));
    CAPTURE(expected.code);
    Guest guest;
    auto request = guest.request();
    request.restart = expected.policy;
    guest.services.start(request);
    guest.exit_with(expected.code);
    CHECK(guest.status().state == expected.state);
    CHECK(guest.status().code == expected.code);
    CHECK(guest.status().pid == 0);
    CHECK((guest.services.deadline() >= 0) == (expected.state == ServiceState::BackingOff));
  }
}

TEST_CASE("each start waits twice as long as the one before, up to the longest, and a good run forgives") {
  Guest guest;
  auto request = guest.request();
  // Long enough that a busy host does not make a good run of a short one.
  request.backoff_first_ms = 20;
  request.backoff_longest_ms = 160;
  guest.services.start(request);
  for (const std::int64_t least : {20, 40, 80, 160, 160}) {
    const pid_t before = guest.machine.last_pid;
    const std::int64_t ended = now_ms();
    guest.services.child_ended(before, SIGSEGV);
    CHECK(guest.status().signal == SIGSEGV);
    CHECK(guest.status().code == 128 + SIGSEGV);
    CHECK(guest.services.deadline() - now_ms() <= least);
    guest.run_until([&] { return guest.machine.last_pid != before; });
    CHECK(now_ms() - ended >= least);
  }
  CHECK(guest.status().restarts == 5);
  const std::int64_t started = now_ms();
  guest.run_until([&] { return now_ms() - started > 160; });
  guest.exit_with(1);
  CHECK(guest.services.deadline() - now_ms() <= 20);
}

TEST_CASE("a service that cannot be started again is tried again, and says why meanwhile") {
  Guest guest;
  guest.services.start(guest.request());
  guest.machine.broken = true;
  guest.exit_with(1);
  guest.run_until([&] { return guest.status().restarts >= 2; });
  CHECK(guest.status().state == wire::ServiceState::BackingOff);
  CHECK(guest.status().problem == "'bot' is gone");
  guest.machine.broken = false;
  guest.run_until([&] { return guest.status().state == wire::ServiceState::Running; });
  CHECK(guest.status().problem.empty());
  CHECK(sys::read_file(guest.folder.path() / "bot.log").starts_with("[guestd: cannot start again: 'bot' is gone]\n"));
}

TEST_CASE("a stop asks the group, insists after the grace, and does not cause a new start") {
  Guest guest;
  auto request = guest.request();
  request.restart = wire::Restart::Always;
  guest.services.start(request);
  CHECK(guest.services.stop({"bot", 5}).error == 0);
  CHECK(guest.services.is_stopping("bot"));
  CHECK(guest.services.start(request).error == EBUSY);
  const std::vector<std::pair<pid_t, int>> asked{{-101, SIGTERM}, {-101, SIGCONT}};
  CHECK(guest.machine.signals == asked);
  guest.run_until([&] { return guest.machine.signals.size() > 2; });
  CHECK(guest.machine.signals[2] == std::pair<pid_t, int>{-101, SIGKILL});
  guest.services.child_ended(101, SIGKILL);
  CHECK_FALSE(guest.services.is_stopping("bot"));
  CHECK(guest.status().state == wire::ServiceState::Stopped);
  CHECK(guest.services.deadline() == -1);
  CHECK(guest.services.stop({"bot", 5}).error == 0);
  CHECK(guest.services.stop({"other", 5}).error == ENOENT);
}

TEST_CASE("a second stop can shorten the grace of the first, and not lengthen it") {
  Guest guest;
  guest.services.start(guest.request());
  CHECK(guest.services.stop({"bot", 60'000}).error == 0);
  const auto first = guest.services.deadline();
  CHECK(guest.services.stop({"bot", 600'000}).error == 0);
  CHECK(guest.services.deadline() == first);
  CHECK(guest.services.stop({"bot", 0}).error == 0);
  CHECK(guest.services.deadline() <= now_ms());
}

TEST_CASE("a stop ends the waiting for the next start") {
  Guest guest;
  auto request = guest.request();
  request.backoff_first_ms = request.backoff_longest_ms = 60'000;
  guest.services.start(request);
  guest.exit_with(1);
  CHECK(guest.services.stop({"bot", 1000}).error == 0);
  CHECK_FALSE(guest.services.is_stopping("bot"));
  CHECK(guest.status().state == wire::ServiceState::Stopped);
  CHECK(guest.services.deadline() == -1);
}

TEST_CASE("a signal goes to the process itself, and only to one that runs") {
  Guest guest;
  CHECK(guest.services.signal({"bot", SIGHUP}).error == ENOENT);
  guest.services.start(guest.request());
  CHECK(guest.services.signal({"bot", SIGHUP}).error == 0);
  CHECK(guest.machine.signals == std::vector<std::pair<pid_t, int>>{{101, SIGHUP}});
  CHECK(guest.services.signal({"bot", 64}).error == 0);
  CHECK(guest.services.signal({"bot", 65}).error == EINVAL);
  CHECK(guest.services.signal({"bot", 0}).error == EINVAL);
  guest.exit_with(0);
  CHECK(guest.services.signal({"bot", SIGHUP}).error == ESRCH);
}

TEST_CASE("output ends up in the log, also what comes between two starts") {
  Guest guest;
  guest.services.start(guest.request());
  const int output = guest.machine.outputs[101];
  REQUIRE(::write(output, "first\n", 6) == 6);
  guest.exit_with(1);
  REQUIRE(::write(output, "left behind\n", 12) == 12);
  guest.run_until([&] { return guest.machine.last_pid == 102; });
  REQUIRE(::write(guest.machine.outputs[102], "second\n", 7) == 7);
  const auto log = guest.folder.path() / "bot.log";
  guest.run_until([&] { return sys::read_file(log) == "first\nleft behind\nsecond\n"; });
}

TEST_CASE("what a service has written is in its log when it is said to have ended") {
  Guest guest;
  auto request = guest.request();
  request.restart = wire::Restart::Never;
  request.log_limit = wire::max_log_limit;
  guest.services.start(request);
  const std::string text(60'000, 'x');
  REQUIRE(::write(guest.machine.outputs[101], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  guest.exit_with(3);
  CHECK(guest.status().state == wire::ServiceState::Failed);
  CHECK(sys::read_file(guest.folder.path() / "bot.log") == text);
}

TEST_CASE("what makes no sense is refused before anything is made") {
  Guest guest;
  const auto error = [&](auto change) {
    auto request = guest.request();
    change(request);
    return guest.services.start(request).error;
  };
  CHECK(error([](auto& r) { r.name = "a/b"; }) == EINVAL);
  CHECK(error([](auto& r) { r.log_limit = 1; }) == EINVAL);
  CHECK(error([](auto& r) { r.log_limit = ~std::uint64_t{0}; }) == EINVAL);
  CHECK(error([](auto& r) { r.backoff_first_ms = 0; }) == EINVAL);
  CHECK(error([](auto& r) { r.backoff_longest_ms = 0; }) == EINVAL);
  CHECK(error([](auto& r) { r.backoff_longest_ms = ~0U; }) == EINVAL);
  CHECK(error([](auto& r) { r.log = "x.log"; }) == EINVAL);
  guest.machine.broken = true;
  CHECK(error([](auto&) {}) == ENOENT);
  CHECK(guest.services.list().list.empty());
  guest.machine.broken = false;
  CHECK(error([](auto& r) { r.log_limit = wire::max_log_limit; }) == 0);
  guest.exit_with(0);
  CHECK(error([](auto& r) { r.backoff_longest_ms = wire::max_backoff_ms; }) == 0);
}

TEST_CASE("there is a limit to services that run, and none to those that have") {
  Guest guest;
  for (std::size_t i = 0; i < wire::max_services; ++i)
    REQUIRE(guest.services.start(guest.request("s" + std::to_string(i))).error == 0);
  CHECK(guest.services.start(guest.request("more")).error == EAGAIN);
  guest.exit_with(0);
  CHECK(guest.services.start(guest.request("more")).error == 0);
  CHECK(guest.services.list().list.size() == wire::max_services);
}

TEST_CASE("of services that have ended the oldest is forgotten first, whatever it is called") {
  Guest guest;
  for (std::size_t i = wire::max_services; i > 0; --i) {
    auto request = guest.request("s" + std::to_string(i));
    request.restart = wire::Restart::Never;
    REQUIRE(guest.services.start(request).error == 0);
    guest.exit_with(0);
  }
  const auto first = "s" + std::to_string(wire::max_services);
  const auto second = "s" + std::to_string(wire::max_services - 1);
  CHECK(guest.status(first).name == first);
  CHECK(guest.services.start(guest.request("more")).error == 0);
  CHECK(guest.status(first).name.empty());
  CHECK(guest.status(second).name == second);
  CHECK(guest.services.start(guest.request("again")).error == 0);
  CHECK(guest.status(second).name.empty());
  CHECK(guest.services.list().list.size() == wire::max_services);
}

TEST_CASE("in a shutdown all are stopped and none is started") {
  Guest guest;
  guest.services.start(guest.request());
  auto other = guest.request("other");
  other.backoff_first_ms = other.backoff_longest_ms = 60'000;
  guest.services.start(other);
  guest.services.child_ended(102, 1 << 8);
  guest.services.shut_down(60'000);
  CHECK_FALSE(guest.services.idle());
  CHECK(guest.services.start(guest.request("late")).error == ESHUTDOWN);
  guest.services.child_ended(101, 1 << 8);
  CHECK(guest.services.idle());
  CHECK(guest.services.deadline() == -1);
  CHECK(guest.status("other").state == wire::ServiceState::Stopped);
}

}  // namespace fireclaw::guestd
