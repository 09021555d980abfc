#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "core/host/image_build.hpp"
#include "core/host/impl.hpp"
#include "core/machines/named.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "image/store/manifest.hpp"
#include "state/records/agents.hpp"
#include "state/records/machines.hpp"
#include "state/settings/config.hpp"
#include "sys/digest.hpp"
#include "sys/process.hpp"

using namespace fireclaw;

namespace {

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "garbage-test-"};
  Host host = Host::open(options());
  std::shared_ptr<Host::Impl> impl = Access::impl(host);

  [[nodiscard]] HostOptions options() const {
    HostOptions made;
    made.home = folder.path() / "home";
    return made;
  }

  void save_snapshot(const std::string& name, bool automatic, const std::string& image = "an-image-that-is-gone",
                     const std::string& digest = {}) const {
    auto draft = impl->snapshots.begin(name, Deadline::never());
    std::ofstream{draft.files().state} << "state";
    std::ofstream{draft.files().memory} << "memory";
    state::SnapshotRecord record;
    record.name = name;
    record.image = image;
    record.key.image_digest = digest;
    record.automatic = automatic;
    impl->snapshots.publish(std::move(draft), record, false);
  }

  /// An image of made-up files. Returns its digest.
  [[nodiscard]] std::string make_image(const std::string& name) const {
    const auto image = impl->layout.images() / name;
    std::filesystem::create_directories(image);
    image::Manifest manifest;
    manifest.name = name;
    for (auto [file, info] : {std::pair{"kernel", &manifest.kernel_file}, std::pair{"initramfs", &manifest.initramfs},
                              std::pair{"rootfs", &manifest.rootfs}}) {
      std::ofstream{image / file} << file;
      *info = {sys::sha256_hex(file), std::string_view{file}.size()};
    }
    manifest.kernel = {KernelFormat::BzImage, VirtioBus::Pci, "6.1.0", manifest.kernel_file.sha256, "made up"};
    manifest.rootfs_type = "squashfs";
    manifest.digest = image::combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs);
    std::ofstream{image / "manifest.json"} << image::to_json(manifest);
    return manifest.digest;
  }

  [[nodiscard]] state::RunRecord save_run(const sys::ProcessId& owner, const sys::ProcessId& engine,
                                          bool detached) const {
    state::RunRecord record;
    record.owner = owner;
    record.process = engine;
    record.detached = detached;
    record.configured = true;
    return impl->runs.create(record);
  }
};

sys::Child sleeper(const std::filesystem::path& folder = {}) {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  spec.cwd = folder;
  return sys::Child::spawn(spec);
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "nothing is collected where nothing was left") {
  const auto report = host.collect_garbage();
  CHECK(report.ended.empty());
  CHECK(report.removed.empty());
}

TEST_CASE_FIXTURE(Fixture, "automatic snapshots of images that are gone are collected, named ones are kept") {
  save_snapshot("auto-1", true);
  save_snapshot("mine", false);
  CHECK(host.collect_garbage().removed == std::vector{impl->layout.snapshots() / "auto-1"});
  CHECK(impl->snapshots.names() == std::vector<std::string>{"mine"});
}

TEST_CASE_FIXTURE(Fixture,
                  "automatic snapshots of an image that was rebuilt are collected, those of what it is now are kept") {
  const auto digest = make_image("mine");
  save_snapshot("auto-old", true, "mine", "what it was before");
  save_snapshot("auto-now", true, "mine", digest);
  save_snapshot("named-old", false, "mine", "what it was before");
  CHECK(host.collect_garbage().removed == std::vector{impl->layout.snapshots() / "auto-old"});
  CHECK(impl->snapshots.names() == std::vector<std::string>{"auto-now", "named-old"});
}

TEST_CASE_FIXTURE(Fixture,
                  "an image is told as its manifest has it, with the part of its command that is its entrypoint") {
  static_cast<void>(make_image("mine"));
  const auto file = impl->layout.images() / "mine" / "manifest.json";
  for (const std::size_t words : {0, 1, 3}) {
    CAPTURE(words);
    auto manifest = image::read_manifest(file);
    manifest.source = "a folder";
    manifest.defaults.command = {"serve", "--port", "80"};
    manifest.defaults.entrypoint_words = words;
    std::ofstream{file} << image::to_json(manifest);
    const auto all = host.images().list();
    REQUIRE(all.size() == 1);
    const auto& info = all.front();
    CHECK(info.name == "mine");
    CHECK(info.source == "a folder");
    CHECK(info.kernel_release == "6.1.0");
    CHECK(info.kernel_source == "made up");
    CHECK(info.rootfs_type == "squashfs");
    CHECK(info.digest == manifest.digest);
    CHECK(info.command == manifest.defaults.command);
    const auto& command = manifest.defaults.command;
    CHECK(info.entrypoint == std::vector(command.begin(), command.begin() + static_cast<std::ptrdiff_t>(words)));
    CHECK(info.bytes == std::string_view{"kernelinitramfsrootfs"}.size());
  }
}

