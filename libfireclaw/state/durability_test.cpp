// When records, snapshots and workspaces are on disk, and what a reader finds of them meanwhile.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "state/records/agents.hpp"
#include "state/records/machines.hpp"
#include "state/records/runs.hpp"
#include "state/records/snapshots.hpp"
#include "state/records/workspaces.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"
#include "sys/testing/file_calls.hpp"

using namespace fireclaw;
using sys::testing::FileCalls;

namespace {

using Lines = std::vector<std::string>;

struct Home {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "durability-test-"};

  Home() {
    for (const auto* name : {"locks", "snapshots", "runs"}) std::filesystem::create_directory(folder.path() / name);
  }
  [[nodiscard]] state::SnapshotStore snapshots() const {
    return {folder.path() / "snapshots", folder.path() / "locks", {}};
  }
  [[nodiscard]] state::WorkspaceStore workspaces() const {
    return {folder.path() / "workspaces", folder.path() / "locks"};
  }
  [[nodiscard]] state::AgentStore agents() const { return {folder.path() / "agents", {}}; }
  [[nodiscard]] state::RunStore runs() const { return {folder.path() / "runs", {}}; }
};

/// What the write of a record of that name in `folder` consists of.
Lines atomic_write(const std::string& folder, const std::string& name) {
  return {fmt::format("create {}/.fireclaw-*.tmp", folder), fmt::format("write {}/.fireclaw-*.tmp", folder),
          fmt::format("sync {}/.fireclaw-*.tmp", folder),
          fmt::format("rename {0}/.fireclaw-*.tmp -> {0}/{1}", folder, name), fmt::format("sync {}", folder)};
}

Lines operator+(Lines a, const Lines& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

state::SnapshotRecord snapshot_record(unsigned cpus) {
  state::SnapshotRecord record;
  record.name = "one";
  record.key.cpus = cpus;
  return record;
}

state::SnapshotDraft draft_of(const state::SnapshotStore& store) {
  auto draft = store.begin("one", Deadline::never());
  sys::replace_file(draft.files().state, "state");
  sys::replace_file(draft.files().memory, "memory");
  return draft;
}

void publish_workspace(const state::WorkspaceStore& store) {
  auto draft = store.draft("one");
  sys::replace_file(draft.path() / "disk.ext4", "the disk");
  store.publish(std::move(draft), {"one", {}, 1, 2});
}

}  // namespace

TEST_CASE_FIXTURE(Home, "an agent's record and the configuration are written whole, and synced with their folder") {
  state::AgentRecord record;
  record.name = "ada";
  record.template_name = "worker";
  agents().put(record);
  std::vector<state::AgentPhase> phases;
  record.phase = state::AgentPhase::Running;
  {
    const FileCalls calls{folder.path(), [&] { phases.push_back(agents().find("ada").value().phase); }};
    agents().put(record);
    CHECK(calls.lines() == atomic_write("agents", "ada.json"));
  }
  CHECK(std::ranges::is_sorted(phases, [](auto a, auto b) { return a != b && b == state::AgentPhase::Running; }));
  CHECK(phases.back() == state::AgentPhase::Running);

  const FileCalls calls{folder.path()};
  state::write_config(folder.path() / "config.json", {});
  agents().remove("ada");
  CHECK(calls.lines() == Lines{"create .fireclaw-*.tmp", "write .fireclaw-*.tmp", "sync .fireclaw-*.tmp",
                               "rename .fireclaw-*.tmp -> config.json", "sync .", "remove agents/ada.json",
                               "sync agents"});
}

TEST_CASE_FIXTURE(Home, "a snapshot appears with its manifest in it, which is on disk before") {
  const auto store = snapshots();
  auto draft = draft_of(store);
  const FileCalls calls{folder.path(), [&] {
                          if (const auto found = store.find("one"))
                            CHECK_NOTHROW(static_cast<void>(store.files(*found)));
                        }};
  store.publish(std::move(draft), snapshot_record(1), false);
  CHECK(calls.lines() == atomic_write("snapshots/.draft-one-*", "manifest.json") +
                             Lines{"rename snapshots/.draft-one-* -> snapshots/one", "sync snapshots"});
}

