// Machines from their start to their end, on the stand-in for Firecracker: what is written down before what is done.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/machines/machine_use.hpp"
#include "core/machines/named.hpp"
#include "core/machines/resume_abandoned.hpp"
#include "core/machines/workspace_disk.hpp"
#include "core/testing/restoring.hpp"
#include "core/testing/stand_in_home.hpp"
#include "core/testing/wrapped_instance.hpp"
#include "fireclaw/backup.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/machine.hpp"
#include "fireclaw/service.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/vm.hpp"
#include "fireclaw/workspace.hpp"
#include "sys/process.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"
#include "sys/usage.hpp"
#include "vmm/brief_pause.hpp"

namespace fireclaw::core {
namespace {

using namespace std::chrono_literals;
using sys::testing::code_of;
using sys::testing::error_of;
using sys::testing::FileCalls;
using testing::StandInHome;
using testing::Witness;

Deadline soon() { return Deadline::after(30s); }

sys::ProcessId gone() {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  return sys::Child::spawn(spec).id();
}

struct Fixture : StandInHome {
  std::shared_ptr<Host::Impl> host = open();

  static VMConfig config() {
    VMConfig made;
    made.network = NetworkMode::None;
    made.memory_mib = 128;
    return made;
  }
  [[nodiscard]] std::unique_ptr<VM::Impl> start(const VMConfig& like = config(), Purpose purpose = {}) const {
    auto machine = std::make_unique<VM::Impl>(host, like, std::move(purpose));
    machine->start();
    return machine;
  }
  static std::string shell(VM::Impl& machine, const std::string& line) {
    return machine.start_command(ExecOptions::shell(line)).wait().out;
  }
  [[nodiscard]] state::RunRecord on_disk(const VM::Impl& machine) const {
    auto record = host->runs.find(machine.record.id);
    REQUIRE(record);
    return std::move(*record);
  }
  [[nodiscard]] vmm::SnapshotFiles files() const { return {home() / "state", home() / "memory"}; }
};

TEST_CASE_FIXTURE(Fixture, "a machine runs commands, and its end leaves nothing") {
  sys::ProcessId engine;
  {
    const auto machine = start();
    CHECK(shell(*machine, "echo well") == "well\n");
    engine = *on_disk(*machine).process;
    CHECK(sys::is_alive(engine));
    machine->kill();
  }
  CHECK_FALSE(sys::is_alive(engine));
  CHECK(host->runs.list().empty());
  CHECK(std::filesystem::is_empty(host->layout.runs()));
}

TEST_CASE_FIXTURE(Fixture, "a start that fails leaves no engine, and its record goes with the machine") {
  for (const std::string knobs : {"die_at=/actions", "crash_at_start=broken"}) {
    CAPTURE(knobs);
    set_knobs(knobs);
    {
      VM::Impl machine{host, config()};
      CHECK(code_of([&] { machine.start(); }) == ErrorCode::Vmm);
      CHECK_FALSE(machine.instance);
      CHECK(sys::processes_in(host->runs.directory(machine.record.id)).empty());
    }
    CHECK(host->runs.list().empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "a machine's own rate of disks goes before the home folder's") {
  struct Row {
    std::optional<std::uint64_t> usual;
    unsigned own;
    std::uint64_t expected;
  };
  for (const auto& row : {Row{std::nullopt, 0, 0}, Row{std::nullopt, 3, 3}, Row{7, 0, 7}, Row{7, 3, 3}, Row{3, 7, 7}}) {
    CAPTURE(row.own);
    auto settings = host->config();
    settings.limits.disk_mib_per_second = row.usual;
    state::write_config(host->layout.config(), settings);
    auto like = config();
    like.disk_mib_per_second = row.own;
    const auto limited = done("rate_limiter");
    const auto expected = fmt::format(R"("size":{},)", row.expected << 20);
    const auto as_expected = done(expected);
    start(like)->kill();
    CHECK((done("rate_limiter") > limited) == (row.expected != 0));
    CHECK((done(expected) > as_expected) == (row.expected != 0));
  }
}

TEST_CASE_FIXTURE(Fixture, "a machine's services have the time that its stop gives them") {
  const auto up = home() / "up";
  const auto goodbye = home() / "goodbye";
  REQUIRE(::mkfifo(up.c_str(), 0600) == 0);
  const auto machine = start();
  ServiceOptions service;
  service.name = "one";
  // What it does at its end takes longer than nothing.
  service.argv = {"/bin/sh", "-c",
                  fmt::format("trap 'sleep 0.2; echo well > {}; exit' TERM; echo up > {}; sleep 1000 & wait",
                              goodbye.string(), up.string())};
  machine->session(soon(), {})->service_start(service, soon());
  CHECK(sys::read_file(up) == "up\n");
  machine->stop(30s);
  REQUIRE(std::filesystem::exists(goodbye));
  CHECK(sys::read_file(goodbye) == "well\n");
}

TEST_CASE_FIXTURE(Fixture, "a machine's services are told its way to web servers, as its commands are") {
  const auto told = home() / "told";
  REQUIRE(::mkfifo(told.c_str(), 0600) == 0);
  const std::shared_ptr<VM::Impl> machine = start();
  machine->record.nat.emplace().http_proxy = "http://192.0.2.1:3128";
  auto vm = Access::vm(machine);
  ServiceOptions service;
  service.name = "one";
  service.argv = {"/bin/sh", "-c", fmt::format("echo $http_proxy $NO_PROXY > {}", told.string())};
  vm.start_service(service);
  const auto in_service = sys::read_file(told);
  CHECK(in_service.starts_with("http://192.0.2.1:3128 "));
  CHECK(in_service.ends_with(",192.0.2.1\n"));
  CHECK(vm.exec("echo $http_proxy $NO_PROXY").out == in_service);
  service.name = "two";
  service.env = {{"http_proxy", "http://192.0.2.2:8080"}};
  vm.start_service(service);
  CHECK(sys::read_file(told).starts_with("http://192.0.2.2:8080 "));
}

TEST_CASE_FIXTURE(Fixture, "a machine is started once") {
  const auto machine = start();
  CHECK(code_of([&] { machine->start(); }) == ErrorCode::InvalidState);
  CHECK(shell(*machine, "echo well") == "well\n");
  machine->kill();
  CHECK(code_of([&] { machine->start(); }) == ErrorCode::InvalidState);
  CHECK(done("InstanceStart") == 1);
}

TEST_CASE_FIXTURE(Fixture, "a machine is not started by a process that was forked from its owner") {
  VM::Impl machine{host, config()};
  constexpr int refused = 7;
  const auto child = ::fork();
  if (child == 0) ::_exit(code_of([&] { machine.start(); }) == ErrorCode::InvalidState ? refused : 0);
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == refused);
  CHECK(done("InstanceStart") == 0);
  machine.start();
  CHECK(shell(machine, "echo well") == "well\n");
}

TEST_CASE_FIXTURE(Fixture,
                  "a machine that is copied while it runs says so on disk before it stands still, and not after") {
  const auto machine = start();
  shell(*machine, "true");
  const auto clock_was_late = on_disk(*machine).clock_late;
  std::vector<std::string> seen;
  machine->instance = std::make_unique<Witness>(std::move(machine->instance), [&](std::string_view what) {
    const auto record = on_disk(*machine);
    CHECK_FALSE(record.paused);
    CHECK(record.copier == sys::current_process());
    CHECK(record.clock_late);
    seen.emplace_back(what);
  });
  CHECK_FALSE(clock_was_late);
  SUBCASE("by its state") {
    bool copied = false;
    machine->save_running(
        files(), [&] { copied = true; }, soon());
    CHECK(copied);
    CHECK(seen == std::vector<std::string>{"save"});
    CHECK(std::filesystem::exists(files().state));
    CHECK(std::filesystem::exists(files().memory));
  }
  SUBCASE("by its disks") {
    machine->copy_paused([&] { seen.emplace_back("copy"); }, soon());
    CHECK(seen == std::vector<std::string>{"pause", "copy", "resume"});
  }
  SUBCASE("by its disks, which fails") {
    CHECK(code_of([&] {
            machine->copy_paused([] { throw Error{ErrorCode::Io, "no space"}; }, soon());
          }) == ErrorCode::Io);
    CHECK(seen == std::vector<std::string>{"pause", "resume"});
  }
  CHECK_FALSE(on_disk(*machine).copier);
  CHECK_FALSE(on_disk(*machine).paused);
  // The guest has been told the time, or the record still says that it must be.
  CHECK(shell(*machine, "echo well") == "well\n");
  machine->instance = nullptr;
}

TEST_CASE_FIXTURE(Fixture, "a pause is on disk once it is one, and so is its end") {
  const auto machine = start();
  shell(*machine, "true");
  machine->pause(soon());
  CHECK(on_disk(*machine).paused);
  CHECK(on_disk(*machine).clock_late);
  CHECK(code_of([&] { shell(*machine, "true"); }) == ErrorCode::InvalidState);
  machine->resume(soon());
  CHECK_FALSE(on_disk(*machine).paused);
  CHECK(shell(*machine, "echo well") == "well\n");
  CHECK_FALSE(on_disk(*machine).clock_late);
}

TEST_CASE_FIXTURE(Fixture, "a machine's clock is late on disk until its guest has been told the time") {
  const auto machine = start();
  shell(*machine, "true");
  machine->pause(soon());
  // Whether it is paused, and whether its clock is late.
  std::vector<std::pair<bool, bool>> written;
  {
    FileCalls* recorded = nullptr;
    FileCalls calls{home(), [&] {
                      if (recorded == nullptr || !recorded->lines().back().ends_with("/run.json")) return;
                      const auto record = on_disk(*machine);
                      const std::pair now{record.paused, record.clock_late};
                      if (written.empty() || written.back() != now) written.push_back(now);
                    }};
    recorded = &calls;
    machine->resume(soon());
  }
  std::erase(written, std::pair{true, true});
  CHECK(written == std::vector<std::pair<bool, bool>>{{false, true}, {false, false}});
}

TEST_CASE_FIXTURE(Fixture, "a machine that its copier could not resume is paused on disk, and can be resumed") {
  const auto machine = start();
  shell(*machine, "true");
  machine->instance = std::make_unique<testing::StuckInstance>(std::move(machine->instance));
  SUBCASE("when its state was saved") {
    CHECK(code_of([&] {
            machine->save_running(
                files(), [] {}, soon());
          }) == ErrorCode::Timeout);
  }
  SUBCASE("when its disks were copied") {
    machine->copy_paused([] {}, soon());
  }
  CHECK(machine->state == VMState::Paused);
  const auto record = on_disk(*machine);
  REQUIRE(record.paused);
  CHECK(record.clock_late);
  CHECK_FALSE(record.copier);
  machine->open_session.reset();
  VM::Impl other{host, record};
  CHECK(other.state == VMState::Paused);
  other.resume(soon());
  CHECK(shell(other, "echo well") == "well\n");
  CHECK_FALSE(on_disk(other).paused);
}

TEST_CASE_FIXTURE(Fixture, "a machine that somebody else has ended is its owner's to remove, as long as that lives") {
  for (const bool lives : {true, false}) {
    CAPTURE(lives);
    const auto machine = start();
    sys::SpawnSpec sleeper;
    sleeper.argv = {"/bin/sleep", "60"};
    auto owner = sys::Child::spawn(sleeper);
    auto record = on_disk(*machine);
    record.owner = owner.id();
    if (!lives) owner.kill();
    VM::Impl{host, record}.kill();
    CHECK_FALSE(sys::is_alive(*record.process));
    CHECK(std::filesystem::exists(host->runs.directory(record.id)) == lives);
  }
}

TEST_CASE_FIXTURE(Fixture, "a machine is resumed whose copier is gone, unless it was paused before, and no other is") {
  const auto machine = start();
  shell(*machine, "true");
  const auto look = [&](const std::optional<sys::ProcessId>& copier, bool paused) {
    machine->note([&](state::RunRecord& now) {
      now.copier = copier;
      now.paused = paused;
      now.agent = "worker";
    });
    const auto before = done("Resumed");
    resume_all_abandoned(host);
    return done("Resumed") - before;
  };
  CHECK(look(std::nullopt, false) == 0);
  CHECK(look(sys::current_process(), false) == 0);
  CHECK(on_disk(*machine).copier == sys::current_process());
  CHECK(look(gone(), true) == 0);
  CHECK_FALSE(on_disk(*machine).copier);
  CHECK(look(gone(), false) == 1);
  CHECK_FALSE(on_disk(*machine).copier);
  {
    // Who has the agent's turn sees to it.
    const auto turn =
        sys::FileLock::acquire(host->layout.lock("agent-worker"), sys::FileLock::Mode::Exclusive, soon(), "the agent");
    CHECK(look(gone(), false) == 0);
    CHECK(on_disk(*machine).copier);
  }
  machine->note([](state::RunRecord& now) { now.agent.clear(); });
}

TEST_CASE_FIXTURE(Fixture, "a machine continues from its snapshot, and from no other machine's") {
  const auto snapshot = Access::host(host).snapshots().create(config(), "", false);
  auto like = config();
  like.start = StartMode::RequireSnapshot;
  {
    const auto machine = start(like);
    CHECK(machine->record.snapshot == snapshot.name());
    CHECK(shell(*machine, "echo well") == "well\n");
  }
  CHECK(done("snapshot/load") == 1);
  auto other = like;
  SUBCASE("of another size") { other.memory_mib = 256; }
  SUBCASE("with more CPUs") { other.cpus = 2; }
  SUBCASE("with a disk") { other.scratch_mib = 64; }
  CHECK(code_of([&] { static_cast<void>(start(other)); }) == ErrorCode::NotFound);
  Purpose prepared;
  prepared.prepared = "something";
  prepared.prepare = [](guest::Session&) {};
  CHECK(code_of([&] { static_cast<void>(start(like, prepared)); }) == ErrorCode::NotFound);
  CHECK(done("snapshot/load") == 1);
}

TEST_CASE_FIXTURE(Fixture, "a machine boots where its snapshot cannot be restored, and fails where it must be") {
  if (!testing::can_restore()) return;
  const auto name = Access::host(host).snapshots().create(config(), "", false).name();
  static_cast<void>(Access::host(host).snapshots().create(config(), "one"));
  const auto boots = done("InstanceStart");
  set_knobs("die_at=/snapshot/load");
  {
    const auto machine = start();
    CHECK(machine->record.snapshot.empty());
    CHECK(shell(*machine, "echo well") == "well\n");
    CHECK(done("InstanceStart") == boots + 1);
  }
  auto must = config();
  SUBCASE("by its start") { must.start = StartMode::RequireSnapshot; }
  SUBCASE("by its name") { must.snapshot = "one"; }
  const auto [code, text] = error_of([&] { static_cast<void>(start(must)); });
  CHECK(code == ErrorCode::Vmm);
  CHECK(text.starts_with(fmt::format("restore snapshot '{}': ", must.snapshot.empty() ? name : must.snapshot)));
  CHECK(done("InstanceStart") == boots + 1);
  CHECK(host->runs.list().empty());
}

TEST_CASE_FIXTURE(Fixture, "a backup has a machine's disk as it is at one moment, whether it runs or not") {
  const auto store = machine_store(*host);
  state::MachineRecord named;
  named.name = "one";
  named.key = "0123456789abcdef";
  named.image = built_in_image;
  store.put(named);
  const auto disk = store.scratch_disk(named.key);
  WorkspaceConfig like;
  like.name = "like";
  Access::host(host).workspaces().create(like);
  std::filesystem::rename(host->workspaces.disk("like"), disk);
  Access::host(host).workspaces().remove("like");
  std::unique_ptr<VM::Impl> machine;
  for (const bool runs : {false, true}) {
    CAPTURE(runs);
    if (runs) {
      machine = start();
      machine->note([](state::RunRecord& now) { now.machine = "one"; });
    }
    const auto backup = home().parent_path() / (runs ? "first" : "second");
    const auto copy = backup / "machines" / disk.filename();
    const auto is_still = [&] { return done("Paused") - done("Resumed"); };
    std::vector<std::ptrdiff_t> still_when_copied;
    {
      FileCalls* recorded = nullptr;
      FileCalls calls{backup.parent_path(), [&] {
                        if (recorded == nullptr || !recorded->lines().back().ends_with("/machines/*.ext4")) return;
                        if (recorded->lines().back().starts_with("create")) still_when_copied.push_back(is_still());
                      }};
      recorded = &calls;
      CHECK(Access::host(host).back_up(backup, {}).left_out == std::vector<std::string>{});
    }
    CHECK(still_when_copied == std::vector<std::ptrdiff_t>{runs ? 1 : 0});
    CHECK(is_still() == 0);
    CHECK(sys::sha256_file(copy) == sys::sha256_file(disk));
  }
}

TEST_CASE_FIXTURE(Fixture, "what a copy of its machine has ended says so, and what ended by itself does not") {
  const auto machine = start(config());
  const Error closed{ErrorCode::Guest, "closed"};
  const auto said = [&] { return std::string{machine->explain(closed).what()}; };
  const auto copied_by = [&](const std::optional<sys::ProcessId>& copier) {
    host->runs.change(machine->record.id, [&](state::RunRecord& now) { now.copier = copier; });
  };
  CHECK(said().find("copied") == std::string::npos);
  copied_by(sys::current_process());
  CHECK(said() ==
        "the machine is being copied (snapshot, fork or backup), which ends what is attached to it; run it again "
        "(closed)");
  CHECK(machine->explain(closed).code() == ErrorCode::Guest);
  CHECK(std::string{machine->explain(Error{ErrorCode::Timeout, "late"}).what()}.find("copied") == std::string::npos);
  auto gone = sys::current_process();
  ++gone.start_time;
  copied_by(gone);
  CHECK(said().find("copied") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a snapshot's name is taken until it is removed, and no file of it is touched before") {
  auto machine = Access::host(host).vms().run(config());
  for (const std::string name : {"../one", "", ".one"}) {
    CAPTURE(name);
    CHECK(code_of([&] { static_cast<void>(machine.snapshot(name)); }) == ErrorCode::InvalidArgument);
  }
  static_cast<void>(machine.snapshot("one"));
  const auto manifest = host->layout.snapshots() / "one" / "manifest.json";
  const auto before = sys::read_file(manifest);
  CHECK(code_of([&] { static_cast<void>(machine.snapshot("one")); }) == ErrorCode::AlreadyExists);
  CHECK(sys::read_file(manifest) == before);
  CHECK(machine.exec(ExecOptions::shell("echo well")).out == "well\n");
  CHECK_FALSE(host->snapshots.find("one")->automatic);
  host->snapshots.remove("one");
  CHECK(machine.snapshot("one").name() == "one");
}

TEST_CASE_FIXTURE(Fixture, "a machine whose root is on a scratch disk boots, and is not to be restored") {
  auto like = config();
  like.scratch_mib = 16;
  like.scratch_target = "/";
  for (const auto& [start, code] : {std::pair{StartMode::RequireSnapshot, ErrorCode::InvalidArgument},
                                    std::pair{StartMode::PreferSnapshot, ErrorCode::Internal}}) {
    like.start = start;
    try {
      const VM::Impl machine{host, like};
      CHECK(code == ErrorCode::Internal);
      CHECK(machine.config.start == StartMode::Cold);
    } catch (const Error& error) {
      CHECK(error.code() == code);
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "a machine that is to live on knows on disk that its guest is configured") {
  for (const bool detached : {true, false}) {
    CAPTURE(detached);
    auto like = config();
    like.detached = detached;
    const auto machine = start(like);
    CHECK(on_disk(*machine).configured == detached);
    CHECK(shell(*machine, "echo well") == "well\n");
    CHECK(on_disk(*machine).configured == detached);
    CHECK(machine->record.configured);
    machine->kill();
  }
}

TEST_CASE_FIXTURE(Fixture, "what is told of a machine is what it is") {
  const auto here = Access::host(host);
  static_cast<void>(here.snapshots().create(config(), "base"));
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  named.machine.snapshot = "base";
  named.machine.hostname = "tern";
  named.ttl = 1h;
  named.idle = 2h;
  static_cast<void>(here.machines().create(named));
  const auto machine = here.machines().info("one");
  CHECK(machine.name == "one");
  CHECK(machine.state == VMState::Running);
  CHECK(machine.image == "busybox");
  CHECK(machine.cpus == 1);
  CHECK(machine.memory_mib == 128);
  CHECK(machine.network == NetworkMode::None);
  CHECK(machine.hostname == "tern");
  CHECK(machine.snapshot == "base");
  CHECK(machine.scratch_mib == 0);
  CHECK(machine.scratch_target.empty());
  CHECK(machine.ttl == named.ttl);
  CHECK(machine.idle == named.idle);
  CHECK(machine.started >= machine.created);
  CHECK(machine.engine_pid > 0);

  const auto vm = here.vms().attach(machine.id).info();
  CHECK(vm.id == machine.id);
  CHECK(vm.state == VMState::Running);
  CHECK(vm.image == "busybox");
  CHECK(vm.engine == machine.engine);
  CHECK(vm.cpus == 1);
  CHECK(vm.memory_mib == 128);
  CHECK(vm.network == NetworkMode::None);
  CHECK(vm.hostname == "tern");
  CHECK(vm.snapshot == "base");
  CHECK(vm.detached);
  CHECK(vm.workspace.empty());
  CHECK(vm.agent.empty());
  CHECK(vm.engine_pid == machine.engine_pid);
  CHECK(vm.created >= machine.created);
  here.machines().remove("one", true);

  const auto unnamed = start();
  CHECK(unnamed->record.hostname.starts_with("fc-"));
  CHECK(on_disk(*unnamed).hostname == unnamed->record.hostname);
}

TEST_CASE_FIXTURE(Fixture, "whatever changes a named machine takes its turn") {
  const auto machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  const auto turn = host->layout.lock("machine-one");
  const auto takes_turn = [&](const auto& action) {
    std::filesystem::remove(turn);
    action();
    return std::filesystem::exists(turn);
  };
  CHECK(takes_turn([&] { static_cast<void>(machines.create(named)); }));
  CHECK(takes_turn([&] { machines.pause("one"); }));
  CHECK(takes_turn([&] { machines.resume("one"); }));
  CHECK(takes_turn([&] { machines.stop("one", 0ms); }));
  CHECK(takes_turn([&] { static_cast<void>(machines.start("one")); }));
  CHECK(takes_turn([&] { machines.rename("one", "two"); }));
  CHECK(takes_turn([&] { machines.rename("two", "one"); }));
  CHECK(takes_turn([&] { machines.remove("one", true); }));
}

TEST_CASE_FIXTURE(Fixture, "a named machine's record says that it is paused for want of use before it is") {
  const MachineManager machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  named.idle = 1min;
  static_cast<void>(machines.create(named));
  auto idle = require_machine(*host, "one");
  idle.started -= 1h;
  machine_store(*host).put(idle);
  std::filesystem::last_write_time(host->layout.lock("machine-use-" + idle.key),
                                   std::filesystem::file_time_type::clock::now() - 1h);
  std::vector<std::ptrdiff_t> paused_when_written;
  {
    FileCalls* recorded = nullptr;
    FileCalls calls{home(), [&] {
                      if (recorded != nullptr && recorded->lines().back().ends_with("-> machines/one.json")) {
                        paused_when_written.push_back(done("Paused"));
                      }
                    }};
    recorded = &calls;
    machines.tend();
  }
  CHECK(paused_when_written == std::vector<std::ptrdiff_t>{0});
  CHECK(done("Paused") == 1);
  const auto record = require_machine(*host, "one");
  CHECK(record.resumes_on_use);
  machines.remove("one", true);
  CHECK(host->runs.list().empty());
  CHECK_FALSE(machine_store(*host).find("one"));
}

TEST_CASE_FIXTURE(Fixture, "a machine that is resumed has been used") {
  const MachineManager machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  static_cast<void>(machines.create(named));
  const auto key = require_machine(*host, "one").key;
  machines.pause("one");
  std::filesystem::last_write_time(host->layout.lock("machine-use-" + key),
                                   std::filesystem::file_time_type::clock::now() - 1h);
  machines.resume("one");
  CHECK(std::chrono::system_clock::now() - last_use(*host, key) < 30min);
  machines.remove("one", true);
}

TEST_CASE_FIXTURE(Fixture, "a machine whose guest does not say what runs in it is not paused for want of use") {
  const MachineManager machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  named.idle = 1min;
  const auto id = machines.create(named).id;
  auto idle = require_machine(*host, "one");
  idle.started -= 1h;
  machine_store(*host).put(idle);
  const auto make_old = [&] {
    std::filesystem::last_write_time(host->layout.lock("machine-use-" + idle.key),
                                     std::filesystem::file_time_type::clock::now() - 1h);
  };
  const auto to_guest = host->runs.directory(id) / "engine" / "v.sock";
  const auto away = to_guest.native() + "-away";
  std::filesystem::rename(to_guest, away);
  make_old();
  machines.tend();
  CHECK(machines.info("one").state == VMState::Running);
  std::filesystem::rename(away, to_guest);
  make_old();
  machines.tend();
  CHECK(machines.info("one").state == VMState::Paused);
  machines.remove("one", true);
}

TEST_CASE_FIXTURE(Fixture, "a machine's time begins with its last start, and ends it") {
  const MachineManager machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  named.ttl = 1h;
  static_cast<void>(machines.create(named));
  const auto make_older = [&](auto state::MachineRecord::*moment) {
    auto record = require_machine(*host, "one");
    record.*moment -= 2h;
    machine_store(*host).put(record);
  };
  make_older(&state::MachineRecord::created);
  CHECK(machines.tend().stopped.empty());
  CHECK(machines.info("one").state == VMState::Running);
  make_older(&state::MachineRecord::started);
  CHECK(machines.tend().stopped == std::vector<std::string>{"one"});
  CHECK(machines.info("one").state != VMState::Running);
  static_cast<void>(machines.start("one"));
  CHECK(machines.tend().stopped.empty());
  machines.remove("one", true);
}

TEST_CASE_FIXTURE(Fixture, "a machine that is renamed while it runs is found by its new name alone") {
  const MachineManager machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  const auto id = machines.create(named).id;
  const auto other = start();
  machines.rename("one", "two");
  CHECK(require_run(*host, "two").id == id);
  CHECK(require_run(*host, id).machine == "two");
  CHECK(code_of([&] { static_cast<void>(require_run(*host, "one")); }) == ErrorCode::NotFound);
  CHECK(on_disk(*other).machine.empty());
  machines.remove("two", true);
  CHECK(host->runs.list().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a disk that is only to be read is mounted so, and a machine's own are not") {
  auto like = config();
  like.scratch_mib = 16;
  like.scratch_target = "/scratch";
  for (const bool read_only : {true, false}) {
    CAPTURE(read_only);
    Purpose purpose;
    purpose.disk = Purpose::Disk{home() / "disk", std::uint64_t{1} << 20, read_only};
    const auto mounts = MachineDisks{*host, like, purpose}.mounts();
    REQUIRE(mounts.size() == 2);
    CHECK(mounts[0].target == "/scratch");
    CHECK_FALSE(mounts[0].read_only);
    CHECK(mounts[0].options == "nodev,noatime");
    CHECK(mounts[1].target == "/workspace");
    CHECK(mounts[1].read_only == read_only);
  }
}

TEST_CASE_FIXTURE(Fixture, "a machine that cannot be used is said to be stopped, or not to be there") {
  const MachineManager machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  static_cast<void>(machines.create(named));
  const auto id = require_run(*host, "one").id;
  CHECK(require_run(*host, id).machine == "one");
  machines.stop("one", 1s);
  CHECK(host->runs.list().empty());
  static_cast<void>(machines.start("one"));
  const auto engine = *require_run(*host, "one").process;
  REQUIRE(::kill(engine.pid, SIGKILL) == 0);
  REQUIRE(sys::is_ending(engine));
  machines.stop("one", 1s);
  CHECK(host->runs.list().empty());
  state::RunRecord ended;
  ended.owner = sys::current_process();
  ended.process = gone();
  ended = host->runs.create(ended);
  for (const auto& [name, code, text] : std::vector<std::tuple<std::string, ErrorCode, std::string>>{
           {ended.id, ErrorCode::NotFound, fmt::format("no VM '{}' runs; see: fireclaw vm list", ended.id)},
           {"one", ErrorCode::InvalidState, "machine 'one' is stopped; start it with: fireclaw vm start one"},
           {"two", ErrorCode::NotFound, "no machine named 'two'; see: fireclaw vm list"},
           {id, ErrorCode::NotFound, fmt::format("no VM '{}' runs; see: fireclaw vm list", id)}}) {
    CAPTURE(name);
    CHECK(error_of([&] { static_cast<void>(require_run(*host, name)); }) == std::pair{code, text});
    CHECK(error_of([&] { machines.pause(name); }) == std::pair{code, text});
    CHECK(error_of([&] { machines.resume(name); }) == std::pair{code, text});
  }
  machines.remove("one", false);
}

TEST_CASE_FIXTURE(Fixture, "a named machine has its record before its disk, and its disk as long as its record") {
  const MachineManager machines = Access::host(host).machines();
  MachineConfig named;
  named.name = "one";
  named.machine = config();
  named.machine.scratch_mib = 16;
  set_knobs("die_at=/actions");
  std::vector<std::string> lines;
  {
    const FileCalls calls{home()};
    CHECK(code_of([&] { static_cast<void>(machines.create(named)); }) == ErrorCode::Vmm);
    lines = calls.lines_with({"machines/"});
  }
  const auto recorded = std::ranges::find(lines, "rename machines/.fireclaw-*.tmp -> machines/one.json");
  // Made elsewhere, so that a kill meanwhile leaves no half of a disk.
  const auto there = std::ranges::find(lines, "rename runs/*/scratch.img -> machines/*.ext4");
  REQUIRE(there != lines.end());
  CHECK(recorded < there);
  CHECK(std::ranges::find(lines, "create machines/*.ext4") == lines.end());
  CHECK_FALSE(machine_store(*host).find("one"));
  for (const auto& entry : std::filesystem::directory_iterator{host->layout.machines()}) {
    CHECK_FALSE(entry.path().extension() == ".ext4");
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "what a power failure left of a machine's record is collected, and keeps no machine from starting") {
  for (const bool there : {true, false}) {
    CAPTURE(there);
    const auto run = host->layout.runs() / "0123456789abcdef";
    std::filesystem::create_directories(run);
    if (there) std::ofstream{run / "run.json"};
    CHECK(shell(*start(), "echo well") == "well\n");
    const auto removed = Access::host(host).collect_garbage().removed;
    CHECK(std::ranges::find(removed, run) != removed.end());
    CHECK_FALSE(std::filesystem::exists(run));
  }
}

TEST_CASE_FIXTURE(Fixture, "a workspace is used by a machine that runs, and not by one that has ended") {
  state::RunRecord record;
  record.owner = sys::current_process();
  record.workspace = "one";
  record = host->runs.create(record);
  const auto set_engine = [&](const sys::ProcessId& engine) {
    host->runs.change(record.id, [&](state::RunRecord& now) { now.process = engine; });
  };
  CHECK_FALSE(workspace_user(*host, "one"));
  set_engine(gone());
  CHECK_FALSE(workspace_user(*host, "one"));
  set_engine(sys::current_process());
  REQUIRE(workspace_user(*host, "one"));
  CHECK(workspace_user(*host, "one")->id == record.id);
  CHECK_FALSE(workspace_user(*host, "two"));
}

TEST_CASE_FIXTURE(Fixture, "a machine's last use is its latest, and nobody keeps it unused while it is used") {
  const auto file = host->layout.lock("machine-use-key");
  const auto long_ago = [&] {
    std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() - std::chrono::hours{1});
  };
  const auto is_recent = [&] { return std::chrono::system_clock::now() - last_use(*host, "key") < 30min; };
  CHECK(last_use(*host, "key") == std::chrono::system_clock::time_point{});
  note_use(*host, "key");
  CHECK(is_recent());
  long_ago();
  CHECK_FALSE(is_recent());
  note_use(*host, "key");
  CHECK(is_recent());
  {
    long_ago();
    const auto use = MachineUse::begin(*host, "key");
    CHECK(is_recent());
    CHECK_FALSE(try_keep_unused(*host, "key"));
    long_ago();
  }
  CHECK(is_recent());
  CHECK(try_keep_unused(*host, "key"));
  forget_use(*host, "key");
  CHECK_FALSE(std::filesystem::exists(file));
}

}  // namespace
}  // namespace fireclaw::core
