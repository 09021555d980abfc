// Pausing, saving and restoring machines, against the stand-in.
#include <doctest/doctest.h>
#include <poll.h>

#include <sstream>
#include <thread>

#include "contract/engine_fixture.hpp"
#include "http/client.hpp"
#include "json/json.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"

namespace fireclaw::contract {
namespace {

using namespace std::chrono_literals;

/// The names in a folder that start like the snapshot's files.
std::size_t files_like(const std::filesystem::path& folder, std::string_view prefix) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator{folder}) {
    if (entry.path().filename().string().starts_with(prefix)) ++count;
  }
  return count;
}

/// Boots a machine, saves it and ends it.
void save(const EngineFixture& fixture, const vmm::SnapshotFiles& files, const std::string& version = "1.17.0-dev") {
  auto machine = fixture.spec("source");
  machine.nics = {{"eth0", "02:fc:00:00:00:01", vmm::TapBackend{"lo"}}};
  const auto instance = fixture.driver(version)->launch(machine, fixture.soon());
  CHECK(round_trip(instance->connect_guest(Deadline::after(10s), {}).stream.get(), "hi\n") == "hi\n");
  instance->snapshot(files, Deadline::after(10s));
}

vmm::LaunchSpec clone_spec(const EngineFixture& fixture, const std::string& id) {
  auto machine = fixture.spec(id);
  machine.nics = {{"eth0", "02:fc:00:00:00:02", vmm::TapBackend{"lo"}}};
  return machine;
}

json::Value engine_config(const vmm::Instance& instance) {
  auto api = http::Client::over_unix_socket(instance.record().run_dir / "api.sock");
  return json::Value::parse(api.send({"GET", "/vm/config", {}}, {Deadline::after(5s), {}, 1 << 20}).body, "config");
}

std::string state_of(const vmm::Instance& instance) {
  auto api = http::Client::over_unix_socket(instance.record().run_dir / "api.sock");
  return json::Value::parse(api.send({"GET", "/", {}}, {Deadline::after(5s), {}, 1 << 20}).body, "state")
      .at("state")
      .as_string();
}

/// A machine whose guest has answered once, of a stand-in that keeps what it is asked from now on.
std::unique_ptr<vmm::Instance> launch_recorded(const EngineFixture& fixture, const std::string& knobs,
                                               const std::string& version) {
  const auto file = fixture.directory.path() / "requests";
  fixture.set_knobs(knobs + "requests=" + file.string() + "\n");
  auto instance = fixture.driver(version)->launch(fixture.spec("recorded"), fixture.soon());
  CHECK(round_trip(instance->connect_guest(Deadline::after(10s), {}).stream.get(), "hi\n") == "hi\n");
  std::filesystem::remove(file);
  return instance;
}

/// What the machine of launch_recorded() was told, in one line: "Paused create Resumed ".
std::string requests(const EngineFixture& fixture) {
  const auto file = fixture.directory.path() / "requests";
  std::string told;
  if (!std::filesystem::exists(file)) return told;
  std::istringstream lines{sys::read_file(file)};
  for (std::string line; std::getline(lines, line);) {
    for (const std::string_view word : {"Paused", "Resumed"}) {
      if (line.starts_with("PATCH /vm ") && line.find(word) != std::string::npos) told += std::string{word} + " ";
    }
    if (line.starts_with("PUT /snapshot/create ")) told += "create ";
  }
  return told;
}

bool continues(vmm::Instance& instance) {
  return round_trip(instance.connect_guest(Deadline::after(5s), {}).stream.get(), "on\n") == "on\n";
}

