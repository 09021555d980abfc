#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>

#include "support.hpp"

using namespace fireclaw;
using test::shell;

namespace {

bool is_listed(const std::string& id) {
  const auto machines = test::open_host().vms().list();
  return std::ranges::any_of(machines, [&](const VMInfo& info) { return info.id == id; });
}

bool folder_exists(const std::string& id) { return std::filesystem::exists(test::home() / "runs" / id); }

}  // namespace

TEST_CASE("a machine is listed while it runs and gone with its handle") {
  std::string id;
  std::int64_t pid = 0;
  {
    auto vm = test::fresh_vm();
    id = vm.info().id;
    pid = vm.info().engine_pid;
    CHECK(vm.info().state == VMState::Running);
    CHECK(is_listed(id));
    CHECK(test::process_runs(pid));
  }
  CHECK_FALSE(is_listed(id));
  CHECK_FALSE(folder_exists(id));
  // Not waited for, and not left for long.
  CHECK(test::wait_gone(pid, std::chrono::seconds{10}));
  CHECK_FALSE(test::process_runs(pid));
}

TEST_CASE("the library's own objects may be destroyed in any order") {
  std::optional<Host> host{test::open_host()};
  auto vm = host->vms().run({});
  host.reset();
  CHECK(shell(vm, "echo alive") == "alive");
}

TEST_CASE("a machine boots cold when told to, and says how long each part took") {
  VMConfig config;
  config.start = StartMode::Cold;
  auto vm = test::open_host().vms().run(config);
  CHECK(shell(vm, "echo cold") == "cold");
  const auto info = vm.info();
  CHECK(info.snapshot.empty());
  CHECK_FALSE(info.phases.empty());
  CHECK(std::ranges::all_of(info.phases, [](const Phase& phase) { return phase.duration.count() >= 0; }));
}

TEST_CASE("where no snapshot fits, the machine boots cold and says so once, with the remedy") {
  test::LogLines log;
  VMConfig config;
  config.memory_mib = 144;
  auto vm = test::open_host(log.sink()).vms().run(config);
  CHECK(shell(vm, "echo cold") == "cold");
  CHECK(log.contain("booting cold"));
  CHECK(log.contain("fireclaw snapshot create --image busybox --cpus 1 --memory 144"));
  config.start = StartMode::RequireSnapshot;
  CHECK(test::error_of([&] { return test::open_host().vms().run(config); }).code() == ErrorCode::NotFound);
}

TEST_CASE("a guest has the memory that was asked for") {
  VMConfig config;
  config.memory_mib = 200;
  auto vm = test::open_host().vms().run(config);
  const auto kib = std::stol(shell(vm, "awk '/MemTotal/ { print $2 }' /proc/meminfo"));
  CHECK(kib < 200 * 1024);
  CHECK(kib > 140 * 1024);
}

TEST_CASE("a paused machine runs nothing, and continues") {
  auto vm = test::fresh_vm();
  shell(vm, "(while :; do echo x >> /tmp/ticks; sleep 0.1; done) > /dev/null 2>&1 &");
  vm.pause();
  vm.pause();
  CHECK(vm.info().state == VMState::Paused);
  CHECK(test::error_of([&] { vm.exec(ExecOptions::shell("true")); }).code() == ErrorCode::InvalidState);
  vm.resume();
  vm.resume();
  CHECK(vm.info().state == VMState::Running);
  CHECK(shell(vm, "echo on") == "on");
}

TEST_CASE("an orderly stop ends processes by SIGTERM and then the engine") {
  auto vm = test::fresh_vm();
  const auto info = vm.info();
  shell(vm, "echo up");
  vm.stop(std::chrono::seconds{2});
  CHECK(vm.info().state == VMState::Stopped);
  CHECK_FALSE(test::process_runs(info.engine_pid));
  CHECK_FALSE(folder_exists(info.id));
  CHECK(test::error_of([&] { vm.exec(ExecOptions::shell("true")); }).code() == ErrorCode::InvalidState);
}

