#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "fireclaw/error.hpp"
#include "guest/testing/fake_guest.hpp"
#include "guest/testing/guestd_process.hpp"
#include "guest/wire/service.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::guest {
namespace {

using namespace std::chrono_literals;
using sys::testing::thrown_by;
using testing::FakeGuest;
using testing::GuestdProcess;
using testing::soon;

/// A folder for logs, and services that keep theirs in it.
struct Place {
  const sys::TempDir folder{"/tmp", "fireclaw-service-"};
  std::filesystem::path path(const std::string& name) const { return folder.path() / name; }
  std::string text(const std::string& name) const { return sys::read_file(path(name)); }
  ServiceOptions service(const std::string& line, const std::string& name = "bot") const {
    ServiceOptions options;
    options.name = name;
    options.argv = {"/bin/sh", "-c", line};
    options.log = path(name + ".log");
    options.backoff_first = 1ms;
    options.backoff_longest = 20ms;
    return options;
  }
};

std::optional<ServiceInfo> find(Session& session, const std::string& name = "bot") {
  for (const ServiceInfo& info : session.services(soon()))
    if (info.name == name) return info;
  return std::nullopt;
}

/// Asks again and again until the service is as it should be; fails the test if that never comes.
ServiceInfo await(Session& session, const std::function<bool(const ServiceInfo&)>& wanted) {
  const Deadline deadline = soon();
  for (;;) {
    const std::optional<ServiceInfo> info = find(session);
    if (info && wanted(*info)) return *info;
    deadline.check("waiting for a service");
  }
}

/// Waits until a file has something in it that `wanted` likes.
void await_text(Session& session, const std::filesystem::path& file,
                const std::function<bool(const std::string&)>& wanted) {
  const Deadline deadline = soon();
  while (!std::filesystem::exists(file) || !wanted(sys::read_file(file))) {
    deadline.check("waiting for a file");
    session.ping(soon());
  }
}

bool process_exists(std::uint32_t pid) { return sys::identify(static_cast<pid_t>(pid)).has_value(); }

void await_end(std::uint32_t pid) {
  const auto id = sys::identify(static_cast<pid_t>(pid));
  if (!id) return;
  if (const auto ended = sys::open_pidfd(*id)) sys::require_fd(ended->get(), POLLIN, soon(), "the end of a process");
}

}  // namespace

TEST_CASE("a service runs on when the host that started it hangs up, and the next host finds it") {
  const Place place;
  GuestdProcess guestd{2};
  std::uint32_t pid = 0;
  {
    Session first = guestd.open();
    CHECK(first.services(soon()).empty());
    first.service_start(place.service("echo up; exec sleep 1000"), soon());
    const auto info = find(first);
    REQUIRE(info);
    CHECK(info->state == ServiceState::Running);
    CHECK(info->restarts == 0);
    pid = info->pid;
  }
  Session second = guestd.open();
  const auto info = find(second);
  REQUIRE(info);
  CHECK(info->state == ServiceState::Running);
  CHECK(info->pid == pid);
  CHECK(process_exists(pid));
  await_text(second, place.path("bot.log"), [](const std::string& text) { return text == "up\n"; });
  CHECK(await(second, [](const ServiceInfo& now) { return now.uptime > 0ms; }).pid == pid);
}

TEST_CASE("the name of a service that runs is taken; after a stop it is free again") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  session.service_start(place.service("exec sleep 1000"), soon());
  const std::uint32_t pid = find(session)->pid;
  const Error taken = thrown_by([&] { session.service_start(place.service("true"), soon()); });
  CHECK(taken.code() == ErrorCode::AlreadyExists);
  CHECK(std::string{taken.what()}.find("service 'bot' runs already") != std::string::npos);
  session.service_stop("bot", 10s, soon());
  CHECK_FALSE(process_exists(pid));
  CHECK(find(session)->state == ServiceState::Stopped);
  CHECK(find(session)->signal == SIGTERM);
  session.service_start(place.service("exec sleep 1000"), soon());
  CHECK(find(session)->pid != pid);
}

TEST_CASE("a service that is killed is started again, with its children gone") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  session.service_start(place.service("sleep 1000 & echo child $!; wait"), soon());
  const std::uint32_t first = find(session)->pid;
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text.ends_with('\n'); });
  const auto child = static_cast<std::uint32_t>(std::stoul(place.text("bot.log").substr(6)));
  ::kill(static_cast<pid_t>(first), SIGKILL);
  const ServiceInfo again =
      await(session, [&](const ServiceInfo& now) { return now.state == ServiceState::Running && now.pid != first; });
  CHECK(again.restarts == 1);
  CHECK(again.signal == SIGKILL);
  CHECK(again.exit_code == 128 + SIGKILL);
  await_end(child);
}

