// Starting, reaching and ending machines, against the stand-in.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <span>
#include <thread>

#include "base/scope.hpp"
#include "contract/engine_fixture.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/socket.hpp"
#include "sys/testing/namespace_keeper.hpp"

namespace fireclaw::contract {
namespace {

using namespace std::chrono_literals;
using vmm::firecracker::binary_version;

bool has_sockets(const std::filesystem::path& run_dir) {
  for (const auto& entry : std::filesystem::directory_iterator{run_dir}) {
    if (entry.is_socket()) return true;
  }
  return false;
}

TEST_CASE_FIXTURE(EngineFixture, "a confined engine boots, is reached, saved and restored, and sees nothing else") {
  constexpr sys::IdRange users{1'900'000'000, 2};
  const auto confinable = sys::find_confinement(users, {"/usr/bin", "/bin"});
  if (confinable.level != sys::Confinement::Full || !std::filesystem::exists("/dev/kvm")) {
    MESSAGE("skipped: no namespaces, or no /dev/kvm: " << confinable.obstacle);
    return;
  }
  const auto user = ::geteuid() == 0 && confinable.ids ? std::optional{users.first} : std::nullopt;
  const auto confined = vmm::firecracker::make_driver({program, "1.17.0-dev", {}, confinable.level});
  const auto machine = [&](const std::string& id) {
    auto made = spec(id);
    made.user = user;
    return made;
  };
  const auto check = [&](const vmm::Instance& instance) {
    const auto pid = instance.record().process.pid;
    const auto seen = sys::see_confinement(pid);
    CHECK(seen.user == user.value_or(::geteuid()));
    CHECK_FALSE(seen.capabilities);
    CHECK(seen.no_new_privileges);
    CHECK(seen.namespaces == std::vector<std::string>{"mnt", "pid", "net", "user", "ipc", "uts"});
    CHECK_FALSE(std::filesystem::exists(fmt::format("/proc/{}/root/etc/passwd", pid)));
    CHECK_FALSE(std::filesystem::exists(fmt::format("/proc/{}/root{}.knobs", pid, program.string())));
  };
  const auto first = confined->launch(machine("first"), soon());
  check(*first);
  auto stream = first->connect_guest(Deadline::after(10s), {});
  CHECK(round_trip(stream.stream.get(), "hi\n") == "hi\n");
  first->snapshot(files(), Deadline::after(10s));
  const auto clone = confined->restore(machine("second"), files(), soon());
  check(*clone);
  stream = clone->connect_guest(Deadline::after(10s), {});
  CHECK(round_trip(stream.stream.get(), "on\n") == "on\n");
}

TEST_CASE_FIXTURE(EngineFixture, "a machine starts, its guest dials in, and each phase is told") {
  std::string phases;
  auto options = soon();
  options.on_phase = [&](std::string_view name, std::chrono::nanoseconds took) {
    CHECK(took >= 0ns);
    phases += std::string{name} + " ";
  };
  const auto instance = driver()->launch(spec("a"), options);
  CHECK(phases == "spawn api configure boot ");
  const auto first = instance->connect_guest(Deadline::after(10s), {});
  CHECK(round_trip(first.stream.get(), "one\n") == "one\n");
  const auto second = instance->connect_guest(Deadline::after(10s), {});
  CHECK(round_trip(second.stream.get(), "two\n") == "two\n");
  CHECK(round_trip(first.stream.get(), "three\n") == "three\n");
  CHECK(instance->exit_reason().empty());
  CHECK(instance->record().engine == "firecracker");
  CHECK(sys::is_alive(instance->record().process));
}

TEST_CASE_FIXTURE(EngineFixture, "an engine whose tap is elsewhere is started there, and has no capability") {
  const sys::testing::Keeper keeper;
  const auto namespaces = keeper.namespaces();
  auto machine = spec("a");
  machine.nics = {{"eth0", "02:fc:00:00:00:01", vmm::TapBackend{"fcbr0-elsewhere"}}};
  CHECK(failure([&] { (void)driver()->launch(machine, soon()); }) == ErrorCode::NotFound);
  machine.network_namespace = {namespaces.user.get(), namespaces.network.get()};
  const auto instance = driver()->launch(machine, soon());
  const auto engine = instance->record().process.pid;
  const auto process = std::filesystem::path{"/proc"} / std::to_string(engine);
  CHECK(std::filesystem::read_symlink(process / "ns/net") == keeper.network());
  CHECK_FALSE(sys::see_confinement(engine).capabilities);
}

TEST_CASE_FIXTURE(EngineFixture, "before the guest is up the connection waits for it, and is not turned down") {
  set_knobs("boot_ms=300\n");
  const auto instance = driver()->launch(spec("a"), soon());
  const auto before = std::chrono::steady_clock::now();
  const auto stream = instance->connect_guest(Deadline::after(10s), {});
  CHECK(std::chrono::steady_clock::now() - before >= 200ms);
  CHECK(round_trip(stream.stream.get(), "hello\n") == "hello\n");
}

TEST_CASE_FIXTURE(EngineFixture, "a guest that never comes up is a timeout, and the console can be looked at") {
  set_knobs("no_guest=1\nconsole=Kernel panic - not syncing: no init\n");
  const auto instance = driver()->launch(spec("a"), soon());
  CHECK(failure([&] { (void)instance->connect_guest(Deadline::after(100ms), {}); }) == ErrorCode::Timeout);
  CHECK(instance->console_tail(1000) == "Kernel panic - not syncing: no init\n");
  std::stop_source stop;
  std::jthread stopper{[&] { stop.request_stop(); }};
  CHECK(failure([&] { (void)instance->connect_guest(Deadline::after(10s), stop.get_token()); }) ==
        ErrorCode::Cancelled);
}

TEST_CASE_FIXTURE(EngineFixture, "a console flood stays small on the host and stops neither guest nor engine") {
  set_knobs("console=" + std::string(1000, 'f') + "\nconsole_times=100000\n");
  const auto machine = spec("a");
  const auto instance = driver()->launch(machine, soon());
  const auto stream = instance->connect_guest(Deadline::after(10s), {});
  CHECK(round_trip(stream.stream.get(), "still here\n") == "still here\n");
  CHECK(instance->console_tail(10).size() == 10);
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator{machine.run_dir}) {
    if (entry.is_regular_file() && !entry.is_symlink()) bytes += sys::allocated_bytes(entry.path());
  }
  CHECK(bytes < (1 << 20));
}

TEST_CASE_FIXTURE(EngineFixture, "a slow start and a socket that does not listen yet are waited for") {
  SUBCASE("slow") { set_knobs("start_ms=300\n"); }
  SUBCASE("not listening") { set_knobs("listen_ms=300\n"); }
  const auto instance = driver()->launch(spec("a"), soon());
  CHECK(round_trip(instance->connect_guest(Deadline::after(10s), {}).stream.get(), "hi\n") == "hi\n");
}

TEST_CASE_FIXTURE(EngineFixture, "an engine that fails to start says why, and leaves nothing behind") {
  const auto machine = spec("a");
  std::string what;
  auto options = soon();
  SUBCASE("it crashes") {
    set_knobs("crash_at_start=no KVM for you\n");
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Vmm);
    CHECK(what.find("exited with status 1") != std::string::npos);
    CHECK(what.find("no KVM for you") != std::string::npos);
  }
  SUBCASE("it hangs") {
    set_knobs("hang_at_start=1\n");
    options.deadline = Deadline::after(200ms);
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Timeout);
  }
  SUBCASE("it never listens") {
    // Not within this test's time.
    set_knobs("listen_ms=3600000\n");
    options.deadline = Deadline::after(200ms);
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Timeout);
  }
  SUBCASE("it stops answering") {
    set_knobs("hang_at=/actions\n");
    options.deadline = Deadline::after(500ms);
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Timeout);
  }
  SUBCASE("it dies before it listens") {
    set_knobs("die_at=listen\n");
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Vmm);
    CHECK(what.find("was killed by signal 9") != std::string::npos);
  }
  SUBCASE("it dies on the way") {
    set_knobs("die_at=/actions\n");
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Vmm);
    CHECK(what.find("was killed by signal 9") != std::string::npos);
  }
  SUBCASE("the user gives up") {
    set_knobs("hang_at_start=1\n");
    std::stop_source stop;
    options.stop = stop.get_token();
    std::jthread stopper{[&] { stop.request_stop(); }};
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Cancelled);
  }
  SUBCASE("the program is not there") {
    std::filesystem::remove(program);
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::NotFound);
  }
  SUBCASE("the program is of another version than it was") {
    set_knobs("version=1.16.1\n");
    CHECK(failure([&] { driver()->launch(machine, options); }, &what) == ErrorCode::Vmm);
    CHECK(what.find("fireclaw setup") != std::string::npos);
  }
  CHECK_FALSE(has_sockets(machine.run_dir));
}

