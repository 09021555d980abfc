#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <string>

#include "support.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using test::Removal;
using test::shell;

namespace {

ServiceOptions service(const std::string& line, const std::string& name = "worker") {
  ServiceOptions options;
  options.name = name;
  options.argv = {"/bin/sh", "-c", line};
  options.backoff_first = 10ms;
  options.backoff_longest = 1s;
  return options;
}

ServiceInfo find(VM& vm, const std::string& name = "worker") {
  const auto services = vm.services();
  const auto found = std::ranges::find(services, name, &ServiceInfo::name);
  REQUIRE(found != services.end());
  return *found;
}

/// Asks again until the service is as it should be.
ServiceInfo await(VM& vm, const std::function<bool(const ServiceInfo&)>& wanted) {
  const auto limit = std::chrono::steady_clock::now() + 30s;
  for (;;) {
    const auto info = find(vm);
    if (wanted(info)) return info;
    REQUIRE(std::chrono::steady_clock::now() < limit);
  }
}

/// Waits, in the guest, until a file has a line; the file's text then.
std::string await_line(VM& vm, const std::string& file, const std::string& line) {
  auto options =
      ExecOptions::shell("until grep -q '" + line + "' " + file + " 2>/dev/null; do sleep 0.05; done; cat " + file);
  options.timeout = 30s;
  const auto result = vm.exec(options);
  REQUIRE_FALSE(result.timed_out);
  return result.out;
}

}  // namespace

TEST_CASE("a service outlives the handle that started it, and is found by the next") {
  const auto host = test::open_host();
  VMConfig config;
  config.detached = true;
  std::string id;
  std::uint32_t pid = 0;
  {
    auto vm = host.vms().run(config);
    id = vm.info().id;
    CHECK(vm.services().empty());
    vm.start_service(service("echo up; exec sleep 1000"));
    pid = find(vm).pid;
    CHECK(test::error_of([&] { vm.start_service(service("true")); }).code() == ErrorCode::AlreadyExists);
  }
  auto again = host.vms().attach(id);
  CHECK(find(again).state == ServiceState::Running);
  CHECK(find(again).pid == pid);
  CHECK(await_line(again, "/var/log/fireclaw/worker.log", "up") == "up\n");
  again.stop_service("worker", 5s);
  CHECK(find(again).state == ServiceState::Stopped);
  CHECK(shell(again, "ps | grep -c '[s]leep 1000' || true") == "0");
  again.kill();
}

TEST_CASE("a service that dies is started again") {
  auto vm = test::fresh_vm();
  vm.start_service(service("echo started; exec sleep 1000"));
  const auto first = find(vm);
  CHECK(first.restarts == 0);
  shell(vm, "kill -9 " + std::to_string(first.pid));
  const auto second =
      await(vm, [&](const ServiceInfo& now) { return now.state == ServiceState::Running && now.pid != first.pid; });
  CHECK(second.restarts == 1);
  CHECK(second.signal == SIGKILL);
  vm.signal_service("worker", SIGTERM);
  CHECK(await(vm, [](const ServiceInfo& now) { return now.restarts == 2; }).exit_code == 128 + SIGTERM);
}

TEST_CASE("services run on in every machine restored from a snapshot, each on its own") {
  const auto host = test::open_host();
  const Removal removal{"services-test"};
  auto original = test::fresh_vm();
  original.start_service(
      service("trap 'echo hello from $(hostname)' USR1; echo up; while :; do sleep 1000 & wait; done"));
  await_line(original, "/var/log/fireclaw/worker.log", "up");
  const auto pid = find(original).pid;
  const auto snapshot = original.snapshot("services-test");
  CHECK(find(original).pid == pid);

  VMConfig config;
  config.hostname = "one";
  auto one = snapshot.restore(config);
  config.hostname = "two";
  auto two = snapshot.restore(config);
  for (auto* vm : {&one, &two}) {
    CHECK(find(*vm).state == ServiceState::Running);
    CHECK(find(*vm).pid == pid);
    CHECK(find(*vm).restarts == 0);
    vm->signal_service("worker", SIGUSR1);
  }
  CHECK(await_line(one, "/var/log/fireclaw/worker.log", "hello") == "up\nhello from one\n");
  CHECK(await_line(two, "/var/log/fireclaw/worker.log", "hello") == "up\nhello from two\n");
  one.stop_service("worker");
  CHECK(find(one).state == ServiceState::Stopped);
  CHECK(find(two).state == ServiceState::Running);
  CHECK(find(original).state == ServiceState::Running);
}

TEST_CASE("a service's log is bounded, however much it writes") {
  auto vm = test::fresh_vm();
  auto options = service("seq 1 20000");
  options.log = "/tmp/logs/numbers.log";
  options.log_limit_bytes = 8192;
  options.restart = RestartPolicy::Never;
  vm.start_service(options);
  const auto last = await_line(vm, "/tmp/logs/numbers.log", "^20000$");
  CHECK(last.ends_with("\n20000\n"));
  CHECK(std::stoi(shell(vm, "stat -c %s /tmp/logs/numbers.log")) <= 8192);
  CHECK(std::stoi(shell(vm, "stat -c %s /tmp/logs/numbers.log.1")) <= 8192);
  CHECK(shell(vm, "ls /tmp/logs | wc -l") == "2");
  CHECK(await(vm, [](const ServiceInfo& now) { return now.state == ServiceState::Stopped; }).exit_code == 0);
}
