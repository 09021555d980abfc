// Setup on the stand-in for Firecracker, with an image that is there, in a network namespace of the test's own.
#include <doctest/doctest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "core/host/engines.hpp"
#include "core/networks/nat.hpp"
#include "core/testing/stand_in_home.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/version.hpp"
#include "sys/process.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using sys::testing::code_of;
using sys::testing::FileCalls;
using testing::StandInHome;

/// The only tool that is found is the one that makes keys.
struct Fixture : StandInHome {
  sys::TempDir tools{"/tmp", "fireclaw-setup-"};
  Host host = Host::open(options());

  Fixture() {
    set_knobs("open_taps\n");
    std::filesystem::create_symlink(sys::find_program("ssh-keygen", {"/usr/bin", "/bin"}).value(),
                                    tools.path() / "ssh-keygen");
    const auto file = home() / "images" / std::string{built_in_image} / "manifest.json";
    auto manifest = image::read_manifest(file);
    manifest.guestd_version = fmt::format("{}+{}", version(), sys::sha256_file(FIRECLAW_GUESTD).substr(0, 12));
    sys::replace_file(file, image::to_json(manifest));
  }
  ~Fixture() {
    NatNetwork network{*Access::impl(host)};
    const auto turn = network.take_turn();
    network.reclaim();
    network.remove();
  }
  [[nodiscard]] HostOptions options() const {
    HostOptions made;
    made.home = home();
    made.guestd = FIRECLAW_GUESTD;
    made.search_path = {tools.path()};
    return made;
  }
  [[nodiscard]] std::filesystem::path keys() const { return home() / "keys"; }
};

