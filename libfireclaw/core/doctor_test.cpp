// What doctor says of a home folder, on the stand-in for Firecracker, in a network namespace of the test's own.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/host/engines.hpp"
#include "core/testing/stand_in_home.hpp"
#include "fireclaw/collections.hpp"

namespace fireclaw::core {
namespace {

using testing::StandInHome;

struct Fixture : StandInHome {
  sys::TempDir tools{"/tmp", "fireclaw-doctor-"};
  std::string image{built_in_image};
  std::string agents{agent_image};

  [[nodiscard]] HostOptions options() const {
    HostOptions made;
    made.home = home();
    made.guestd = FIRECLAW_GUESTD;
    made.search_path = {tools.path()};
    return made;
  }
  [[nodiscard]] std::vector<Check> checks() const { return Host::open(options()).doctor(); }
  [[nodiscard]] static std::optional<Check> find(const std::vector<Check>& all, const std::string& name) {
    const auto found = std::ranges::find(all, name, &Check::name);
    return found == all.end() ? std::nullopt : std::optional{*found};
  }
  void change_config(const std::function<void(state::Config&)>& change) const {
    auto now = state::read_config(home() / "config.json");
    change(now);
    state::write_config(home() / "config.json", now);
  }
  void make_up_snapshot(const std::function<void(state::SnapshotRecord&)>& change) const {
    const auto host = open();
    auto draft = host->snapshots.begin("one", Deadline::never());
    for (const auto& file : {draft.files().state, draft.files().memory, draft.disks().workspace}) {
      sys::replace_file(file, "x");
    }
    state::SnapshotRecord record;
    record.name = "one";
    record.image = "gone";
    change(record);
    host->snapshots.publish(std::move(draft), record, true);
  }
};

TEST_CASE_FIXTURE(Fixture, "a doctor says what is missing or amiss, and what mends it") {
  using enum CheckStatus;
  struct Row {
    std::string what;
    std::function<void()> act;
    std::string name;
    CheckStatus status;
    std::string detail;
    std::string remedy;
  };
  const auto images = home() / "images";
  const auto manifest = images / image / "manifest.json";
  const auto first = [&](const std::function<void(state::Config::Engine&)>& edit) {
    return [this, edit] { change_config([&](state::Config& now) { edit(now.engines.front()); }); };
  };
  const auto with_snapshot = [&](const std::function<void(state::SnapshotRecord&)>& edit) {
    return [this, edit] { make_up_snapshot(edit); };
  };
  const auto broken = first([](auto& entry) {
    entry.verdict.works = false;
    entry.verdict.reason = "it is broken";
  });
  const auto exchanged = first([](auto& entry) { ++entry.binary_mtime_ns; });
  const auto nothing = [] {};
  const std::string engine = "engine firecracker with kernel ";
  for (const auto& row : std::vector<Row>{
           {"a home folder", nothing, "home", Ok, home().native(), ""},
           {"one without a folder of its own", [&] { std::filesystem::remove_all(home() / "snapshots"); }, "home", Ok,
            home().native(), ""},
           {"guestd", nothing, "guestd", Ok, FIRECLAW_GUESTD, ""},
           {"a setup", nothing, "setup", Ok, "done by fireclaw 0.1.0", ""},
           {"no setup", [&] { change_config([](auto& now) { now.set_up_by.clear(); }); }, "setup", Missing,
            "not done yet", "fireclaw setup"},
           {"an image of another version", nothing, "image " + image, Warning, "another version of fireclaw",
            "fireclaw upgrade"},
           {"an image that is torn", [&] { sys::replace_file(manifest, "{"); }, "image " + image, Missing, "",
            "fireclaw image remove " + image + " && fireclaw setup"},
           {"an image's folder", [&] { std::filesystem::remove(manifest); }, "image " + image, Missing, "",
            "fireclaw image remove " + image + " && fireclaw setup"},
           {"no image", [&] { std::filesystem::remove_all(images / image); }, "image " + image, Missing, "",
            "fireclaw setup"},
           {"another image that is torn",
            [&] {
              sys::make_directories(images / "other");
              sys::replace_file(images / "other" / "manifest.json", "{");
            },
            "image other", Warning, "", "fireclaw image remove other"},
           {"no image for agents", nothing, "image " + agents, Warning, "not built; agents run in it",
            "fireclaw setup --agents"},
           {"an image for agents that is torn",
            [&] {
              sys::make_directories(images / agents);
              sys::replace_file(images / agents / "manifest.json", "{");
            },
            "image " + agents, Warning, "", "fireclaw image remove " + agents + " && fireclaw setup --agents"},
           {"an engine", nothing, "engine", Ok, "firecracker is used", ""},
           {"an engine that was tried", nothing, engine, Ok, "1.17.0-dev boots it in", ""},
           {"an engine that does not work", broken, engine, Warning, "it is broken", ""},
           {"no engine that works", broken, "engine", Missing, "has been seen to boot this image's kernel",
            "fireclaw setup"},
           {"an engine that was exchanged", exchanged, engine, Warning, "has changed since it was tried",
            "fireclaw setup"},
           {"an engine that is tried again", exchanged, "engine", Warning, "this image's kernel as it is now",
            "fireclaw setup"},
           {"a snapshot of a machine", with_snapshot([](auto&) {}), "snapshot one", Warning, "image 'gone' is gone",
            "fireclaw snapshot remove one"},
           {"a snapshot that was booted", with_snapshot([](auto& now) { now.booted = true; }), "snapshot one", Warning,
            "it is made again when it is next used", ""},
           {"an automatic snapshot", with_snapshot([](auto& now) { now.automatic = true; }), "snapshot one", Warning,
            "it is made again when it is next used", ""},
           {"an agent's snapshot", with_snapshot([](auto& now) {
              now.agent.emplace();
              now.agent->agent.name = "ada";
            }),
            "snapshot one", Warning, "its agent starts again from its disks", ""},
           {"addresses on loan that are torn", [&] { sys::replace_file(home() / "ip-pool.json", "{"); }, "network nat",
            Warning, "ip-pool.json", "fix or remove that file"},
           {"no tool", nothing, "sqfstar", Warning, "not installed; needed for building images",
            "apt-get install squashfs-tools"},
           {"a tool", [&] { std::filesystem::create_symlink("/bin/true", tools.path() / "sqfstar"); }, "sqfstar", Ok,
            (tools.path() / "sqfstar").native(), ""},
           {"another tool", nothing, "resize2fs", Warning, "needed for workspace resize", "apt-get install e2fsprogs"},
           {"engines that cannot be tried", [&] { change_config([](auto& now) { now.engines.clear(); }); },
            "engine qemu-tcg", Warning, "qemu-system-x86_64 is not installed", ""}}) {
    CAPTURE(row.what);
    const auto aside = home().parent_path() / "aside";
    std::filesystem::copy(home(), aside,
                          std::filesystem::copy_options::recursive | std::filesystem::copy_options::create_hard_links);
    row.act();
    const auto found = find(checks(), row.name);
    REQUIRE(found);
    CHECK(found->status == row.status);
    CAPTURE(found->detail);
    CHECK(found->detail.find(row.detail) != std::string::npos);
    CHECK(found->remedy == row.remedy);
    std::filesystem::remove_all(home());
    std::filesystem::rename(aside, home());
  }
}

TEST_CASE_FIXTURE(Fixture, "of engines that must not be used, and before a setup of images, a doctor says nothing") {
  const std::string engine = "engine firecracker with kernel ";
  auto only = options();
  only.engine = Engine::QemuTcg;
  CHECK_FALSE(find(Host::open(only).doctor(), engine));
  CHECK(find(checks(), engine));
  change_config([](auto& now) { now.set_up_by.clear(); });
  const auto all = checks();
  CHECK_FALSE(find(all, "image " + image));
  CHECK_FALSE(find(all, "image " + agents));
  CHECK_FALSE(find(all, "engine"));
}

TEST_CASE_FIXTURE(Fixture, "where KVM works and no Firecracker is, a doctor says how to get it") {
  const auto hint = [&] { return find(checks(), "firecracker").has_value(); };
  const bool kvm = kvm_problem().empty();
  CHECK_FALSE(hint());
  change_config([](auto& now) { now.engines.front().verdict.engine = "qemu-kvm"; });
  CHECK(hint() == kvm);
  change_config([](auto& now) { now.engines.front().verdict.works = false; });
  CHECK_FALSE(hint());
  change_config([](auto& now) {
    now.engines.front().verdict.works = true;
    now.set_up_by.clear();
  });
  CHECK_FALSE(hint());
}

}  // namespace
}  // namespace fireclaw::core