TEST_CASE_FIXTURE(EngineFixture, "any number of clones run at once, each with its own drive and sockets") {
  save(*this, files());
  constexpr int count = 8;
  std::vector<std::unique_ptr<vmm::Instance>> clones(count);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        clones[static_cast<std::size_t>(i)] =
            driver()->restore(clone_spec(*this, "clone-" + std::to_string(i)), files(), soon());
      });
    }
  }
  for (int i = 0; i < count; ++i) {
    const auto& clone = *clones[static_cast<std::size_t>(i)];
    const std::string id = "clone-" + std::to_string(i);
    const auto stream = clones[static_cast<std::size_t>(i)]->connect_guest(Deadline::after(10s), {});
    CHECK(round_trip(stream.stream.get(), id + "\n") == id + "\n");
    // The path that the snapshot recorded leads each clone to its own drive.
    const auto drives = engine_config(clone).at("drives").as_array();
    REQUIRE(drives.size() == 2);
    const std::string recorded = drives[1].at("path_on_host").as_string();
    CHECK(std::filesystem::path{recorded}.is_relative());
    CHECK(sys::read_file(clone.record().run_dir / recorded) == id);
    CHECK(engine_config(clone).at("vsock").at("uds_path").as_string() == "v.sock");
  }
}

TEST_CASE_FIXTURE(EngineFixture, "a clone gets its own tap") {
  save(*this, files());
  auto machine = clone_spec(*this, "clone");
  const auto clone = driver()->restore(machine, files(), soon());
  CHECK(engine_config(*clone).at("network-interfaces").as_array().at(0).at("host_dev_name").as_string() == "lo");
  machine = clone_spec(*this, "other");
  machine.nics[0].backend = vmm::TapBackend{"nosuchtap9"};
  CHECK(failure([&] { driver()->restore(machine, files(), soon()); }) == ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(EngineFixture, "restoring tells its phases and asks no more than it needs") {
  save(*this, files());
  std::string phases;
  auto options = soon();
  options.on_phase = [&](std::string_view name, std::chrono::nanoseconds) { phases += std::string{name} + " "; };
  const auto clone = driver()->restore(clone_spec(*this, "clone"), files(), options);
  CHECK(phases == "spawn api configure load ");
}

TEST_CASE_FIXTURE(EngineFixture, "a saved machine stays paused and continues when told to") {
  const auto instance = driver()->launch(spec("a"), soon());
  (void)instance->connect_guest(Deadline::after(10s), {});
  instance->snapshot(files(), Deadline::after(10s));
  CHECK(files_like(directory.path(), "snap") == 2);
  CHECK(sys::read_file(files().memory).size() == std::size_t{16} << 20);
  std::string what;
  CHECK(failure([&] { (void)instance->connect_guest(Deadline::after(50ms), {}); }, &what) == ErrorCode::Timeout);
  instance->resume(Deadline::after(5s));
  const auto stream = instance->connect_guest(Deadline::after(10s), {});
  CHECK(round_trip(stream.stream.get(), "on\n") == "on\n");
}

TEST_CASE_FIXTURE(EngineFixture, "a snapshot that fails leaves no file") {
  std::string what;
  std::size_t there = 0;
  const auto instance = driver()->launch(spec("a"), soon());
  SUBCASE("a file of that name exists") {
    sys::write_file_atomic(files().memory, "precious");
    CHECK(failure([&] { instance->snapshot(files(), Deadline::after(5s)); }) == ErrorCode::AlreadyExists);
    CHECK(sys::read_file(files().memory) == "precious");
    there = 1;
  }
  SUBCASE("a link that leads nowhere has that name, for which no machine is stopped") {
    std::filesystem::create_symlink("nowhere", files().state);
    CHECK(failure([&] { instance->snapshot(files(), Deadline::after(5s)); }) == ErrorCode::AlreadyExists);
    CHECK(std::filesystem::is_symlink(files().state));
    CHECK(continues(*instance));
    there = 1;
  }
  SUBCASE("there is no such folder") {
    const vmm::SnapshotFiles nowhere{directory.path() / "none" / "s", directory.path() / "none" / "m"};
    CHECK(failure([&] { instance->snapshot(nowhere, Deadline::after(5s)); }, &what) == ErrorCode::NotFound);
    CHECK(what.find("no such file or directory") != std::string::npos);
  }
  SUBCASE("the memory's folder is missing") {
    const vmm::SnapshotFiles half{directory.path() / "snap.state", directory.path() / "none" / "m"};
    CHECK(failure([&] { instance->snapshot(half, Deadline::after(5s)); }, &what) == ErrorCode::NotFound);
  }
  CHECK(files_like(directory.path(), "snap") == there);
}

TEST_CASE_FIXTURE(EngineFixture, "what an engine has put in the place of a snapshot's file is not taken") {
  const auto instance = launch_recorded(*this, "", "1.17.0-dev");
  sys::write_file_atomic(directory.path() / "secret", "of the host");
  std::string what;
  CHECK(failure(
            [&] {
              (void)instance->snapshot_running(
                  files(),
                  [&] {
                    for (const auto& entry : std::filesystem::directory_iterator{instance->record().run_dir}) {
                      if (!entry.path().filename().string().starts_with("saved-")) continue;
                      std::filesystem::remove(entry.path());
                      std::filesystem::create_symlink(directory.path() / "secret", entry.path());
                    }
                  },
                  Deadline::after(10s));
            },
            &what) != ErrorCode::Internal);
  CHECK(files_like(directory.path(), "snap") == 0);
  CHECK(files_like(instance->record().run_dir, "saved-") == 0);
}

TEST_CASE_FIXTURE(EngineFixture, "a full disk leaves no half snapshot") {
  set_knobs("disk_full=1\n");
  const auto instance = driver()->launch(spec("a"), soon());
  std::string what;
  CHECK(failure([&] { instance->snapshot(files(), Deadline::after(5s)); }, &what) == ErrorCode::Vmm);
  CHECK(what.find("No space left on device") != std::string::npos);
  CHECK(files_like(directory.path(), "snap") == 0);
}

TEST_CASE_FIXTURE(EngineFixture, "an engine that dies or hangs while it saves leaves no file") {
  std::string what;
  auto deadline = Deadline::after(10s);
  ErrorCode expected = ErrorCode::Vmm;
  SUBCASE("dies") { set_knobs("die_at=/snapshot/create\n"); }
  SUBCASE("hangs") {
    set_knobs("hang_at=/snapshot/create\n");
    deadline = Deadline::after(200ms);
    expected = ErrorCode::Timeout;
  }
  const auto instance = driver()->launch(spec("a"), soon());
  CHECK(failure([&] { instance->snapshot(files(), deadline); }) == expected);
  CHECK(files_like(directory.path(), "snap") == 0);
}

TEST_CASE_FIXTURE(EngineFixture,
                  "a machine that runs is stopped, saved and let continue, in this order, in every version") {
  std::string version;
  SUBCASE("1.15") { version = "1.15.2"; }
  SUBCASE("1.16.1") { version = "1.16.1"; }
  SUBCASE("1.17") { version = "1.17.0-dev"; }
  const auto instance = launch_recorded(*this, "version=" + version + "\n", version);
  bool silent = false;
  const auto paused_for = instance->snapshot_running(
      files(),
      [&] {
        silent = state_of(*instance) == "Paused";
        CHECK(files_like(directory.path(), "snap.memory.tmp-") == 1);
      },
      Deadline::after(10s));
  CHECK(silent);
  CHECK(paused_for > 0s);
  CHECK(requests(*this) == "Paused create Resumed ");
  CHECK(files_like(directory.path(), "snap") == 2);
  CHECK(continues(*instance));
  const auto clone = driver(version)->restore(spec("clone"), files(), soon());
  CHECK(round_trip(clone->connect_guest(Deadline::after(5s), {}).stream.get(), "hi\n") == "hi\n");
}

TEST_CASE_FIXTURE(EngineFixture, "a machine that could not be saved while it ran continues, in every version") {
  std::string knobs;
  auto limit = std::chrono::milliseconds{10s};
  ErrorCode expected = ErrorCode::Vmm;
  std::function<void()> copy_drives = [] {};
  SUBCASE("the disk is full") { knobs = "disk_full=1\n"; }
  SUBCASE("writing takes longer than there is time") {
    knobs = "slow_at=/snapshot/create\nslow_ms=600\n";
    limit = 200ms;
    expected = ErrorCode::Timeout;
  }
  SUBCASE("stopping it takes longer than there is time") {
    knobs = "slow_at=/vm\nslow_ms=600\n";
    limit = 200ms;
    expected = ErrorCode::Timeout;
  }
  SUBCASE("its disks could not be copied") {
    copy_drives = [] { throw Error{ErrorCode::Io, "no space"}; };
    expected = ErrorCode::Io;
  }
  SUBCASE("copying its disks takes all the time that there is, and then fails") {
    limit = 200ms;
    copy_drives = [&] {
      std::this_thread::sleep_for(limit);
      throw Error{ErrorCode::Timeout, "copying the disks timed out"};
    };
    expected = ErrorCode::Timeout;
  }
  for (const std::string version : {"1.15.2", "1.16.1", "1.17.0-dev"}) {
    CAPTURE(version);
    std::filesystem::remove_all(spec("recorded").run_dir);
    const auto instance = launch_recorded(*this, "version=" + version + "\n" + knobs, version);
    CHECK(failure([&] { (void)instance->snapshot_running(files(), copy_drives, Deadline::after(limit)); }) == expected);
    CHECK(requests(*this).ends_with("Resumed "));
    CHECK(state_of(*instance) == "Running");
    CHECK(files_like(directory.path(), "snap") == 0);
    CHECK(continues(*instance));
  }
}

TEST_CASE_FIXTURE(EngineFixture, "a machine whose drives are copied slowly continues although the time is over") {
  const auto instance = launch_recorded(*this, "", "1.17.0-dev");
  const auto deadline = Deadline::after(300ms);
  (void)instance->snapshot_running(
      files(),
      [&] {
        while (!deadline.passed()) std::this_thread::sleep_for(10ms);
      },
      deadline);
  CHECK(continues(*instance));
  CHECK(files_like(directory.path(), "snap") == 2);
}

TEST_CASE_FIXTURE(EngineFixture, "a machine whose copy is called off continues") {
  const auto instance = launch_recorded(*this, "hang_at=/snapshot/create\n", "1.17.0-dev");
  std::stop_source stop;
  std::jthread stopper{[&] {
    while (state_of(*instance) != "Paused") std::this_thread::yield();
    stop.request_stop();
  }};
  CHECK(failure([&] {
          (void)instance->snapshot_running(
              files(), [] {}, Deadline::after(60s), stop.get_token());
        }) == ErrorCode::Cancelled);
  CHECK(continues(*instance));
  CHECK(files_like(directory.path(), "snap") == 0);
}

TEST_CASE_FIXTURE(EngineFixture, "a machine that cannot be saved at all is not stopped for it") {
  const auto instance = launch_recorded(*this, "", "1.17.0-dev");
  sys::write_file_atomic(files().memory, "precious");
  CHECK(failure([&] {
          (void)instance->snapshot_running(
              files(), [] {}, Deadline::after(5s));
        }) == ErrorCode::AlreadyExists);
  CHECK(requests(*this).empty());
  CHECK(sys::read_file(files().memory) == "precious");
}

TEST_CASE_FIXTURE(EngineFixture, "an engine that dies while its running machine is saved is told of") {
  const auto instance = launch_recorded(*this, "die_at=/snapshot/create\n", "1.17.0-dev");
  std::string what;
  CHECK(failure(
            [&] {
              (void)instance->snapshot_running(
                  files(), [] {}, Deadline::after(10s));
            },
            &what) == ErrorCode::Vmm);
  CHECK(what.find("was killed by signal 9") != std::string::npos);
  CHECK(files_like(directory.path(), "snap") == 0);
}

TEST_CASE_FIXTURE(EngineFixture, "a machine that runs may be told to continue, and continues, in every version") {
  std::string version;
  SUBCASE("1.15") { version = "1.15.2"; }
  SUBCASE("1.16.1") { version = "1.16.1"; }
  SUBCASE("1.17") { version = "1.17.0-dev"; }
  const auto instance = launch_recorded(*this, "version=" + version + "\n", version);
  instance->resume(Deadline::after(5s));
  CHECK(continues(*instance));
}

TEST_CASE_FIXTURE(EngineFixture, "a damaged snapshot is refused in Firecracker's words, and its process is gone") {
  save(*this, files());
  std::string expected;
  std::string content = sys::read_file(files().state);
  SUBCASE("a flipped bit") {
    content[content.size() / 2] ^= 1;
    expected = "CRC64 validation failed";
  }
  SUBCASE("cut off") {
    content.resize(content.size() / 2);
    expected = "bitcode error";
  }
  SUBCASE("no state") {
    content.clear();
    expected = "No such file or directory";
  }
  SUBCASE("short memory") {
    std::filesystem::resize_file(files().memory, 4096);
    expected = "Total sum of memory regions exceeds largest possible file offset";
  }
  SUBCASE("no memory") {
    std::filesystem::remove(files().memory);
    expected = "Failed to load guest memory: No such file or directory";
  }
  SUBCASE("an interface that it does not have") { expected = "Unknown Network Device"; }
  std::filesystem::remove(files().state);
  if (!content.empty()) sys::write_file_atomic(files().state, content);
  auto machine = clone_spec(*this, "clone");
  if (expected == "Unknown Network Device") machine.nics[0].id = "eth9";
  std::string what;
  CHECK(failure([&] { driver()->restore(machine, files(), soon()); }, &what) == ErrorCode::Vmm);
  CHECK(what.find(expected) != std::string::npos);
  CHECK(what.find("PUT /snapshot/load") != std::string::npos);
  CHECK_FALSE(std::filesystem::exists(machine.run_dir / "v.sock"));
}

TEST_CASE_FIXTURE(EngineFixture, "an engine that dies, hangs or is given up in a load is gone afterwards") {
  save(*this, files());
  const auto machine = clone_spec(*this, "clone");
  auto options = soon();
  std::string what;
  SUBCASE("dies") {
    set_knobs("die_at=/snapshot/load\n");
    CHECK(failure([&] { driver()->restore(machine, files(), options); }, &what) == ErrorCode::Vmm);
    CHECK(what.find("was killed by signal 9") != std::string::npos);
  }
  SUBCASE("hangs") {
    set_knobs("hang_at=/snapshot/load\n");
    options.deadline = Deadline::after(500ms);
    CHECK(failure([&] { driver()->restore(machine, files(), options); }) == ErrorCode::Timeout);
  }
  SUBCASE("given up") {
    set_knobs("hang_at=/snapshot/load\n");
    std::stop_source stop;
    options.stop = stop.get_token();
    options.on_phase = [&](std::string_view name, std::chrono::nanoseconds) {
      if (name == "configure") stop.request_stop();
    };
    CHECK(failure([&] { driver()->restore(machine, files(), options); }) == ErrorCode::Cancelled);
  }
  CHECK_FALSE(std::filesystem::exists(machine.run_dir / "api.sock"));
}

TEST_CASE_FIXTURE(EngineFixture, "a guest can be reached after a pause, in every version") {
  std::string version;
  SUBCASE("1.15") { version = "1.15.2"; }
  SUBCASE("1.16.0") { version = "1.16.0"; }
  SUBCASE("1.16.1") { version = "1.16.1"; }
  SUBCASE("1.17") { version = "1.17.0-dev"; }
  set_knobs("version=" + version + "\n");
  const auto machine = spec("a");
  const auto instance = driver(version)->launch(machine, soon());
  (void)instance->connect_guest(Deadline::after(10s), {});
  for (int round = 0; round < 2; ++round) {
    instance->pause(Deadline::after(5s));
    instance->pause(Deadline::after(5s));
    instance->resume(Deadline::after(5s));
    const auto stream = instance->connect_guest(Deadline::after(5s), {});
    CHECK(round_trip(stream.stream.get(), "hi\n") == "hi\n");
  }
  CHECK(files_like(machine.run_dir, "no-such") == 0);
}

TEST_CASE_FIXTURE(EngineFixture, "a stream outlives a pause where Firecracker lets it, and ends where it does not") {
  std::string version;
  bool lives = true;
  SUBCASE("1.15") { version = "1.15.2"; }
  SUBCASE("1.16.1") {
    version = "1.16.1";
    lives = false;
  }
  SUBCASE("1.17") { version = "1.17.0-dev"; }
  set_knobs("version=" + version + "\n");
  const auto instance = driver(version)->launch(spec("a"), soon());
  const auto stream = instance->connect_guest(Deadline::after(10s), {});
  instance->pause(Deadline::after(5s));
  sys::write_all(stream.stream.get(), "while paused\n");
  CHECK(read_line(stream.stream.get(), 50ms).empty());
  instance->resume(Deadline::after(5s));
  CHECK(read_line(stream.stream.get(), 5s) == (lives ? "while paused\n" : ""));
  CHECK(instance->resume_resets_streams() == !lives);
}

TEST_CASE_FIXTURE(EngineFixture, "clones are reached in every version that can restore them") {
  std::string version;
  SUBCASE("1.15") { version = "1.15.2"; }
  SUBCASE("1.16.1") { version = "1.16.1"; }
  SUBCASE("1.17") { version = "1.17.0-dev"; }
  set_knobs("version=" + version + "\n");
  save(*this, files(), version);
  const auto clone = driver(version)->restore(clone_spec(*this, "clone"), files(), soon());
  const auto stream = clone->connect_guest(Deadline::after(5s), {});
  CHECK(round_trip(stream.stream.get(), "hi\n") == "hi\n");
  // And a clone is a machine like any other: it can be saved in turn.
  const auto again = files("again");
  clone->snapshot(again, Deadline::after(5s));
  const auto grandchild = driver(version)->restore(clone_spec(*this, "grandchild"), again, soon());
  CHECK(round_trip(grandchild->connect_guest(Deadline::after(5s), {}).stream.get(), "hi\n") == "hi\n");
}

TEST_CASE_FIXTURE(EngineFixture, "1.16.0, whose restored guests cannot be reached, makes and restores no snapshots") {
  set_knobs("version=1.16.0\n");
  const auto faulty = driver("1.16.0");
  CHECK_FALSE(faulty->capabilities().snapshots);
  CHECK(driver("1.16.1")->capabilities().snapshots);
  CHECK(driver("1.15.0")->capabilities().snapshots);
  const auto instance = faulty->launch(spec("a"), soon());
  std::string what;
  CHECK(failure([&] { instance->snapshot(files(), Deadline::after(5s)); }, &what) == ErrorCode::Unsupported);
  CHECK(what.find("1.16.1") != std::string::npos);
  CHECK(failure([&] { faulty->restore(spec("b"), files(), soon()); }) == ErrorCode::Unsupported);
}

TEST_CASE_FIXTURE(EngineFixture,
                  "a first connection that the guest's reset took along is made once more, before 1.16 only") {
  std::string version;
  SUBCASE("1.15") { version = "1.15.2"; }
  SUBCASE("1.17") { version = "1.17.0-dev"; }
  set_knobs("version=" + version + "\ndrop_first=1\n");
  save(*this, files(), version);
  const auto clone = driver(version)->restore(clone_spec(*this, "clone"), files(), soon());
  if (version == "1.15.2") {
    CHECK(round_trip(clone->connect_guest(Deadline::after(5s), {}).stream.get(), "hi\n") == "hi\n");
  } else {
    std::string what;
    CHECK(failure([&] { (void)clone->connect_guest(Deadline::after(5s), {}); }, &what) == ErrorCode::Guest);
    CHECK(what.find("guestd does not listen") != std::string::npos);
  }
}

TEST_CASE_FIXTURE(EngineFixture, "a snapshot's identity names version and host, and stays the same") {
  const std::string identity = driver()->snapshot_identity();
  CHECK(identity.find("1.17.0-dev") != std::string::npos);
  CHECK(identity == driver()->snapshot_identity());
  CHECK(identity != driver("1.16.1")->snapshot_identity());
}

}  // namespace
}  // namespace fireclaw::contract