TEST_CASE("what ends by itself is started again or not, as its policy says") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  const auto outcome = [&](RestartPolicy policy, const std::string& line) {
    ServiceOptions options = place.service(line);
    options.restart = policy;
    session.service_start(options, soon());
    return await(session,
                 [](const ServiceInfo& now) { return now.state != ServiceState::Running || now.restarts > 0; });
  };
  ServiceInfo info = outcome(RestartPolicy::Never, "exit 3");
  CHECK(info.state == ServiceState::Failed);
  CHECK(info.exit_code == 3);
  CHECK(outcome(RestartPolicy::OnFailure, "exit 0").state == ServiceState::Stopped);
  ServiceOptions options = place.service("exit 0", "eager");
  options.restart = RestartPolicy::Always;
  session.service_start(options, soon());
  const Deadline deadline = soon();
  while (find(session, "eager")->restarts < 3) deadline.check("waiting for restarts");
  session.service_stop("eager", 1s, soon());
  CHECK(find(session, "eager")->state == ServiceState::Stopped);
}

TEST_CASE("a stop lets a service end in order, and kills one that will not") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  session.service_start(place.service("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"), soon());
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text == "up\n"; });
  session.service_stop("bot", 20s, soon());
  CHECK(find(session)->exit_code == 0);
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text.ends_with("bye\n"); });

  session.service_start(place.service("trap '' TERM; echo deaf; while :; do sleep 0.05; done"), soon());
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text.ends_with("deaf\n"); });
  const auto asked = std::chrono::steady_clock::now();
  session.service_stop("bot", 100ms, soon());
  CHECK(std::chrono::steady_clock::now() - asked >= 100ms);
  CHECK(find(session)->signal == SIGKILL);
  CHECK(find(session)->state == ServiceState::Stopped);
}

TEST_CASE("a signal reaches the service's own process and not its children") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  session.service_start(place.service("trap 'echo reload' HUP; sleep 1000 & echo up $!; while :; do wait; done"),
                        soon());
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text.ends_with('\n'); });
  const auto child = static_cast<std::uint32_t>(std::stoul(place.text("bot.log").substr(3)));
  session.service_signal("bot", SIGHUP, soon());
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text.ends_with("reload\n"); });
  CHECK(process_exists(child));
  CHECK(thrown_by([&] { session.service_signal("other", SIGHUP, soon()); }).code() == ErrorCode::NotFound);
  CHECK(thrown_by([&] { session.service_signal("bot", 99, soon()); }).code() == ErrorCode::InvalidArgument);
  session.service_stop("bot", 0ms, soon());
  CHECK(thrown_by([&] { session.service_signal("bot", SIGHUP, soon()); }).code() == ErrorCode::InvalidState);
}

TEST_CASE("a service that writes without end is not held up, and its log stays small") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  ServiceOptions options = place.service("seq 1 200000; echo done > " + place.path("done").string());
  options.log_limit_bytes = 8192;
  options.restart = RestartPolicy::Never;
  session.service_start(options, soon());
  await_text(session, place.path("done"), [](const std::string& text) { return text == "done\n"; });
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text.ends_with("\n200000\n"); });
  CHECK(std::filesystem::file_size(place.path("bot.log")) <= 8192);
  CHECK(std::filesystem::file_size(place.path("bot.log.1")) <= 8192);
  const std::string old = place.text("bot.log.1");
  const std::string now = place.text("bot.log");
  CHECK(std::stoul(now) == std::stoul(old.substr(old.rfind('\n', old.size() - 2) + 1)) + 1);
}

TEST_CASE("a service has the environment, folder and user that were asked for, and errors in its log") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  ServiceOptions options = place.service("echo $GREETING; pwd; id -u; echo oops >&2; read line || echo no input");
  options.env = {{"GREETING", "good day"}};
  options.cwd = "/usr";
  if (::geteuid() == 0) options.user = "nobody";
  options.restart = RestartPolicy::Never;
  session.service_start(options, soon());
  const std::string user = std::to_string(::geteuid() == 0 ? 65534 : ::geteuid());
  const std::string expected = "good day\n/usr\n" + user + "\noops\nno input\n";
  await_text(session, place.path("bot.log"), [&](const std::string& text) { return text == expected; });
}

TEST_CASE("what cannot be started is an error that says why, and is not listed") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  const auto error = [&](auto change) {
    ServiceOptions options = place.service("true");
    change(options);
    return thrown_by([&] { session.service_start(options, soon()); });
  };
  const Error missing = error([](auto& options) { options.argv = {"no-such-program"}; });
  CHECK(missing.code() == ErrorCode::NotFound);
  CHECK(std::string{missing.what()} == "starting service 'bot': 'no-such-program': command not found");
  CHECK(error([](auto& options) { options.user = "no-such-user"; }).code() == ErrorCode::NotFound);
  sys::write_file_atomic(place.path("secret"), "");
  std::filesystem::create_symlink("secret", place.path("link"));
  const Error link = error([&](auto& options) { options.log = place.path("link"); });
  CHECK(std::string{link.what()}.find("cannot open the log of service 'bot'") != std::string::npos);
  for (const auto& change : std::vector<std::function<void(ServiceOptions&)>>{
           [](auto& options) { options.name = "a/b"; }, [](auto& options) { options.argv.clear(); },
           [](auto& options) { options.log = "x.log"; }, [](auto& options) { options.log_limit_bytes = 1; },
           [](auto& options) { options.backoff_first = 0ms; }, [](auto& options) { options.backoff_longest = 0ms; },
           [](auto& options) { options.backoff_longest = 48h; }})
    CHECK(error(change).code() == ErrorCode::InvalidArgument);
  CHECK(session.services(soon()).empty());
}

