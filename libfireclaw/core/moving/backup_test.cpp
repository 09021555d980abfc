#include "fireclaw/backup.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "core/machines/workspace_disk.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/workspace.hpp"
#include "image/disks/ext4.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using sys::testing::code_of;
using sys::testing::FileCalls;

namespace {

namespace fs = std::filesystem;
using Names = std::vector<std::string>;

struct Fixture {
  sys::TempDir folder{fs::temp_directory_path(), "backup-test-"};
  Host host = open("home");
  fs::path backup = folder.path() / "backup";

  Fixture() {
    const auto& layout = Access::impl(host)->layout;
    sys::make_directories(layout.templates());
    sys::write_file_atomic(layout.templates() / "tern.json",
                           R"({"schema": 1, "nick": "tern", "model": "m", "persona": "A bird."})");
    sys::write_file_atomic(layout.config(), R"({"schema": 1, "set_up_by": "0", "engines": [], "emulation": "refuse"})");
    WorkspaceConfig config;
    config.name = "one";
    host.workspaces().create(config);
  }
  [[nodiscard]] Host open(const std::string& name) const {
    HostOptions options;
    options.home = folder.path() / name;
    return Host::open(options);
  }
  [[nodiscard]] static Names sorted(Names names) {
    std::ranges::sort(names);
    return names;
  }
  [[nodiscard]] static Names files_in(const fs::path& below) {
    Names names;
    for (const auto& entry : fs::recursive_directory_iterator{below}) {
      if (entry.is_regular_file()) names.push_back(fs::relative(entry.path(), below));
    }
    return sorted(std::move(names));
  }
  [[nodiscard]] static fs::path disk_of(const Host& of) { return Access::impl(of)->workspaces.disk("one"); }
  [[nodiscard]] static bool is_configured(const Host& of) {
    return state::read_config(Access::impl(of)->layout.config()).refuse_emulation;
  }
  /// All of it, as it is in the first home folder.
  [[nodiscard]] bool is_restored(const Host& other) const {
    const auto& layout = Access::impl(other)->layout;
    const auto usage = image::ext4_usage(disk_of(other));
    return is_configured(other) && fs::is_regular_file(layout.templates() / "tern.json") && usage.clean &&
           usage.bytes == image::ext4_usage(disk_of(host)).bytes && other.workspaces().list().size() == 1;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a backup has the files that its report and its manifest name, and comes back as it was") {
  const auto report = host.back_up(backup, {});
  CHECK(report.left_out.empty());
  CHECK(report.bytes > 0);
  const Names expected{"config.json", "templates/tern.json", "workspaces/one/disk.ext4",
                       "workspaces/one/workspace.json"};
  CHECK(sorted(report.files) == expected);
  auto there = files_in(backup);
  std::erase_if(there,
                [](const std::string& name) { return name.find('/') == std::string::npos && name != "config.json"; });
  CHECK(there == expected);

  const auto other = open("other");
  CHECK(other.restore(backup).left_out.empty());
  CHECK(is_restored(other));
  CHECK(code_of([&] { other.restore(backup); }) == ErrorCode::AlreadyExists);
  CHECK(is_restored(other));
}

TEST_CASE_FIXTURE(Fixture, "a backup has of the configuration what people wrote, and nothing that setup found out") {
  const auto file = Access::impl(host)->layout.config();
  auto config = state::read_config(file);
  EngineVerdict verdict;
  verdict.engine = "qemu-tcg";
  verdict.binary = "/bin/true";
  verdict.works = true;
  state::put_verdict(config, state::stamp(verdict));
  config.confinement.emplace().context = "here";
  config.limits.machines = 3;
  state::write_config(file, config);
  host.back_up(backup, {});
  auto expected = config;
  expected.engines.clear();
  expected.set_up_by.clear();
  expected.confinement.reset();
  const auto saved = sys::read_file(backup / "config.json");
  state::write_config(folder.path() / "expected", expected);
  CHECK(saved == sys::read_file(folder.path() / "expected"));
  CHECK(state::read_config(file).engines.size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a backup has its manifest when all else is on the disk, and then that is, too") {
  std::vector<std::string> lines;
  {
    const FileCalls calls{folder.path()};
    host.back_up(backup, {});
    lines = calls.lines();
  }
  std::set<fs::path> unsynced;
  std::set<fs::path> folders;
  std::set<fs::path> just_synced;
  const auto note = [&](const fs::path& name) {
    unsynced.insert(name);
    unsynced.insert(name.parent_path());
    // A folder that is new is in one that must be synced, right after it is made or later.
    for (auto folder = name.parent_path(); folder.has_parent_path(); folder = folder.parent_path()) {
      if (folders.insert(folder).second && !just_synced.contains(folder.parent_path())) {
        unsynced.insert(folder.parent_path());
      }
    }
    just_synced.clear();
  };
  std::ptrdiff_t manifests = 0;
  for (const auto& line : lines) {
    CAPTURE(line);
    const auto verb = line.substr(0, line.find(' '));
    const auto name = line.substr(verb.size() + 1);
    if (name.starts_with("home/")) continue;
    if (verb == "write" || verb == "create") note(name);
    if (verb == "sync") {
      unsynced.erase(name);
      just_synced.insert(name);
    }
    if (verb != "rename") continue;
    const auto arrow = name.find(" -> ");
    const fs::path from = name.substr(0, arrow);
    const fs::path to = name.substr(arrow + 4);
    CHECK_FALSE(unsynced.contains(from));
    const bool is_manifest = to.filename() == "backup.json";
    if (is_manifest || to == "backup") {
      manifests += is_manifest ? 1 : 0;
      unsynced.erase(from);
      // The folder that the manifest was written into is synced once it has it.
      if (is_manifest) unsynced.erase(to.parent_path());
      CHECK(unsynced.empty());
      if (is_manifest) unsynced.insert(to.parent_path());
    } else {
      note(to);
      unsynced.erase(to);
    }
  }
  CHECK(manifests == 1);
  CHECK(lines.back() == "sync .");
}

TEST_CASE_FIXTURE(Fixture, "a restored file is put into a folder that is on the disk") {
  host.back_up(backup, {});
  const Host other = open("other");
  std::set<std::string> there;
  for (const auto& entry : fs::directory_iterator{folder.path() / "other"}) {
    if (entry.is_directory()) there.insert(entry.path().filename());
  }
  std::vector<std::string> lines;
  {
    const FileCalls calls{folder.path()};
    other.restore(backup);
    lines = calls.lines();
  }
  bool home_synced = false;
  int fresh = 0;
  for (const auto& line : lines) {
    CAPTURE(line);
    if (line == "sync other") home_synced = true;
    const auto arrow = line.find(" -> ");
    if (!line.starts_with("rename ") || arrow == std::string::npos) continue;
    const fs::path to = line.substr(arrow + 4);
    if (std::distance(to.begin(), to.end()) < 3 || *to.begin() != "other") continue;
    if (there.insert(*std::next(to.begin())).second) {
      CHECK(home_synced);
      ++fresh;
    }
    home_synced = false;
  }
  CHECK(fresh >= 1);
}

TEST_CASE_FIXTURE(Fixture, "what cannot be copied is named, and nothing of it is in a backup") {
  sys::write_file_atomic(disk_of(host), "not a disk");
  const auto report = host.back_up(backup, {});
  REQUIRE(report.left_out.size() == 1);
  CHECK(report.left_out.front().starts_with("workspaces/one: "));
  CHECK(sorted(report.files) == Names{"config.json", "templates/tern.json"});
  std::uint64_t bytes = 0;
  for (const auto& name : report.files) bytes += sys::allocated_bytes(backup / name);
  CHECK(report.bytes == bytes);
  CHECK(std::ranges::count_if(files_in(backup), [](const auto& name) { return name.starts_with("workspaces/"); }) == 0);
  CHECK(open("other").restore(backup).files.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "a restore that fails in the middle takes back what it has put there") {
  host.back_up(backup, {});
  const auto other = open("other");
  const auto& layout = Access::impl(other)->layout;
  fs::remove_all(layout.templates());
  // A folder can be made in no file.
  sys::write_file_atomic(layout.templates(), "in the way");
  CHECK_THROWS(other.restore(backup));
  CHECK_FALSE(fs::exists(disk_of(other)));
  CHECK_FALSE(is_configured(other));
  CHECK(sys::read_file(layout.templates()) == "in the way");
  fs::remove(layout.templates());
  CHECK(other.restore(backup).left_out.empty());
  CHECK(is_restored(other));
}