TEST_CASE_FIXTURE(EngineFixture, "what is missing is named before anything is started") {
  auto machine = spec("a");
  set_knobs("crash_at_start=was started\n");
  std::string what;
  std::string name;
  SUBCASE("the kernel") { name = (machine.kernel.file = directory.path() / "no-kernel"); }
  SUBCASE("the initramfs") { name = (machine.initramfs = directory.path() / "no-initramfs"); }
  SUBCASE("a drive") { name = (machine.drives[1].path = directory.path() / "no-drive"); }
  SUBCASE("a tap") {
    name = "nosuchtap9";
    machine.nics = {{"eth0", "02:fc:00:00:00:01", vmm::TapBackend{name}}};
  }
  CHECK(failure([&] { driver()->launch(machine, soon()); }, &what) == ErrorCode::NotFound);
  CHECK(what.find(name) != std::string::npos);
}

TEST_CASE_FIXTURE(EngineFixture, "a user-mode network is refused with a way out") {
  auto machine = spec("a");
  machine.nics = {{"eth0", "02:fc:00:00:00:01", vmm::UserBackend{}}};
  std::string what;
  CHECK(failure([&] { driver()->launch(machine, soon()); }, &what) == ErrorCode::Unsupported);
  CHECK(what.find("--net none") != std::string::npos);
  CHECK_FALSE(driver()->capabilities().user_network);
}