TEST_CASE_FIXTURE(Fixture, "a setup makes what is missing, and another one finds nothing to do") {
  auto report = host.setup({});
  CHECK_FALSE(report.already_done);
  CHECK(report.engine == "firecracker");
  CHECK(report.image == built_in_image);
  auto names = Access::impl(host)->snapshots.names();
  CHECK(std::ranges::count(names, report.snapshot) == 1);
  CHECK(std::filesystem::exists(home() / "templates" / "worker.json"));
  CHECK(sys::read_file(keys() / "id_ed25519").starts_with("-----BEGIN OPENSSH PRIVATE KEY-----"));
  CHECK(sys::read_file(keys() / "id_ed25519.pub").starts_with("ssh-ed25519 "));
  struct stat status {};
  REQUIRE(::stat((keys() / "id_ed25519").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);

  report = host.setup({});
  CHECK(report.already_done);
  // What is gone is made again, and nothing else.
  const auto public_key = sys::read_file(keys() / "id_ed25519.pub");
  std::filesystem::remove(home() / "templates" / "worker.json");
  report = host.setup({});
  CHECK_FALSE(report.already_done);
  CHECK(sys::read_file(keys() / "id_ed25519.pub") == public_key);
  std::filesystem::remove(keys() / "id_ed25519");
  report = host.setup({});
  CHECK_FALSE(report.already_done);
  CHECK(sys::read_file(keys() / "id_ed25519.pub") != public_key);
}

TEST_CASE_FIXTURE(Fixture, "a key is on the disk before it has its name, and its public half is there before it") {
  std::vector<std::string> lines;
  std::filesystem::create_directories(keys() / ".new-abcdef");
  {
    FileCalls* recorded = nullptr;
    FileCalls calls{keys(), [&] {
                      if (recorded == nullptr || !std::filesystem::exists(keys() / "id_ed25519")) return;
                      CHECK(std::filesystem::exists(keys() / "id_ed25519.pub"));
                    }};
    recorded = &calls;
    host.setup({});
    lines = calls.lines_with({"id_ed25519", "sync ."});
  }
  const auto at = [&](const std::string& what) {
    return std::ranges::find_if(lines, [&](const std::string& line) { return line.ends_with(what); }) - lines.begin();
  };
  for (const std::string half : {"id_ed25519.pub", "id_ed25519"}) {
    CAPTURE(half);
    CHECK(at("/" + half) < at("-> " + half));
    CHECK(lines.at(static_cast<std::size_t>(at("/" + half))).starts_with("sync "));
  }
  CHECK(at("-> id_ed25519.pub") < at("-> id_ed25519"));
  CHECK(lines.back() == "sync .");
  CHECK(std::ranges::distance(std::filesystem::directory_iterator{keys()}) == 2);
}

TEST_CASE_FIXTURE(Fixture, "a setup that is stopped ends with the step that it is in, and can be continued") {
  for (const std::string last : {"image", "engines"}) {
    CAPTURE(last);
    std::stop_source stop;
    std::vector<std::string> begun;
    SetupOptions with;
    with.stop = stop.get_token();
    with.progress = [&](const Progress& progress) {
      if (!progress.finished) begun.emplace_back(progress.step);
      if (progress.finished && progress.step == last) stop.request_stop();
    };
    CHECK(code_of([&] { host.setup(with); }) == ErrorCode::Cancelled);
    REQUIRE_FALSE(begun.empty());
    CHECK(begun.back() == last);
  }
  CHECK(host.setup({}).engine == "firecracker");
}

TEST_CASE_FIXTURE(Fixture, "an upgrade makes named snapshots again that no longer fit and can be, and names them") {
  auto never = Access::impl(host)->config();
  never.set_up_by.clear();
  state::write_config(home() / "config.json", never);
  CHECK(code_of([&] { host.upgrade({}); }) == ErrorCode::InvalidState);
  host.setup({});
  CHECK(host.upgrade({}).renewed.empty());
  VMConfig config;
  config.network = NetworkMode::None;
  config.memory_mib = 128;
  static_cast<void>(host.snapshots().create(config, "booted"));
  static_cast<void>(host.snapshots().create(config, "kept"));
  static_cast<void>(host.vms().run(config).snapshot("of-a-machine"));
  if (!kvm_problem().empty()) return;
  CHECK(host.upgrade({}).renewed.empty());
  for (const std::string name : {"booted", "of-a-machine"}) {
    auto record = Access::impl(host)->snapshots.find(name).value();
    record.key.engine_identity = "another";
    // All that the stand-in saves is alike.
    record.state_sha256 = sys::sha256_hex("another");
    sys::replace_file(home() / "snapshots" / name / "manifest.json", json::record_text(record));
  }
  CHECK(host.upgrade({}).renewed == std::vector<std::string>{"snapshot booted"});
  CHECK(host.snapshots().open("booted").info().usable);
  CHECK(host.snapshots().open("booted").info().memory_mib == 128);
  CHECK_FALSE(host.snapshots().open("of-a-machine").info().usable);
  CHECK(host.upgrade({}).renewed.empty());
}

TEST_CASE_FIXTURE(Fixture, "an upgrade that is stopped ends with the snapshot that it makes, and can be continued") {
  host.setup({});
  VMConfig config;
  config.network = NetworkMode::None;
  config.memory_mib = 128;
  const std::vector<std::string> names{"one", "two"};
  for (const auto& name : names) {
    static_cast<void>(host.snapshots().create(config, name));
    auto record = Access::impl(host)->snapshots.find(name).value();
    record.key.engine_identity = "another";
    record.state_sha256 = sys::sha256_hex("another");
    sys::replace_file(home() / "snapshots" / name / "manifest.json", json::record_text(record));
  }
  if (!kvm_problem().empty()) return;
  std::stop_source stop;
  std::vector<std::string> begun;
  UpgradeOptions with;
  with.stop = stop.get_token();
  with.progress = [&](const Progress& progress) {
    if (!progress.step.starts_with("snapshot ")) return;
    if (!progress.finished) begun.emplace_back(progress.step);
    if (progress.finished && progress.step == "snapshot one") stop.request_stop();
  };
  CHECK(code_of([&] { host.upgrade(with); }) == ErrorCode::Cancelled);
  REQUIRE_FALSE(begun.empty());
  CHECK(begun.back() == "snapshot one");
  CHECK(host.snapshots().open("one").info().usable);
  CHECK_FALSE(host.snapshots().open("two").info().usable);
  CHECK(host.upgrade({}).renewed == std::vector<std::string>{"snapshot two"});
}

}  // namespace
}  // namespace fireclaw::core
