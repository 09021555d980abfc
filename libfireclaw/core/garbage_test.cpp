#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>

#include "core/host/impl.hpp"
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

  void save_snapshot(const std::string& name, bool automatic) const {
    auto draft = impl->snapshots.begin(name, Deadline::never());
    std::ofstream{draft.files().state} << "state";
    std::ofstream{draft.files().memory} << "memory";
    state::SnapshotRecord record;
    record.name = name;
    record.image = "an-image-that-is-gone";
    record.automatic = automatic;
    impl->snapshots.publish(std::move(draft), record, false);
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

sys::Child sleeper() {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
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
