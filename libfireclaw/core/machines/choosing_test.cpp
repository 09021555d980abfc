// What a machine is made from, and what is refused, on the stand-in for Firecracker.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/host/engines.hpp"
#include "core/machines/snapshots.hpp"
#include "core/testing/restoring.hpp"
#include "core/testing/stand_in_home.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/vm.hpp"
#include "fireclaw/workspace.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using sys::testing::code_of;
using sys::testing::error_of;
using testing::StandInHome;
using Names = std::vector<std::string>;

struct Fixture : StandInHome {
  std::shared_ptr<Host::Impl> host = open();
  std::string image{built_in_image};

  static VMConfig config() {
    VMConfig made;
    made.network = NetworkMode::None;
    made.memory_mib = 128;
    return made;
  }
  [[nodiscard]] Snapshots snapshots() const { return Access::host(host).snapshots(); }
  [[nodiscard]] SnapshotInfo info(const std::string& name) const { return snapshots().open(name).info(); }

  void change_config(const std::function<void(state::Config&)>& change) const {
    auto now = state::read_config(host->layout.config());
    change(now);
    state::write_config(host->layout.config(), now);
  }
  /// The snapshot `name` with another record.
  void change(const std::string& name, const std::function<void(state::SnapshotRecord&)>& change) const {
    auto record = host->snapshots.find(name).value();
    change(record);
    sys::replace_file(host->layout.snapshots() / name / "manifest.json", json::record_text(record));
  }
  /// A snapshot that nothing was saved in.
  void make_up(state::SnapshotRecord record) const {
    auto draft = host->snapshots.begin(record.name, Deadline::never());
    for (const auto& file : {draft.files().state, draft.files().memory, draft.disks().workspace}) {
      sys::replace_file(file, "x");
    }
    host->snapshots.publish(std::move(draft), std::move(record), false);
  }
  void rebuild_image() const {
    const auto file = host->layout.images() / image / "manifest.json";
    auto manifest = image::read_manifest(file);
    sys::replace_file(host->layout.images() / image / "rootfs", "another");
    manifest.rootfs = {sys::sha256_hex("another"), 7};
    manifest.digest = image::combined_digest(manifest.kernel_file, manifest.initramfs, manifest.rootfs);
    sys::replace_file(file, image::to_json(manifest));
  }
};

TEST_CASE_FIXTURE(Fixture, "a snapshot fits, or it is said why it does not") {
  static_cast<void>(snapshots().create(config(), "one"));
  REQUIRE(info("one").reason == kvm_problem());
  if (!info("one").usable) return;
  const auto saved = host->layout.snapshots() / "one";
  const auto aside = home().parent_path() / "aside";
  const auto first = [&](const std::function<void(state::Config::Engine&)>& edit) {
    change_config([&](state::Config& now) { edit(now.engines.front()); });
  };
  struct Row {
    std::string what;
    std::function<void()> act;
    std::string reason;
  };
  for (const auto& row : std::vector<Row>{
           {"as it was", [] {}, ""},
           {"its engine was tried with another kernel only",
            [&] { first([](auto& entry) { entry.verdict.kernel_sha256 = sys::sha256_hex("another"); }); },
            "firecracker has not been tried with its kernel"},
           {"its engine is not known", [&] { change_config([](auto& now) { now.engines.clear(); }); },
            "firecracker has not been tried with its kernel"},
           {"its engine does not work",
            [&] {
              first([](auto& entry) {
                entry.verdict.works = false;
                entry.verdict.reason = "it is broken";
              });
            },
            "firecracker does not work here: it is broken"},
           {"its engine's program is gone",
            [&] {
              first([&](auto& entry) {
                entry.verdict.binary = home() / "none";
                ++entry.binary_mtime_ns;
              });
            },
            "is gone"},
           {"its engine's program was exchanged for the same",
            [&] {
              first([](auto& entry) {
                ++entry.binary_mtime_ns;
                entry.verdict.version = "1.0.0";
              });
            },
            ""},
           {"its engine is another version",
            [&] { change("one", [](auto& now) { now.key.engine_identity = "firecracker 1.0.0; kvm"; }); },
            "it was saved with another engine, processor or kernel of the host (firecracker 1.0.0; kvm; here is: "},
           {"it was made by an engine that nobody knows",
            [&] { change("one", [](auto& now) { now.engine = "none"; }); }, "none has not been tried with its kernel"},
           {"its image was rebuilt", [&] { rebuild_image(); }, "image '" + image + "' was rebuilt"},
           {"its image is gone", [&] { sys::remove_tree(host->layout.images() / image); },
            "image '" + image + "' is gone"},
           {"it is of a build that is not there",
            [&] { change("one", [](auto& now) { now.key.image_digest = sys::sha256_hex("another"); }); },
            "image '" + image + "' was rebuilt"},
           {"its memory is torn", [&] { sys::replace_file(saved / "memory", "torn"); }, "memory"},
           {"its state is torn", [&] { sys::replace_file(saved / "state", "torn"); }, "state"},
           {"its state is another one",
            [&] { sys::replace_file(saved / "state", std::string(std::filesystem::file_size(saved / "state"), 'x')); },
            "state"}}) {
    CAPTURE(row.what);
    // What is changed is replaced, so the links keep it.
    std::filesystem::copy(home(), aside,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::create_hard_links);
    row.act();
    const auto found = info("one");
    CHECK(found.usable == row.reason.empty());
    CHECK(found.reason.empty() == row.reason.empty());
    CHECK(found.reason.find(row.reason) != std::string::npos);
    sys::remove_tree(home());
    std::filesystem::rename(aside, home());
  }
  HostOptions options;
  options.home = home();
  options.engine = Engine::Qemu;
  CHECK(Host::open(options).snapshots().open("one").info().reason == "firecracker must not be used here");
  // Its own engine was kept, beside the one that is used now.
  const auto version = std::string{"1.15.0"};
  auto earlier = host->config().engines.front().verdict;
  earlier.version = version;
  change("one", [&](auto& now) { now.key.engine_identity = make_driver(*host, earlier)->snapshot_identity(); });
  CHECK_FALSE(info("one").usable);
  const auto kept = home() / "engines" / ("firecracker-" + version);
  sys::make_directories(kept);
  std::filesystem::create_symlink(earlier.binary, kept / "firecracker");
  CHECK(info("one").reason.empty());
}