TEST_CASE_FIXTURE(EngineFixture, "Firecracker's own words come through") {
  auto machine = spec("a");
  set_knobs("busy_tap=lo\n");
  machine.nics = {{"eth0", "02:fc:00:00:00:01", vmm::TapBackend{"lo"}}};
  std::string what;
  CHECK(failure([&] { driver()->launch(machine, soon()); }, &what) == ErrorCode::Vmm);
  CHECK(what.find("Open tap device failed") != std::string::npos);
  CHECK(what.find("/network-interfaces/eth0") != std::string::npos);
}

TEST_CASE_FIXTURE(EngineFixture, "an engine's death is noticed at once by those who wait for its guest") {
  set_knobs("no_guest=1\n");
  const auto instance = driver()->launch(spec("a"), soon());
  std::jthread killer{[id = instance->record().process] { sys::send_signal(id, SIGKILL); }};
  std::string what;
  CHECK(failure([&] { (void)instance->connect_guest(Deadline::after(20s), {}); }, &what) == ErrorCode::Vmm);
  CHECK(what.find("was killed by signal 9") != std::string::npos);
  CHECK(failure([&] { instance->pause(Deadline::after(5s)); }) == ErrorCode::Vmm);
  CHECK(instance->wait_exit(Deadline::after(5s), {}));
}