TEST_CASE("a detached machine outlives its handle and is found again by its id") {
  const auto host = test::open_host();
  VMConfig config;
  config.detached = true;
  std::string id;
  {
    auto vm = host.vms().run(config);
    shell(vm, "echo memory > /tmp/note");
    id = vm.info().id;
  }
  CHECK(is_listed(id));
  {
    auto again = host.vms().attach(id);
    CHECK(shell(again, "cat /tmp/note") == "memory");
    again.pause();
  }
  {
    auto paused = host.vms().attach(id);
    CHECK(paused.info().state == VMState::Paused);
    paused.resume();
    CHECK(shell(paused, "cat /tmp/note") == "memory");
  }
  host.vms().kill(id);
  CHECK_FALSE(is_listed(id));
  CHECK_FALSE(folder_exists(id));
  CHECK(test::error_of([&] { return host.vms().attach(id); }).code() == ErrorCode::NotFound);
  CHECK(test::error_of([&] { host.vms().kill(id); }).code() == ErrorCode::NotFound);
}

TEST_CASE("a guest that ends in mid-command is an error that says what happened") {
  auto vm = test::fresh_vm();
  const auto began = std::chrono::steady_clock::now();
  const auto error = test::error_of([&] { vm.exec(ExecOptions::shell("echo b > /proc/sysrq-trigger; sleep 100")); });
  CHECK(error.code() == ErrorCode::Guest);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds{20});
}

TEST_CASE("an engine killed from outside is an error, not a hang") {
  auto vm = test::fresh_vm();
  shell(vm, "echo up");
  ::kill(static_cast<pid_t>(vm.info().engine_pid), SIGKILL);
  const auto error = test::error_of([&] { vm.exec(ExecOptions::shell("sleep 100")); });
  CHECK(error.code() == ErrorCode::Guest);
  CHECK(std::string{error.what()}.find("killed by signal 9") != std::string::npos);
}

TEST_CASE("a machine dies with a process that is killed, and its folder is garbage") {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    auto vm = test::fresh_vm();
    const auto info = vm.info();
    const auto text = info.id + " " + std::to_string(info.engine_pid) + "\n";
    if (::write(ends[1], text.data(), text.size()) < 0) ::_exit(1);
    for (;;) ::pause();
  }
  ::close(ends[1]);
  std::string line;
  for (char c = 0; ::read(ends[0], &c, 1) == 1 && c != '\n';) line += c;
  ::close(ends[0]);
  const auto id = line.substr(0, line.find(' '));
  const auto pid = std::stoll(line.substr(line.find(' ')));
  CHECK(is_listed(id));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  CHECK(test::wait_gone(pid, std::chrono::seconds{5}));
  CHECK(folder_exists(id));
  auto host = test::open_host();
  const auto report = host.collect_garbage();
  CHECK_FALSE(folder_exists(id));
  CHECK(std::ranges::count(report.removed, test::home() / "runs" / id) == 1);
}

TEST_CASE("a machine takes no more than a mebibyte of disk") {
  auto vm = test::fresh_vm();
  shell(vm, "dd if=/dev/zero of=/tmp/data bs=1M count=8 2>/dev/null; sync");
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{test::home() / "runs" / vm.info().id}) {
    // Firecracker finds its disks by links.
    if (entry.is_regular_file() && !entry.is_symlink()) bytes += entry.file_size();
  }
  CHECK(bytes < (1 << 20));
}

TEST_CASE("what can never work is refused before anything starts") {
  const auto host = test::open_host();
  const auto code = [&](auto change) {
    VMConfig config;
    change(config);
    return test::error_of([&] { return host.vms().create(config); }).code();
  };
  CHECK(code([](VMConfig& c) { c.cpus = 0; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.cpus = 1000; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.memory_mib = 1; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.image = "no-such-image"; }) == ErrorCode::NotFound);
  CHECK(code([](VMConfig& c) { c.image = "../x"; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.image = ""; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.image = std::string(300, 'a'); }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.snapshot = "no-such-snapshot"; }) == ErrorCode::NotFound);
  CHECK(code([](VMConfig& c) { c.hostname = "-x-"; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) {
          c.snapshot = "x";
          c.start = StartMode::Cold;
        }) == ErrorCode::InvalidArgument);
}

TEST_CASE("without setup a machine is refused with the remedy") {
  const test::TempFolder folder;
  HostOptions options;
  options.home = folder.path() / "home";
  const auto host = Host::open(options);
  CHECK_FALSE(host.is_set_up());
  const auto error = test::error_of([&] { return host.vms().run({}); });
  CHECK(error.code() == ErrorCode::InvalidState);
  CHECK(std::string{error.what()}.find("fireclaw setup") != std::string::npos);
}
