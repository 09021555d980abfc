// The driver with real machines under TCG.
#include <doctest/doctest.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <span>
#include <thread>
#include <vector>

#include "fireclaw/error.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"
#include "vmm/qemu/testing_machine.hpp"

using namespace fireclaw;
using namespace fireclaw::vmm;
using namespace fireclaw::vmm::qemu::testing;
using sys::testing::code_of;

namespace {

struct Fixture {
  // First what may end the program as skipped, which destroys nothing: no folder is there to be left behind yet.
  std::filesystem::path image = image_or_skip();
  std::unique_ptr<Driver> driver = make_tcg_driver();
  sys::TempDir folder{"/tmp", "fireclaw-qemu-"};

  LaunchSpec spec(const std::string& id) { return spec_or_skip(folder.path(), id); }
  SnapshotFiles files(const std::string& name) {
    return {folder.path() / (name + ".state"), folder.path() / (name + ".memory")};
  }
  std::unique_ptr<Instance> launch(const std::string& id) { return driver->launch(spec(id), {soon(), {}, {}}); }
  std::unique_ptr<Instance> restore(const std::string& id, const SnapshotFiles& from) {
    return driver->restore(spec(id), from, {soon(), {}, {}});
  }
  // A snapshot of a machine that was asked to count once.
  SnapshotFiles saved() {
    const auto machine = launch("first");
    CHECK(ask(*machine, "count") == "1");
    machine->pause(soon());
    machine->snapshot(files("saved"), soon());
    return files("saved");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a cold machine answers on all four channels") {
  const auto machine = launch("cold");
  std::vector<GuestStream> channels;
  for (unsigned i = 0; i < guest_channels; ++i) {
    channels.push_back(machine->connect_guest(soon()));
    CHECK(ask(channels.back().stream, "echo hello") == "hello");
  }
  SUBCASE("and a fifth user has to wait until one is given back") {
    const auto short_wait = Deadline::after(std::chrono::nanoseconds{std::chrono::milliseconds{30}});
    CHECK(code_of([&] { (void)machine->connect_guest(short_wait); }) == ErrorCode::Timeout);
    channels.erase(channels.begin() + 2);
    CHECK(ask(*machine, "echo again") == "again");
  }
  SUBCASE("and the wait for a channel can be stopped") {
    std::stop_source stop;
    stop.request_stop();
    CHECK(code_of([&] { (void)machine->connect_guest(soon(), stop.get_token()); }) == ErrorCode::Cancelled);
  }
}

TEST_CASE_FIXTURE(Fixture, "QEMU is shut in: no capabilities, namespaces of its own, its own filter of system calls") {
  if (confinable().level != sys::Confinement::Full) {
    MESSAGE("skipped: " << confinable().obstacle);
    return;
  }
  const auto check = [](const Instance& machine) {
    const auto pid = machine.record().process.pid;
    const auto seen = sys::see_confinement(pid);
    CHECK_FALSE(seen.capabilities);
    CHECK(seen.no_new_privileges);
    CHECK(seen.seccomp_filters >= 1);
    CHECK(seen.namespaces == std::vector<std::string>{"mnt", "pid", "net", "user", "ipc", "uts"});
    CHECK(seen.user == (::geteuid() == 0 && confinable().ids ? confinable().ids->first : ::geteuid()));
    for (const auto* hidden : {"root", "etc/passwd", "var", "sys", "proc/1", "dev/mem"}) {
      CHECK_FALSE(std::filesystem::exists(fmt::format("/proc/{}/root/{}", pid, hidden)));
    }
  };
  const auto from = saved();
  check(*launch("cold"));
  check(*restore("restored", from));
}

TEST_CASE_FIXTURE(Fixture, "a paused machine says nothing until it is resumed") {
  const auto machine = launch("paused");
  const auto channel = machine->connect_guest(soon());
  REQUIRE(ask(channel.stream, "count") == "1");
  machine->pause(soon());
  machine->pause(soon());
  sys::write_all(channel.stream.get(), "count\n");
  CHECK(sys::wait_fd(channel.stream.get(), POLLIN, Deadline::after(std::chrono::nanoseconds{200'000'000})) ==
        sys::WaitResult::Timeout);
  machine->resume(soon());
  CHECK(ask(channel.stream, "count") == "2");
}

TEST_CASE_FIXTURE(Fixture, "ten clones of one snapshot run at once, each with memory of its own") {
  const auto from = saved();
  std::vector<std::unique_ptr<Instance>> clones;
  for (int i = 0; i < 10; ++i) clones.push_back(restore("clone-" + std::to_string(i), from));
  for (const auto& clone : clones) CHECK(ask(*clone, "count") == "2");
  CHECK(ask(*clones[3], "count") == "3");
  CHECK(ask(*clones[4], "count") == "3");
}

TEST_CASE_FIXTURE(Fixture, "a snapshot's memory takes only what the guest has used, and its state is small") {
  const auto from = saved();
  const auto bytes = std::uint64_t{spec("any").memory_mib} << 20;
  CHECK(std::filesystem::file_size(from.memory) == bytes);
  CHECK(sys::allocated_bytes(from.memory) < bytes * 4 / 5);
  CHECK(std::filesystem::file_size(from.state) < 200U << 10);
}

TEST_CASE_FIXTURE(Fixture, "a machine continues after it was saved, and can be saved again before and after that") {
  const auto machine = launch("source");
  CHECK(ask(*machine, "count") == "1");
  machine->pause(soon());
  machine->snapshot(files("a"), soon());
  machine->snapshot(files("b"), soon());
  machine->resume(soon());
  CHECK(ask(*machine, "count") == "2");
  machine->pause(soon());
  machine->snapshot(files("c"), soon());
  CHECK(ask(*restore("of-a", files("a")), "count") == "2");
  CHECK(ask(*restore("of-b", files("b")), "count") == "2");
  CHECK(ask(*restore("of-c", files("c")), "count") == "3");
}

TEST_CASE_FIXTURE(Fixture, "a restored machine can be saved in turn, and continues") {
  auto clone = restore("clone", saved());
  CHECK(ask(*clone, "count") == "2");
  clone->pause(soon());
  clone->snapshot(files("second"), soon());
  clone->resume(soon());
  CHECK(ask(*clone, "count") == "3");
  auto grandchild = restore("grandchild", files("second"));
  CHECK(ask(*grandchild, "count") == "3");
  grandchild->pause(soon());
  grandchild->snapshot(files("third"), soon());
  CHECK(ask(*restore("great-grandchild", files("third")), "count") == "4");
}

TEST_CASE_FIXTURE(Fixture, "a machine is saved while it runs, and work is done while it is paused") {
  auto machine = launch("source");
  CHECK(ask(*machine, "count") == "1");
  SUBCASE("one that has booted") {}
  SUBCASE("one that was restored") {
    machine->pause(soon());
    machine->snapshot(files("first"), soon());
    machine = restore("restored", files("first"));
  }
  const auto channel = machine->connect_guest(soon());
  bool silent = false;
  const auto paused_for = machine->snapshot_running(
      files("running"),
      [&] {
        sys::write_all(channel.stream.get(), "count\n");
        silent = sys::wait_fd(channel.stream.get(), POLLIN, Deadline::after(std::chrono::nanoseconds{200'000'000})) ==
                 sys::WaitResult::Timeout;
      },
      soon());
  CHECK(silent);
  CHECK(paused_for > std::chrono::milliseconds{200});
  // The answer to what was asked meanwhile comes first.
  CHECK(ask(channel.stream, "count") == "2");
  CHECK(ask(*restore("copy", files("running")), "count") == "2");
}

TEST_CASE_FIXTURE(Fixture, "a machine that could not be saved while it ran runs on, and no file is left") {
  const auto machine = launch("source");
  CHECK(code_of([&] {
          (void)machine->snapshot_running(
              files("failed"),
              [] {
                throw Error{ErrorCode::Io, "the disk is full"};
              },
              soon());
        }) == ErrorCode::Io);
  CHECK(code_of([&] {
          (void)machine->snapshot_running(
              {"/no/such/state", "/no/such/memory"}, [] {}, soon());
        }) == ErrorCode::NotFound);
  CHECK_FALSE(std::filesystem::exists(files("failed").state));
  CHECK_FALSE(std::filesystem::exists(files("failed").memory));
  CHECK(ask(*machine, "count") == "1");
  (void)machine->snapshot_running(
      files("then"), [] {}, soon());
  CHECK(ask(*restore("copy", files("then")), "count") == "2");
}

TEST_CASE_FIXTURE(Fixture, "a machine runs on when the process that takes its memory over is killed, at any moment") {
  const auto machine = launch("source");
  int count = 0;
  const auto channel = machine->connect_guest(soon());
  // Who works in the machine's folder and is not the machine.
  const auto kill_other = [&] {
    for (const auto& entry : std::filesystem::directory_iterator{"/proc"}) {
      std::error_code error;
      if (std::filesystem::read_symlink(entry.path() / "cwd", error) != machine->record().run_dir) continue;
      const auto pid = static_cast<pid_t>(std::stol(entry.path().filename().string()));
      if (pid != machine->record().process.pid) return ::kill(pid, SIGKILL) == 0;
    }
    return false;
  };
  int failures = 0;
  for (const int delay_ms : {0, 20, 40, 60, 80, 120, 160}) {
    CAPTURE(delay_ms);
    std::jthread killer{[&](const std::stop_token& stop) {
      // Not yet: it has something to send first.
      (void)machine->wait_exit(Deadline::after(std::chrono::milliseconds{delay_ms}), stop);
      while (!kill_other() && !stop.stop_requested()) std::this_thread::yield();
    }};
    const auto from = files("killed-" + std::to_string(delay_ms));
    bool saved = false;
    try {
      (void)machine->snapshot_running(
          from, [] {}, soon());
      saved = true;
    } catch (const Error& error) {
      CHECK(error.code() == ErrorCode::Vmm);
      ++failures;
    }
    killer.request_stop();
    killer.join();
    // A fast host has the memory before the later kills: then all of it is there.
    CHECK(std::filesystem::exists(from.memory) == saved);
    CHECK(std::filesystem::exists(from.state) == saved);
    CHECK(ask(channel.stream, "count") == std::to_string(++count));
    if (saved) CHECK(ask(*restore("copy-" + std::to_string(delay_ms), from), "count") == std::to_string(count));
  }
  CHECK(failures >= 1);
}

TEST_CASE_FIXTURE(Fixture, "a snapshot lives on in its clones after its files are removed") {
  const auto from = saved();
  const auto clone = restore("clone", from);
  std::filesystem::remove(from.memory);
  std::filesystem::remove(from.state);
  CHECK(ask(*clone, "count") == "2");
}

TEST_CASE_FIXTURE(Fixture, "only a paused machine is saved, only to new files, and a failure leaves none") {
  const auto machine = launch("source");
  CHECK(code_of([&] { machine->snapshot(files("x"), soon()); }) == ErrorCode::InvalidState);
  machine->pause(soon());
  sys::write_file_atomic(files("x").memory, "precious");
  CHECK(code_of([&] { machine->snapshot(files("x"), soon()); }) == ErrorCode::AlreadyExists);
  CHECK(sys::read_file(files("x").memory) == "precious");
  const SnapshotFiles nowhere{folder.path() / "missing" / "state", folder.path() / "missing" / "memory"};
  CHECK(code_of([&] { machine->snapshot(nowhere, soon()); }) == ErrorCode::NotFound);
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator{folder.path()}) left.push_back(entry.path().filename());
  std::sort(left.begin(), left.end());
  CHECK(left == std::vector<std::string>{"initramfs", "source", "x.memory"});
  machine->resume(soon());
  CHECK(ask(*machine, "count") == "1");
}

TEST_CASE_FIXTURE(Fixture, "snapshots that are torn, or of another machine, are refused") {
  const auto good = saved();
  const auto copy = [&](const std::string& name) {
    const auto copied = files(name);
    sys::clone_file(good.state, copied.state);
    sys::clone_file(good.memory, copied.memory);
    return copied;
  };
  const auto refusal = [&](const std::string& name, const SnapshotFiles& from) {
    return code_of([&] { (void)restore(name, from); });
  };
  auto bad = copy("state-is-none");
  sys::write_file_atomic(bad.state, "nonsense");
  CHECK(refusal("clone-1", bad) == ErrorCode::Corrupt);
  sys::write_file_atomic(bad.state, "");
  CHECK(refusal("clone-2", bad) == ErrorCode::Corrupt);
  bad = copy("half-a-state");
  std::filesystem::resize_file(bad.state, std::filesystem::file_size(bad.state) / 2);
  CHECK(refusal("clone-3", bad) == ErrorCode::Vmm);
  bad = copy("half-the-memory");
  std::filesystem::resize_file(bad.memory, std::filesystem::file_size(bad.memory) / 2);
  CHECK(refusal("clone-4", bad) == ErrorCode::Corrupt);
  std::filesystem::remove(bad.memory);
  CHECK(refusal("clone-5", bad) == ErrorCode::NotFound);
  auto other = spec("clone-6");
  other.memory_mib *= 2;
  CHECK(code_of([&] { (void)driver->restore(other, good, {soon(), {}, {}}); }) == ErrorCode::Corrupt);
  CHECK(ask(*restore("clone-7", good), "count") == "2");
}

TEST_CASE_FIXTURE(Fixture, "drives appear in order, read-only ones shared and writable ones not") {
  sys::write_file_atomic(folder.path() / "one", std::string(1 << 20, '1') + "\n");
  sys::write_file_atomic(folder.path() / "two", "two\n" + std::string((2 << 20) - 4, '\0'));
  sys::write_file_atomic(folder.path() / "has,comma", "three\n" + std::string((3 << 20) - 6, '\0'));
  std::filesystem::resize_file(folder.path() / "one", 1 << 20);
  auto with_drives = spec("first");
  with_drives.drives = {{"one", folder.path() / "one", true},
                        {"two", folder.path() / "two", false},
                        {"three", folder.path() / "has,comma", true}};
  const auto machine = driver->launch(with_drives, {soon(), {}, {}});
  const auto channel = machine->connect_guest(soon());
  CHECK(ask(channel.stream, "read /sys/block/vda/size") == "2048");
  CHECK(ask(channel.stream, "read /sys/block/vdb/size") == "4096");
  CHECK(ask(channel.stream, "read /sys/block/vdc/size") == "6144");
  CHECK(ask(channel.stream, "read /sys/block/vda/ro") == "1");
  CHECK(ask(channel.stream, "read /sys/block/vdb/ro") == "0");
  CHECK(ask(channel.stream, "read /dev/vdc") == "three");
  CHECK(ask(channel.stream, "write /dev/vdb changed") == "ok");
  CHECK(sys::read_file(folder.path() / "two").starts_with("changed\n"));

  auto second = spec("second");
  second.drives = {with_drives.drives[0], with_drives.drives[2]};
  CHECK(ask(*driver->launch(second, {soon(), {}, {}}), "read /dev/vdb") == "three");
  auto third = spec("third");
  third.drives = {with_drives.drives[1]};
  CHECK(code_of([&] { (void)driver->launch(third, {soon(), {}, {}}); }) == ErrorCode::Vmm);
}

TEST_CASE_FIXTURE(Fixture, "a clone's writable drive is its own, and a machine with drives is saved from a clone too") {
  sys::write_file_atomic(folder.path() / "disk-1", "one\n" + std::string((1 << 20) - 4, '\0'));
  sys::write_file_atomic(folder.path() / "disk-2", "two\n" + std::string((1 << 20) - 4, '\0'));
  const auto with_disk = [&](const std::string& id, const std::string& disk) {
    auto result = spec(id);
    result.drives = {{"disk", folder.path() / disk, false}};
    return result;
  };
  auto first = driver->launch(with_disk("first", "disk-1"), {soon(), {}, {}});
  REQUIRE(ask(*first, "count") == "1");
  first->pause(soon());
  first->snapshot(files("saved"), soon());
  const auto second = driver->restore(with_disk("second", "disk-2"), files("saved"), {soon(), {}, {}});
  CHECK(ask(*second, "read /dev/vda") == "two");
  CHECK(ask(*second, "write /dev/vda second") == "ok");
  second->pause(soon());
  second->snapshot(files("again"), soon());
  first->resume(soon());
  CHECK(ask(*first, "read /dev/vda") == "one");
  first->kill();
  const auto third = driver->restore(with_disk("third", "disk-1"), files("again"), {soon(), {}, {}});
  CHECK(ask(*third, "count") == "2");
  CHECK(sys::read_file(folder.path() / "disk-2").starts_with("second\n"));
}

TEST_CASE_FIXTURE(Fixture, "a guest that restarts ends its machine") {
  const auto machine = launch("restarts");
  CHECK(machine->exit_reason().empty());
  CHECK_FALSE(machine->wait_exit(Deadline::after(std::chrono::nanoseconds{1})));
  CHECK(ask(*machine, "reboot") == "<end>");
  CHECK(machine->wait_exit(soon()));
  CHECK(machine->exit_reason() == "exited with status 0");
  CHECK(code_of([&] { machine->pause(soon()); }) == ErrorCode::Vmm);
}

TEST_CASE_FIXTURE(Fixture, "killing ends a machine at once, from any thread, and twice does no harm") {
  const auto machine = launch("killed");
  std::thread killer{[&] { machine->kill(); }};
  CHECK(machine->wait_exit(soon()));
  killer.join();
  machine->kill();
  CHECK(machine->exit_reason() == "was killed by signal 9");
  CHECK_FALSE(sys::is_alive(machine->record().process));
}

TEST_CASE_FIXTURE(Fixture, "a console can be flooded without end and keeps its first mebibyte") {
  const auto machine = launch("floods");
  const auto channel = machine->connect_guest(soon());
  REQUIRE(ask(channel.stream, "echo up") == "up");
  CHECK(machine->console_tail(4096).find("echo_init: 4 ports") != std::string::npos);
  CHECK(machine->console_tail(3).size() == 3);
  CHECK(ask(channel.stream, "flood 1100") == "ok");
  CHECK(machine->console_tail(4U << 20).size() == 1U << 20);
  CHECK(ask(channel.stream, "echo still up") == "still up");
}

TEST_CASE_FIXTURE(Fixture, "an owned machine ends with its handle, a detached one does not and can be adopted") {
  auto owned = launch("owned");
  const auto owned_id = owned->record().process;
  owned.reset();
  CHECK_FALSE(sys::is_alive(owned_id));

  auto detached_spec = spec("detached");
  detached_spec.die_with_parent = false;
  auto detached = driver->launch(detached_spec, {soon(), {}, {}});
  CHECK(ask(*detached, "count") == "1");
  const auto record = detached->record();
  CHECK(record.engine == "qemu-tcg");
  detached.reset();
  const auto adopted = driver->adopt(record);
  REQUIRE(adopted);
  CHECK(adopted->record() == record);
  CHECK(ask(*adopted, "count") == "2");
  CHECK(adopted->console_tail(4096).find("echo_init: 4 ports") != std::string::npos);
  adopted->pause(soon());
  adopted->snapshot(files("of-adopted"), soon());
  adopted->kill();
  CHECK(adopted->wait_exit(soon()));
  CHECK(adopted->exit_reason() == "ended");
  CHECK(driver->adopt(record) == nullptr);

  const auto clone = restore("clone", files("of-adopted"));
  const auto adopted_clone = driver->adopt(clone->record());
  REQUIRE(adopted_clone);
  adopted_clone->pause(soon());
  adopted_clone->snapshot(files("of-adopted-clone"), soon());
  CHECK(ask(*restore("clone-of-clone", files("of-adopted-clone")), "count") == "3");
}

TEST_CASE_FIXTURE(Fixture, "another process can adopt a machine while this one uses it") {
  const auto machine = launch("shared");
  REQUIRE(ask(*machine, "count") == "1");
  const auto record = machine->record();
  const pid_t child = ::fork();
  if (child == 0) {
    bool good = false;
    try {
      const auto adopted = driver->adopt(record);
      adopted->pause(soon());
      adopted->resume(soon());
      good = ask(*adopted, "count") == "2";
    } catch (const Error&) {
    }
    ::_exit(good ? 0 : 1);
  }
  int status = -1;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(status == 0);
  CHECK(ask(*machine, "count") == "3");
}

TEST_CASE_FIXTURE(Fixture, "a machine dies with the process that owns it, however that ends") {
  auto pipe = sys::make_pipe();
  const auto own_spec = spec("orphan");
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      const auto machine = driver->launch(own_spec, {soon(), {}, {}});
      const auto id = machine->record().process;
      sys::write_all(pipe.write.get(), std::as_bytes(std::span{&id, 1}));
      for (;;) ::pause();
    } catch (const Error&) {
      ::_exit(1);
    }
  }
  sys::ProcessId id;
  sys::require_fd(pipe.read.get(), POLLIN, soon(), "the other process");
  REQUIRE(sys::read_some(pipe.read.get(), std::as_writable_bytes(std::span{&id, 1})) == sizeof id);
  const auto pidfd = sys::open_pidfd(id);
  REQUIRE(pidfd);
  ::kill(child, SIGKILL);
  CHECK(sys::wait_fd(pidfd->get(), POLLIN, soon()) == sys::WaitResult::Ready);
  ::waitpid(child, nullptr, 0);
}

TEST_CASE_FIXTURE(Fixture, "a machine that had a drive cannot be restored without it") {
  sys::write_file_atomic(folder.path() / "disk", std::string(1 << 20, '\0'));
  auto with_drive = spec("first");
  with_drive.drives = {{"disk", folder.path() / "disk", true}};
  const auto machine = driver->launch(with_drive, {soon(), {}, {}});
  machine->pause(soon());
  machine->snapshot(files("saved"), soon());
  CHECK(code_of([&] { (void)restore("clone", files("saved")); }) == ErrorCode::Vmm);
}