TEST_CASE_FIXTURE(Fixture, "an image goes when nothing needs it, or by force, and what needs it is named") {
  const auto digest = make_image("debian-agent");
  save_snapshot("named", false, "debian-agent", digest);
  save_snapshot("auto-1", true, "debian-agent", digest);
  state::AgentRecord agent;
  agent.name = "ada";
  agent.template_name = "worker";
  state::AgentStore{impl->layout.agents(), impl->logger}.put(agent);
  state::MachineRecord machine;
  machine.name = "dev";
  machine.key = "0123456789abcdef";
  machine.image = "debian-agent";
  core::machine_store(*impl).put(machine);
  CHECK_THROWS_WITH_AS(host.images().remove("debian-agent", false),
                       doctest::Contains("is needed by snapshot 'named', agent 'ada', machine 'dev';"), Error);
  CHECK(impl->images.find("debian-agent"));
  CHECK(impl->snapshots.names().size() == 2);
  host.images().remove("debian-agent", true);
  CHECK_FALSE(impl->images.find("debian-agent"));
  CHECK(impl->snapshots.names().empty());
}

TEST_CASE_FIXTURE(Fixture,
                  "a fetched engine goes when nothing was saved with it, runs on it or is to, but for the last one") {
  const auto folder_of = [&](const std::string& version) {
    return impl->layout.home() / "engines" / ("firecracker-" + version);
  };
  const auto save_with = [&](const std::string& name, bool automatic, const std::string& version) {
    auto draft = impl->snapshots.begin(name, Deadline::never());
    std::ofstream{draft.files().state} << "state";
    std::ofstream{draft.files().memory} << "memory";
    state::SnapshotRecord record;
    record.name = name;
    record.image = "mine";
    record.automatic = automatic;
    record.key.image_digest = make_image("mine");
    record.key.engine_identity = "firecracker " + version + "; kvm";
    impl->snapshots.publish(std::move(draft), record, false);
  };
  const std::vector<std::string> versions{"1.1", "1.9.0", "1.10.0", "1.11.0", "1.12.0", "1.13.0", "1.14.0"};
  for (const auto& version : versions) {
    std::filesystem::create_directories(folder_of(version));
    std::ofstream{folder_of(version) / "firecracker"} << version;
    std::filesystem::last_write_time(folder_of(version), std::filesystem::file_time_type::clock::now() -
                                                             std::chrono::hours{version == "1.9.0" ? 1 : 2});
  }
  auto config = impl->config();
  config.engines.emplace_back().verdict.binary = folder_of("1.10.0") / "firecracker";
  state::write_config(impl->layout.config(), config);
  save_with("named", false, "1.11.0");
  save_with("auto-1", true, "1.12.0");
  std::filesystem::create_directories(impl->layout.snapshots() / "torn");
  state::RunRecord run;
  run.owner = sys::current_process();
  run.engine_identity = "firecracker 1.13.0; kvm";
  impl->runs.create(run);
  const auto left = [&] {
    std::vector<std::string> all;
    for (const auto& version : versions) {
      if (std::filesystem::exists(folder_of(version) / "firecracker")) all.push_back(version);
    }
    return all;
  };
  {
    // Somebody fetches one.
    const auto turn = sys::FileLock::acquire(impl->layout.lock("engines"), sys::FileLock::Mode::Exclusive,
                                             Deadline::never(), "the engines");
    CHECK(host.collect_garbage().removed.empty());
    CHECK(left() == versions);
  }
  auto removed = host.collect_garbage().removed;
  std::ranges::sort(removed);
  CHECK(removed == std::vector{folder_of("1.1"), folder_of("1.12.0"), folder_of("1.14.0")});
  CHECK(left() == std::vector<std::string>{"1.9.0", "1.10.0", "1.11.0", "1.13.0"});
  CHECK(impl->snapshots.names().size() == 3);
}