TEST_CASE_FIXTURE(Home, "a snapshot is replaced without a gap: readers find the old one or the new one at any moment") {
  const auto store = snapshots();
  store.publish(draft_of(store), snapshot_record(1), false);
  auto draft = draft_of(store);
  std::vector<unsigned> cpus;
  const FileCalls calls{folder.path(), [&] {
                          const auto found = store.find("one");
                          REQUIRE(found);
                          CHECK_NOTHROW(static_cast<void>(store.files(*found)));
                          cpus.push_back(found->key.cpus);
                        }};
  store.publish(std::move(draft), snapshot_record(2), true);
  CHECK(std::ranges::is_sorted(cpus));
  CHECK(cpus.back() == 2);
  const auto lines = calls.lines_with({"exchange", "sync snapshots", "remove snapshots/.draft-one-*/state"});
  CHECK(lines == Lines{"sync snapshots/.draft-one-*/.fireclaw-*.tmp", "sync snapshots/.draft-one-*",
                       "exchange snapshots/.draft-one-* <-> snapshots/one", "sync snapshots",
                       "remove snapshots/.draft-one-*/state"});
}

TEST_CASE_FIXTURE(
    Home, "a snapshot is replaced, and nothing of the old one is left, also where folders cannot be exchanged") {
  const auto store = snapshots();
  store.publish(draft_of(store), snapshot_record(1), false);
  auto draft = draft_of(store);
  FileCalls calls{folder.path()};
  calls.forget_rename_flags();
  store.publish(std::move(draft), snapshot_record(2), true);
  CHECK(store.find("one").value().key.cpus == 2);
  CHECK(calls.lines_with({"-> snapshots/"}) ==
        Lines{"rename snapshots/.draft-one-*/.fireclaw-*.tmp -> snapshots/.draft-one-*/manifest.json",
              "rename snapshots/one -> snapshots/.draft-one-*/old", "rename snapshots/.draft-one-* -> snapshots/one"});
  CHECK(std::ranges::distance(std::filesystem::directory_iterator{folder.path() / "snapshots"}) == 1);
}

TEST_CASE_FIXTURE(Home, "a snapshot that is removed is gone for readers before any of its files is") {
  const auto store = snapshots();
  store.publish(draft_of(store), snapshot_record(1), false);
  const FileCalls calls{folder.path(), [&] { CHECK_FALSE(store.find("one")); }};
  store.remove("one");
  CHECK(calls.lines().front() == "rename snapshots/one -> snapshots/.draft-one-*/old");
  CHECK(calls.lines().back() == "remove snapshots/.draft-one-*");
}

TEST_CASE_FIXTURE(Home, "a workspace appears, changes its disk and goes in one step, each of which is synced") {
  const auto store = workspaces();
  sys::make_directories(folder.path() / "workspaces");
  sys::replace_file(store.lock_file("one"), "");
  {
    auto draft = store.draft("one");
    sys::replace_file(draft.path() / "disk.ext4", "the disk");
    const FileCalls calls{folder.path(), [&] { static_cast<void>(store.find("one")); }};
    store.publish(std::move(draft), {"one", {}, 1, 2});
    CHECK(calls.lines() == atomic_write("workspaces/.draft-one-*", "workspace.json") +
                               Lines{"rename workspaces/.draft-one-* -> workspaces/one", "sync workspaces"});
  }
  {
    const auto draft = store.draft("one");
    sys::replace_file(draft.path() / "disk.ext4", "another");
    Lines seen;
    const FileCalls calls{folder.path(), [&] { seen.push_back(sys::read_file(store.disk("one"))); }};
    store.replace_disk("one", draft.path() / "disk.ext4");
    CHECK(calls.lines() ==
          Lines{"rename workspaces/.draft-one-*/disk.ext4 -> workspaces/one/disk.ext4", "sync workspaces/one"});
    CHECK(seen == Lines{"another", "another"});
  }
  const FileCalls calls{folder.path(), [&] { CHECK_FALSE(store.find("one")); }};
  store.remove("one");
  CHECK(calls.lines_with({"old ", "sync", "locks"}) == Lines{"sync workspaces", "remove locks/workspace-one"});
  CHECK(calls.lines().front() == "rename workspaces/one -> workspaces/.draft-one-*/old");
}