TEST_CASE_FIXTURE(EngineFixture, "a machine is killed from another thread while one waits for it") {
  const auto machine = spec("a");
  const auto instance = driver()->launch(machine, soon());
  CHECK_FALSE(instance->wait_exit(Deadline::after(20ms), {}));
  std::jthread killer{[&] { instance->kill(); }};
  CHECK(instance->wait_exit(Deadline::after(10s), {}));
  killer.join();
  CHECK(instance->exit_reason().find("was killed by signal 9") != std::string::npos);
  CHECK(sys::wait_fd(instance->exit_fd(), POLLIN, Deadline::after(0s)) == sys::WaitResult::Ready);
  CHECK_FALSE(has_sockets(machine.run_dir));
  instance->kill();  // again: no harm
}

TEST_CASE_FIXTURE(EngineFixture, "a guest that reboots ends its engine") {
  const auto instance = driver()->launch(spec("a"), soon());
  const auto stream = instance->connect_guest(Deadline::after(10s), {});
  sys::write_all(stream.stream.get(), "reboot\n");
  CHECK(instance->wait_exit(Deadline::after(10s), {}));
  CHECK(instance->exit_reason() == "exited with status 0");
}

TEST_CASE_FIXTURE(EngineFixture, "what an earlier engine left in the folder is not in the way") {
  const auto machine = spec("a");
  for (int round = 0; round < 2; ++round) {
    auto instance = driver()->launch(machine, soon());
    CHECK(round_trip(instance->connect_guest(Deadline::after(10s), {}).stream.get(), "hi\n") == "hi\n");
    sys::send_signal(instance->record().process, SIGKILL);
    REQUIRE(sys::wait_fd(instance->exit_fd(), POLLIN, Deadline::after(5s)) == sys::WaitResult::Ready);
    CHECK(has_sockets(machine.run_dir));
  }
}

TEST_CASE_FIXTURE(EngineFixture, "a folder whose path is longer than a socket's address works") {
  auto machine = spec("a");
  machine.run_dir = directory.path() / std::string(100, 'r') / "run";
  sys::make_directories(machine.run_dir);
  const auto instance = driver()->launch(machine, soon());
  CHECK(round_trip(instance->connect_guest(Deadline::after(10s), {}).stream.get(), "a\n") == "a\n");
  CHECK(round_trip(instance->connect_guest(Deadline::after(10s), {}).stream.get(), "b\n") == "b\n");
}

TEST_CASE_FIXTURE(EngineFixture, "a machine dies with its instance, unless it is to live on") {
  auto machine = spec("a");
  SUBCASE("ephemeral") { machine.die_with_parent = true; }
  SUBCASE("detached") { machine.die_with_parent = false; }
  vmm::RuntimeRecord record;
  {
    const auto instance = driver()->launch(machine, soon());
    record = instance->record();
  }
  CHECK(sys::is_alive(record.process) == !machine.die_with_parent);
  sys::send_signal(record.process, SIGKILL);
}

TEST_CASE_FIXTURE(EngineFixture, "the stand-in ends with the test that started it, also if that is killed") {
  auto machine = spec("a");
  machine.die_with_parent = false;
  const auto pipe = sys::make_pipe();
  const pid_t test = ::fork();
  if (test == 0) {
    try {
      set_knobs("");
      const auto instance = driver()->launch(machine, soon());
      const auto id = instance->record().process;
      sys::write_all(pipe.write.get(), std::as_bytes(std::span{&id, 1}));
      for (;;) ::pause();
    } catch (const Error&) {
      ::_exit(1);
    }
  }
  const ScopeGuard end{[&] {
    ::kill(test, SIGKILL);
    ::waitpid(test, nullptr, 0);
  }};
  sys::ProcessId id;
  sys::require_fd(pipe.read.get(), POLLIN, Deadline::after(20s), "the other test");
  REQUIRE(sys::read_some(pipe.read.get(), std::as_writable_bytes(std::span{&id, 1})) == sizeof id);
  const auto engine = sys::open_pidfd(id);
  REQUIRE(engine);
  CHECK(sys::wait_fd(engine->get(), POLLIN, Deadline::after(50ms)) == sys::WaitResult::Timeout);
  ::kill(test, SIGKILL);
  CHECK(sys::wait_fd(engine->get(), POLLIN, Deadline::after(10s)) == sys::WaitResult::Ready);
}