TEST_CASE("in an orderly shutdown services are asked first and have the grace") {
  const Place place;
  GuestdProcess guestd;
  Session session = guestd.open();
  session.service_start(place.service("trap 'sleep 0.2; echo saved > " + place.path("saved").string() +
                                      "; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
                        soon());
  await_text(session, place.path("bot.log"), [](const std::string& text) { return text == "up\n"; });
  session.shutdown(10s, soon());
  const auto status = guestd.child().wait(soon());
  REQUIRE(status);
  // Of a guest that was shut down, not of one whose host has hung up.
  CHECK(status->code == 7);
  CHECK(place.text("saved") == "saved\n");
}

TEST_CASE("services end with a guestd that is an ordinary process") {
  const Place place;
  std::uint32_t pid = 0;
  {
    GuestdProcess guestd;
    {
      Session session = guestd.open();
      session.service_start(place.service("exec sleep 1000"), soon());
      pid = find(session)->pid;
    }
    REQUIRE(guestd.child().wait(soon()));
  }
  await_end(pid);
}

TEST_CASE("a host that goes away while it waits for a stop lets the stop continue") {
  const Place place;
  GuestdProcess guestd{2};
  {
    Session first = guestd.open();
    first.service_start(place.service("trap '' TERM; echo deaf; while :; do sleep 0.05; done"), soon());
    await_text(first, place.path("bot.log"), [](const std::string& text) { return text == "deaf\n"; });
    // Long enough that a busy host has sent it.
    CHECK(thrown_by([&] { first.service_stop("bot", 1s, Deadline::after(300ms)); }).code() == ErrorCode::Timeout);
  }
  Session second = guestd.open();
  CHECK(await(second, [](const ServiceInfo& now) { return now.state == ServiceState::Stopped; }).signal == SIGKILL);
}

TEST_CASE("steps that make no sense are the guest's fault, and a guest that does not tell them is not asked") {
  const auto told = [](std::vector<wire::Step> list) {
    wire::StepTimes times;
    times.list = std::move(list);
    return wire::encode(times);
  };
  for (const auto& payload :
       {told({{"\x1b[2J", 1}}), told({{"b", 2}, {"a", 1}}), told({{"a", ~0ULL}}), told({{std::string(33, 'a'), 1}}),
        told(std::vector<wire::Step>(wire::max_steps + 1)), std::string{"x"}}) {
    FakeGuest guest{[&](FakeGuest& self) {
      wire::Hello hello;
      hello.features = wire::feature_steps;
      self.greet(hello);
      self.send(wire::Type::StepTimes, self.await_frame().channel, payload);
      self.await_hang_up();
    }};
    Session session = Session::open(guest.take_stream(), {}, {}, soon());
    CHECK(thrown_by([&] { session.steps(soon()); }).code() == ErrorCode::Guest);
  }
  FakeGuest guest{[&](FakeGuest& self) {
    self.greet();
    self.await_hang_up();
  }};
  CHECK(Session::open(guest.take_stream(), {}, {}, soon()).steps(soon()).empty());
}

TEST_CASE("a list of services that makes no sense is the guest's fault and ends the session") {
  const auto list = [](auto change) {
    wire::Services answer;
    answer.list.resize(1);
    answer.list[0].name = "bot";
    change(answer.list);
    return std::pair{wire::Type::Services, wire::encode(answer)};
  };
  for (const auto& [type, payload] :
       {list([](auto& all) { all[0].name = "../etc"; }), list([](auto& all) { all[0].code = -1; }),
        list([](auto& all) { all[0].code = 256; }), list([](auto& all) { all[0].signal = -1; }),
        list([](auto& all) { all[0].signal = 65; }),
        list([](auto& all) { all[0].problem.assign(wire::max_service_problem_bytes + 1, 'x'); }),
        list([](auto& all) { all.resize(wire::max_services + 1, all[0]); }),
        std::pair{wire::Type::Services, std::string{"rubbish"}},
        std::pair{wire::Type::Done, wire::encode(wire::Done{})}}) {
    FakeGuest guest{[&, type = type, payload = payload](FakeGuest& self) {
      self.greet();
      self.send(type, self.await_frame().channel, payload);
      self.await_hang_up();
    }};
    Session session = Session::open(guest.take_stream(), {}, {}, soon());
    CHECK(thrown_by([&] { session.services(soon()); }).code() == ErrorCode::Guest);
    CHECK(thrown_by([&] { session.ping(soon()); }).code() == ErrorCode::Guest);
  }
}

}  // namespace fireclaw::guest