TEST_CASE_FIXTURE(Fixture, "a snapshot that was asked for by name is what a machine continues from, or it is refused") {
  static_cast<void>(snapshots().create(config(), "one"));
  state::SnapshotRecord saved;
  saved.name = "agents";
  saved.image = image;
  saved.agent.emplace();
  saved.agent->agent.name = "ada";
  make_up(saved);
  struct Row {
    std::string what;
    std::function<void(VMConfig& config)> change;
    ErrorCode code;
    std::string words;
  };
  WorkspaceConfig disk;
  disk.name = "work";
  Access::host(host).workspaces().create(disk);
  for (const auto& row : std::vector<Row>{
           {"a cold start", [](auto& now) { now.start = StartMode::Cold; }, ErrorCode::InvalidArgument,
            "snapshot 'one' and a cold start exclude each other"},
           {"none such", [](auto& now) { now.snapshot = "none"; }, ErrorCode::NotFound, "no snapshot named 'none'"},
           {"a path", [](auto& now) { now.snapshot = "../one"; }, ErrorCode::InvalidArgument, "../one"},
           {"an agent's", [](auto& now) { now.snapshot = "agents"; }, ErrorCode::InvalidArgument,
            "is of agent 'ada' and its disks"},
           {"a network without a device", [](auto& now) { now.network = NetworkMode::User; },
            ErrorCode::InvalidArgument, "snapshot 'one' is of a machine without network device"},
           {"a disk", [](auto& now) { now.scratch_mib = 16; }, ErrorCode::InvalidArgument,
            "is of a machine with no disks but its image; this one is to have disks of these bytes: scratch=16777216"},
           {"a workspace", [](auto& now) { now.workspace = "work"; }, ErrorCode::InvalidArgument,
            "this one is to have disks of these bytes: workspace="}}) {
    CAPTURE(row.what);
    auto like = config();
    like.snapshot = "one";
    row.change(like);
    const auto [code, text] = error_of([&] { const VM::Impl machine{host, like}; });
    CHECK(code == row.code);
    CHECK(text.find(row.words) != std::string::npos);
    CHECK(host->runs.list().empty());
  }
  if (!testing::can_restore()) return;
  auto like = config();
  like.snapshot = "one";
  // One in which a bot waits for its configuration, which was saved for agents.
  change("one", [](auto& now) { now.key.prepared = "bot"; });
  CHECK(error_of([&] {
          const VM::Impl machine{host, like};
        }) ==
        std::pair{ErrorCode::InvalidState,
                  fmt::format("snapshot 'one' no longer fits: firecracker or image '{}' has changed since it was made; "
                              "make it again with: fireclaw snapshot create --replace one",
                              image)});
  change("one", [](auto& now) { now.key.prepared.clear(); });
  like.memory_mib = 256;
  like.cpus = 2;
  const auto boots = done("InstanceStart");
  VM::Impl machine{host, like};
  machine.start();
  CHECK(machine.record.memory_mib == 128);
  CHECK(machine.record.cpus == 1);
  CHECK(machine.record.snapshot == "one");
  CHECK(done("InstanceStart") == boots);
}

