// What the record of an agent announces while the agent is started, and what is left of a start that fails: here the
// agents' image is not there, which is found out when all else has been made.
#include <doctest/doctest.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/testing/agent_home.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/workspace.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw {
namespace {

using core::testing::gone;
using state::AgentPhase;
using state::CopyStage;
using sys::testing::code_of;
using sys::testing::error_of;
using sys::testing::FileCalls;
using Names = std::vector<std::string>;

struct Fixture : core::testing::AgentHome {
  Fixture() {
    sys::make_directories(host->layout.agents());
    sys::make_directories(host->layout.templates());
    sys::write_file_atomic(
        host->layout.templates() / "worker.json",
        R"({"schema": 1, "nick": "ada", "model": "m", "persona": "A bird.", "image": "none", "network": "user"})");
  }
  /// The machine of an agent whose engine is gone.
  [[nodiscard]] std::string ended_run() const { return run("ada", gone()).id; }
  /// The records that `start` writes for the agent, and with what it fails.
  [[nodiscard]] std::vector<state::AgentRecord> announced(const std::string& name, std::string& failure,
                                                          const std::function<void()>& start) const {
    std::vector<state::AgentRecord> seen;
    const FileCalls calls{host->layout.agents(), [&] {
                            const auto now = agents.agents.find(name);
                            if (now && (seen.empty() || seen.back() != *now)) seen.push_back(*now);
                          }};
    failure = error_of(start).second;
    return seen;
  }
};

TEST_CASE_FIXTURE(Fixture,
                  "a start that fails leaves an agent's record as it was, with why, and what was there before") {
  struct Row {
    std::optional<AgentPhase> before;
    bool had_workspace;
    std::optional<AgentPhase> after;
  };
  for (const auto& row :
       {Row{std::nullopt, false, std::nullopt}, Row{std::nullopt, true, std::nullopt},
        Row{AgentPhase::Stopped, true, AgentPhase::Stopped}, Row{AgentPhase::Stopped, false, AgentPhase::Stopped},
        Row{AgentPhase::Stopping, true, AgentPhase::Stopped}, Row{AgentPhase::Starting, true, AgentPhase::Crashed},
        Row{AgentPhase::Running, true, AgentPhase::Crashed}, Row{AgentPhase::Crashed, true, AgentPhase::Crashed}}) {
    for (const bool again : {false, true}) {
      if (again && !row.before) continue;
      CAPTURE(again);
      CAPTURE(row.had_workspace);
      if (row.before) CAPTURE(state::to_string(*row.before));
      auto before = record();
      before.last_error = "before";
      before.model = "own";
      if (row.before) {
        before.phase = *row.before;
        before.run = ended_run();
        before.worker = gone();
        agents.agents.put(before);
      }
      if (row.had_workspace) make_workspace("ada");
      std::string failure;
      const auto seen = announced("ada", failure, [&] {
        if (again) {
          agents.restart("ada", {});
          return;
        }
        AgentConfig config;
        config.template_name = "worker";
        agents.start(config, {});
      });
      CHECK(failure.find("start agent 'ada'") != std::string::npos);
      CHECK(failure.find("has not been set up") != std::string::npos);
      const auto begun = std::ranges::find(seen, AgentPhase::Starting, &state::AgentRecord::phase);
      REQUIRE(begun != seen.end());
      const auto last_begun = std::ranges::find_if(seen, [](const state::AgentRecord& now) {
        return now.phase == AgentPhase::Starting && now.worker == sys::current_process();
      });
      REQUIRE(last_begun != seen.end());
      CHECK(last_begun->run.empty());
      CHECK(last_begun->last_error.empty());
      CHECK(last_begun->copy == CopyStage::Whole);
      const auto after = agents.agents.find("ada");
      REQUIRE(after.has_value() == row.after.has_value());
      if (after) {
        auto expected = before;
        expected.phase = *row.after;
        expected.run.clear();
        expected.worker.reset();
        expected.last_error = failure;
        CHECK(*after == expected);
        agents.agents.remove("ada");
      }
      CHECK(host->runs.list().empty());
      CHECK(host->workspaces.names() == (row.had_workspace ? Names{"ada"} : Names{}));
      if (row.had_workspace) handle.workspaces().remove("ada");
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "an agent that begins as another one was is its copy, with what is its own to choose") {
  make_workspace("ada");
  const auto disk = host->workspaces.disk("ada");
  {
    auto draft = host->snapshots.begin("one", Deadline::never());
    for (const auto& file : {draft.files().state, draft.files().memory}) sys::replace_file(file, "x");
    std::filesystem::copy_file(disk, draft.disks().workspace);
    state::SnapshotRecord saved;
    saved.name = "one";
    saved.image = "none";
    saved.engine = "firecracker";
    auto agent = record();
    agent.model = "own";
    agent.network = "nat";
    saved.agent = {agent, 0, std::filesystem::file_size(disk), 1000, 1000};
    host->snapshots.publish(std::move(draft), saved, false);
  }
  handle.workspaces().remove("ada");
  struct Row {
    std::string what;
    void (*change)(AgentConfig& config);
    void (*expect)(state::AgentRecord& record);
  };
  for (const auto& row :
       std::vector<Row>{{"as it was", [](auto&) {}, [](auto&) {}},
                        {"its own name", [](auto& config) { config.name = "ada"; }, [](auto&) {}},
                        {"another name", [](auto& config) { config.name = "bob"; },
                         [](auto& record) {
                           record.name = "bob";
                           record.publishes = false;
                         }},
                        {"the host's network", [](auto& config) { config.network = NetworkMode::User; },
                         [](auto& record) { record.network = "user"; }},
                        {"the gateway's services", [](auto& config) { config.services_only = true; },
                         [](auto& record) { record.services_only = true; }},
                        {"another model", [](auto& config) { config.settings.model = "other"; },
                         [](auto& record) { record.model = "other"; }},
                        {"until its starter ends", [](auto& config) { config.detached = false; },
                         [](auto& record) { record.detached = false; }}}) {
    CAPTURE(row.what);
    auto expected = record();
    expected.model = "own";
    expected.network = "nat";
    expected.detached = true;
    row.expect(expected);
    AgentConfig config;
    config.snapshot = "one";
    row.change(config);
    std::string failure;
    const auto seen = announced(expected.name, failure, [&] { agents.start(config, {}); });
    CAPTURE(failure);
    CHECK(failure.starts_with("start agent '" + expected.name + "': "));
    CHECK(failure.find("has not been set up") != std::string::npos);
    std::vector<CopyStage> stages;
    for (const auto& now : seen) {
      stages.push_back(now.copy);
      auto like = expected;
      like.phase = AgentPhase::Starting;
      like.copy = now.copy;
      like.worker = sys::current_process();
      like.notice = now.notice;
      CHECK(now == like);
    }
    CHECK(stages == std::vector{CopyStage::Begun, CopyStage::HasWorkspace});
    CHECK(agents.agents.list().empty());
    CHECK(host->workspaces.names().empty());
    CHECK(host->snapshots.names() == Names{"one"});
  }
}

}  // namespace
}  // namespace fireclaw