TEST_CASE_FIXTURE(Home, "if several make one workspace, only the first publishes, and its disk stays") {
  const auto store = workspaces();
  publish_workspace(store);
  CHECK_THROWS_AS(publish_workspace(store), Error);
  CHECK(store.names() == Lines{"one"});
}

TEST_CASE_FIXTURE(Home, "a machine's record is there whole when its folder is, and changes by a rename") {
  const auto store = runs();
  state::RunRecord record;
  record.owner = sys::current_process();
  const auto draft = fmt::format("runs/.new-{}-{}-*", record.owner.pid, record.owner.start_time);
  {
    const FileCalls calls{folder.path(), [&] {
                            for (const auto& name : std::filesystem::directory_iterator{folder.path() / "runs"}) {
                              const auto id = name.path().filename().native();
                              if (!id.starts_with('.')) CHECK_NOTHROW(CHECK(store.find(id)));
                            }
                          }};
    record = store.create(record);
    CHECK(calls.lines() == Lines{fmt::format("create {}/run.json", draft), fmt::format("write {}/run.json", draft),
                                 fmt::format("rename {} -> runs/*", draft)});
  }
  std::vector<bool> paused;
  const FileCalls calls{folder.path(), [&] { paused.push_back(store.find(record.id).value().paused); }};
  store.change(record.id, [](state::RunRecord& now) { now.paused = true; });
  CHECK(calls.lines() == Lines{"create runs/*/run.lock", "create runs/*/run.json.new", "write runs/*/run.json.new",
                               "exchange runs/*/run.json.new <-> runs/*/run.json", "remove runs/*/run.json.new"});
  CHECK(paused == std::vector{false, false, false, true, true});
}

TEST_CASE_FIXTURE(Home, "a record of a machine that is to outlive its owner changes by one rename over the old one") {
  const auto store = runs();
  state::RunRecord record;
  record.owner = sys::current_process();
  record.detached = true;
  record = store.create(record);
  const FileCalls calls{folder.path(), [&] { CHECK(store.find(record.id)); }};
  store.change(record.id, [](state::RunRecord& now) { now.paused = true; });
  CHECK(calls.lines() == Lines{"create runs/*/run.lock", "create runs/*/run.json.new", "write runs/*/run.json.new",
                               "rename runs/*/run.json.new -> runs/*/run.json"});
}

TEST_CASE_FIXTURE(
    Home, "a machine with a name has a record at every moment of a renaming, and at least while it has a disk") {
  const state::MachineStore store{folder.path() / "machines", {}};
  state::MachineRecord record;
  record.name = "dev";
  record.key = "0123456789abcdef";
  store.put(record);
  const auto disk = store.scratch_disk(record.key);
  sys::replace_file(disk, "the disk");
  {
    const FileCalls calls{folder.path(), [&] { CHECK_FALSE(store.list().empty()); }};
    store.rename(record, "prod");
    CHECK(calls.lines() == atomic_write("machines", "prod.json") + Lines{"remove machines/dev.json", "sync machines"});
  }
  record.name = "prod";
  const FileCalls calls{folder.path()};
  store.remove(record);
  CHECK(calls.lines() == Lines{"remove machines/prod.json", "sync machines", "remove machines/*.ext4"});
}