TEST_CASE_FIXTURE(Fixture,
                  "a named snapshot that no longer fits is made again as it was, or not if it was of a machine") {
  auto like = config();
  like.memory_mib = 192;
  static_cast<void>(snapshots().create(like, "one"));
  {
    auto machine = Access::host(host).vms().run(config());
    static_cast<void>(machine.snapshot("two"));
  }
  CHECK(info("one").recoverable);
  CHECK_FALSE(info("two").recoverable);
  CHECK(snapshots().create(config(), "").info().recoverable);
  for (const std::string name : {"one", "two"}) {
    change(name, [](auto& now) { now.key.engine_identity = "another"; });
    CHECK_FALSE(info(name).usable);
  }
  auto wanted = config();
  wanted.snapshot = "two";
  const auto [code, text] = error_of([&] { const VM::Impl machine{host, wanted}; });
  CHECK(code == ErrorCode::InvalidState);
  CHECK(text.starts_with("snapshot 'two' cannot be restored: "));
  CHECK(text.ends_with("remove it with: fireclaw snapshot remove two"));
  if (!testing::can_restore()) return;
  wanted.snapshot = "one";
  VM::Impl machine{host, wanted};
  CHECK(machine.record.memory_mib == 192);
  CHECK(info("one").usable);
  CHECK(info("one").recoverable);
  CHECK(info("one").memory_mib == 192);
  CHECK_FALSE(info("one").automatic);
  machine.start();
  CHECK(machine.record.snapshot == "one");
}

TEST_CASE_FIXTURE(Fixture, "what is saved by itself is saved once, and again only when it no longer fits") {
  const auto boots = [&] { return done("InstanceStart"); };
  const auto name = snapshots().create(config(), "").name();
  CHECK(boots() == 1);
  CHECK(snapshots().create(config(), "").name() == name);
  if (kvm_problem().empty()) CHECK(boots() == 1);
  auto before = boots();
  sys::replace_file(host->layout.snapshots() / name / "memory", "torn");
  CHECK(snapshots().create(config(), "").name() == name);
  CHECK(boots() == before + 1);
  CHECK(snapshots().create(config(), "", true).name() == name);
  CHECK(boots() == before + 2);
  static_cast<void>(snapshots().create(config(), "one"));
  before = boots();
  CHECK(error_of([&] { static_cast<void>(snapshots().create(config(), "one")); }) ==
        std::pair{ErrorCode::AlreadyExists,
                  std::string{"there is a snapshot named 'one'; remove it with: fireclaw snapshot remove one"}});
  CHECK(boots() == before);
  CHECK(host->runs.list().empty());
}

TEST_CASE_FIXTURE(Fixture, "a new automatic snapshot takes the place of what it has outgrown, and of nothing else") {
  auto like = config();
  const auto name = snapshots().create(like, "").name();
  const auto record = host->snapshots.find(name).value();
  host->snapshots.remove(name);
  Names kept;
  const auto add = [&](const std::string& what, bool stays, const std::function<void(state::SnapshotRecord&)>& edit) {
    auto other = record;
    other.name = what;
    edit(other);
    make_up(other);
    if (stays) kept.push_back(what);
  };
  add("engine", false, [](auto& now) { now.key.engine_identity = "another"; });
  add("build", false, [](auto& now) { now.key.image_digest = "another"; });
  add("both", false, [](auto& now) { now.key.engine_identity = now.key.image_digest = "another"; });
  add("named", true, [](auto& now) {
    now.key.engine_identity = "another";
    now.automatic = false;
  });
  add("other-engine", true, [](auto& now) { now.engine = now.key.engine_identity = "another"; });
  add("other-image", true, [](auto& now) { now.image = now.key.image_digest = "another"; });
  add("other-cpus", true, [](auto& now) { now.key.cpus = 2; });
  add("other-memory", true, [](auto& now) { now.key.memory_mib = 256; });
  add("other-network", true, [](auto& now) { now.key.network = "nic"; });
  add("other-drives", true, [](auto& now) { now.key.drives = "scratch=1"; });
  add("prepared", true, [](auto& now) { now.key.prepared = "bot"; });
  sys::make_directories(host->layout.snapshots() / "torn");
  kept.emplace_back("torn");
  SUBCASE("when it is asked for") { CHECK(snapshots().create(like, "").name() == name); }
  SUBCASE("when a machine starts") {
    VM::Impl machine{host, like};
    machine.start();
    CHECK(machine.record.snapshot == name);
  }
  kept.push_back(name);
  std::ranges::sort(kept);
  auto left = host->snapshots.names();
  std::ranges::sort(left);
  CHECK(left == kept);
}