TEST_CASE_FIXTURE(Fixture,
                  "a build that was replaced is kept for machines and named snapshots of it, and for nothing else") {
  const auto folder_of = [&](const std::string& digest) { return impl->layout.images() / ".kept" / digest; };
  for (const auto* digest : {"saved", "prepared", "running"}) sys::make_directories(folder_of(digest));
  save_snapshot("named", false, "mine", "saved");
  save_snapshot("auto-1", true, "mine", "prepared");
  state::RunRecord run;
  run.owner = sys::current_process();
  run.image_digest = "running";
  run = impl->runs.create(run);
  CHECK(core::needs_build(*impl, "saved"));
  CHECK(core::needs_build(*impl, "running"));
  CHECK_FALSE(core::needs_build(*impl, "prepared"));
  host.collect_garbage();
  CHECK(std::filesystem::exists(folder_of("saved")));
  CHECK(std::filesystem::exists(folder_of("running")));
  CHECK_FALSE(std::filesystem::exists(folder_of("prepared")));
  impl->snapshots.remove("named");
  impl->runs.remove(run.id);
  CHECK(host.collect_garbage().removed.size() == 2);
  CHECK(std::filesystem::is_empty(impl->layout.images() / ".kept"));
}

TEST_CASE_FIXTURE(Fixture, "an engine that its owner had no time to put into the record is ended with its machine") {
  auto owner = sleeper();
  state::RunRecord record;
  record.owner = owner.id();
  record = impl->runs.create(record);
  auto engine = sleeper(impl->runs.directory(record.id));
  auto bystander = sleeper(impl->layout.runs());
  owner.kill();
  const auto report = host.collect_garbage();
  CHECK(report.ended == std::vector{record.id});
  CHECK(engine.wait(Deadline::after(std::chrono::seconds{5})) == sys::ExitStatus{std::nullopt, SIGKILL});
  CHECK(sys::is_alive(bystander.id()));
  CHECK_FALSE(std::filesystem::exists(impl->runs.directory(record.id)));
}

TEST_CASE_FIXTURE(Fixture, "machines whose owner is gone are ended, all others are left alone") {
  auto owner = sleeper();
  auto orphan = sleeper();
  auto detached = sleeper();
  auto owned = sleeper();
  const auto owner_id = owner.id();
  const auto first = save_run(owner_id, orphan.id(), false);
  const auto second = save_run(owner_id, detached.id(), true);
  const auto third = save_run(sys::current_process(), owned.id(), false);
  owner.kill();

  const auto report = host.collect_garbage();
  CHECK(report.ended == std::vector{first.id});
  CHECK(report.removed == std::vector{impl->runs.directory(first.id)});
  CHECK(orphan.wait(Deadline::after(std::chrono::seconds{5})) == sys::ExitStatus{std::nullopt, SIGKILL});
  CHECK(sys::is_alive(detached.id()));
  CHECK(sys::is_alive(owned.id()));
  auto left = impl->runs.list();
  CHECK(left.size() == 2);
  CHECK(std::ranges::count(left, second) == 1);
  CHECK(std::ranges::count(left, third) == 1);
}

TEST_CASE_FIXTURE(Fixture, "what interrupted makers left of machines, snapshots, workspaces and images is collected") {
  auto maker = sleeper();
  const auto dead = maker.id();
  maker.kill();
  std::vector<std::filesystem::path> left{
      impl->layout.runs() / fmt::format(".new-{}-{}-0123456789abcdef", dead.pid, dead.start_time),
      impl->layout.runs() / "0123456789abcdef",
      impl->layout.snapshots() / ".draft-one-abcdef",
      impl->layout.workspaces() / ".draft-one-abcdef",
      impl->layout.images() / ".build-one@abcdef",
  };
  for (const auto& folder : left) std::filesystem::create_directories(folder);
  // Of files that somebody killed was writing, those that nobody can be writing now.
  const auto young = impl->layout.home() / "agents/.fireclaw-0123456789abcdef.tmp";
  sys::make_directories(young.parent_path());
  for (const auto* name :
       {"agents/.fireclaw-fedcba9876543210.tmp", ".fireclaw-fedcba9876543210.tmp",
        "agents/.fireclaw-fedcba9876543210.tmp-kept", "agents/fireclaw-0.tmp", "agents/.fireclaw-0.tmp"}) {
    const auto file = impl->layout.home() / name;
    sys::write_file_atomic(file, "half");
    std::filesystem::last_write_time(file, std::filesystem::file_time_type::clock::now() - std::chrono::hours{2});
    if (file.native().ends_with(".tmp") && file.filename().native().starts_with('.')) left.push_back(file);
  }
  sys::write_file_atomic(young, "half");
  auto removed = host.collect_garbage().removed;
  std::ranges::sort(removed);
  std::ranges::sort(left);
  CHECK(removed == left);
  for (const auto& folder : left) CHECK_FALSE(std::filesystem::exists(folder));
  CHECK(std::filesystem::exists(young));
  CHECK(std::filesystem::exists(impl->layout.home() / "agents/fireclaw-0.tmp"));
}