TEST_CASE_FIXTURE(EngineFixture, "a running machine is taken hold of again, reached, and ended") {
  auto machine = spec("a");
  machine.die_with_parent = false;
  set_knobs("console=hello from the console\n");
  vmm::RuntimeRecord record;
  {
    const auto instance = driver()->launch(machine, soon());
    record = instance->record();
    CHECK(round_trip(instance->connect_guest(Deadline::after(10s), {}).stream.get(), "hi\n") == "hi\n");
  }
  {
    const auto adopted = driver()->adopt(record);
    REQUIRE(adopted);
    CHECK(adopted->record() == record);
    CHECK(round_trip(adopted->connect_guest(Deadline::after(10s), {}).stream.get(), "again\n") == "again\n");
    CHECK(adopted->console_tail(100) == "hello from the console\n");
    adopted->pause(Deadline::after(5s));
    adopted->resume(Deadline::after(5s));
  }
  CHECK(sys::is_alive(record.process));
  const auto adopted = driver()->adopt(record);
  REQUIRE(adopted);
  adopted->kill();
  CHECK(adopted->wait_exit(Deadline::after(5s), {}));
  CHECK_FALSE(adopted->exit_reason().empty());
  CHECK_FALSE(has_sockets(machine.run_dir));
  CHECK(driver()->adopt(record) == nullptr);
}

TEST_CASE_FIXTURE(EngineFixture, "an engine that hangs is still taken hold of, to be ended") {
  auto machine = spec("a");
  set_knobs("hang_at=/\n");
  const auto instance = driver()->launch(machine, soon());
  const auto adopted = driver()->adopt(instance->record());
  REQUIRE(adopted);
  adopted->kill();
  CHECK(instance->wait_exit(Deadline::after(5s), {}));
}

TEST_CASE_FIXTURE(EngineFixture, "another process under the same number is not taken for the machine") {
  const auto instance = driver()->launch(spec("a"), soon());
  auto record = instance->record();
  record.process.start_time += 1;
  CHECK(driver()->adopt(record) == nullptr);
}

TEST_CASE_FIXTURE(EngineFixture, "the program's version is asked for and judged") {
  CHECK(binary_version(program, Deadline::after(10s)) == "1.17.0-dev");
  set_knobs("version=1.15.0\n");
  CHECK(binary_version(program, Deadline::after(10s)) == "1.15.0");
  std::string what;
  set_knobs("version=1.14.2\n");
  CHECK(failure([&] { (void)binary_version(program, Deadline::after(10s)); }, &what) == ErrorCode::Unsupported);
  CHECK(what.find("1.14.2") != std::string::npos);
  CHECK(what.find("1.15") != std::string::npos);
  CHECK(failure([&] { (void)binary_version("/bin/echo", Deadline::after(10s)); }, &what) == ErrorCode::Vmm);
  CHECK(failure([&] { (void)binary_version("/bin/false", Deadline::after(10s)); }, &what) == ErrorCode::Vmm);
  CHECK(failure([&] { (void)binary_version(directory.path() / "none", Deadline::after(10s)); }) == ErrorCode::NotFound);
  CHECK(failure([&] { (void)binary_version(directory.path() / "rootfs", Deadline::after(10s)); }) ==
        ErrorCode::PermissionDenied);
  CHECK(failure([&] { (void)driver("1.14.2"); }) == ErrorCode::Unsupported);
}

}  // namespace
}  // namespace fireclaw::contract