TEST_CASE_FIXTURE(Fixture, "no machine saves itself that was not saved before, or that is to boot") {
  auto like = config();
  {
    VM::Impl machine{host, like};
    machine.start();
    CHECK(machine.record.snapshot.empty());
  }
  CHECK(host->snapshots.names().empty());
  const auto name = snapshots().create(like, "").name();
  auto record = host->snapshots.find(name).value();
  host->snapshots.remove(name);
  record.name = "auto-old";
  record.key.engine_identity = "another";
  make_up(record);
  const auto before = done("InstanceStart");
  like.start = StartMode::Cold;
  {
    VM::Impl machine{host, like};
    machine.start();
    CHECK(machine.record.snapshot.empty());
  }
  CHECK(done("InstanceStart") == before + 1);
  CHECK(host->snapshots.names() == Names{"auto-old"});
}

TEST_CASE_FIXTURE(Fixture, "a machine boots where its snapshot is broken, and fails where it must have one") {
  auto like = config();
  const auto name = snapshots().create(like, "").name();
  sys::replace_file(host->layout.snapshots() / name / "manifest.json", "{");
  {
    VM::Impl machine{host, like};
    machine.start();
    CHECK(machine.record.snapshot.empty());
  }
  like.start = StartMode::RequireSnapshot;
  CHECK(code_of([&] { const VM::Impl machine{host, like}; }) == ErrorCode::Corrupt);
  host->snapshots.remove(name);
  const auto [code, text] = error_of([&] { const VM::Impl machine{host, like}; });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text == "no snapshot of image '" + image +
                    "' for firecracker, 1 CPU(s), 128 MiB, network none; make it with: fireclaw snapshot create");
  CHECK(host->runs.list().empty());
}

TEST_CASE_FIXTURE(Fixture, "a machine is saved if all of it is saved, and of an image that is there") {
  auto like = config();
  like.scratch_mib = 16;
  const auto save = [&](VM::Impl& machine) {
    return error_of([&] { static_cast<void>(save_snapshot(machine, "one", false, AfterSave::Resume)); });
  };
  {
    VM::Impl machine{host, like};
    machine.start();
    auto [code, text] = save(machine);
    CHECK(code == ErrorCode::InvalidState);
    CHECK(text.find("has a workspace or a scratch disk, whose content a snapshot does not hold") != std::string::npos);
    machine.record.agent = "ada";
    CHECK(save(machine).second.find("save it with: fireclaw agent snapshot ada one") != std::string::npos);
  }
  VM::Impl machine{host, config()};
  machine.start();
  machine.image.manifest.digest.clear();
  CHECK(save(machine).second.find("is gone or was built again") != std::string::npos);
  CHECK(host->snapshots.names().empty());
  CHECK(done("Paused") == 0);
}

TEST_CASE_FIXTURE(Fixture, "a snapshot that cannot be read is listed with why, and can be removed") {
  static_cast<void>(snapshots().create(config(), "one"));
  static_cast<void>(snapshots().create(config(), "two"));
  sys::replace_file(host->layout.snapshots() / "one" / "manifest.json", "{");
  const auto all = snapshots().list();
  REQUIRE(all.size() == 2);
  for (const auto& found : all) {
    CHECK(found.usable == (found.name == "two" && kvm_problem().empty()));
    CHECK((found.reason.empty()) == found.usable);
    CHECK(found.bytes > 0);
  }
  snapshots().remove("one");
  CHECK(host->snapshots.names() == Names{"two"});
  CHECK(code_of([&] { snapshots().remove("one"); }) == ErrorCode::NotFound);
  CHECK(code_of([&] { snapshots().remove("../two"); }) == ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace fireclaw::core
