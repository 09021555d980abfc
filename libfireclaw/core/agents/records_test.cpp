// What agents are said to be, and what becomes of them, by their records and processes that live or do not.
#include <doctest/doctest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/testing/agent_home.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/workspace.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw {
namespace {

using core::testing::gone;
using core::testing::sleeper;
using state::AgentPhase;
using state::CopyStage;
using sys::testing::code_of;
using sys::testing::error_of;
using Names = std::vector<std::string>;

struct Fixture : core::testing::AgentHome {
  sys::Child engine = sleeper();

  [[nodiscard]] sys::FileLock turn_of(const std::string& name) const {
    return sys::FileLock::acquire(host->layout.lock("agent-" + name), sys::FileLock::Mode::Exclusive,
                                  Deadline::after(std::chrono::seconds{5}), name);
  }
};

TEST_CASE_FIXTURE(Fixture,
                  "an agent's state is what its record announced, its machine and the process that changes it") {
  enum class Machine { None, Ended, Runs, Paused };
  struct Row {
    AgentPhase phase;
    std::optional<bool> worker_lives;
    Machine machine;
    AgentState state;
    std::string why;
  };
  constexpr auto ended = "its machine ended unexpectedly";
  for (const auto& row : std::vector<Row>{
           {AgentPhase::Starting, true, Machine::None, AgentState::Starting, ""},
           {AgentPhase::Starting, true, Machine::Runs, AgentState::Starting, ""},
           {AgentPhase::Starting, false, Machine::None, AgentState::Crashed, "its start was interrupted"},
           {AgentPhase::Starting, false, Machine::Runs, AgentState::Crashed, "its start was interrupted"},
           {AgentPhase::Starting, std::nullopt, Machine::None, AgentState::Crashed, "its start was interrupted"},
           {AgentPhase::Restarting, true, Machine::None, AgentState::Starting, ""},
           {AgentPhase::Restarting, true, Machine::Ended, AgentState::Starting, ""},
           {AgentPhase::Restarting, false, Machine::Ended, AgentState::Crashed, "its restart was interrupted"},
           {AgentPhase::Restarting, false, Machine::Runs, AgentState::Running, ""},
           {AgentPhase::Restarting, true, Machine::Paused, AgentState::Paused, ""},
           {AgentPhase::Stopping, true, Machine::Runs, AgentState::Running, ""},
           {AgentPhase::Stopping, true, Machine::Ended, AgentState::Stopped, ""},
           {AgentPhase::Stopping, false, Machine::None, AgentState::Stopped, ""},
           {AgentPhase::Running, std::nullopt, Machine::Runs, AgentState::Running, ""},
           {AgentPhase::Running, std::nullopt, Machine::Paused, AgentState::Paused, ""},
           {AgentPhase::Running, std::nullopt, Machine::Ended, AgentState::Crashed, ended},
           {AgentPhase::Running, std::nullopt, Machine::None, AgentState::Crashed, ended},
           {AgentPhase::Stopped, std::nullopt, Machine::None, AgentState::Stopped, ""},
           {AgentPhase::Crashed, std::nullopt, Machine::None, AgentState::Crashed, ended}}) {
    CAPTURE(state::to_string(row.phase));
    CAPTURE(row.machine);
    auto agent = record();
    agent.phase = row.phase;
    if (row.worker_lives) agent.worker = *row.worker_lives ? sys::current_process() : gone();
    if (row.machine != Machine::None) agent.run = run("ada", row.machine == Machine::Ended ? gone() : engine.id()).id;
    if (row.machine == Machine::Paused) host->runs.change(agent.run, [](state::RunRecord& now) { now.paused = true; });
    auto info = agents.describe(agent);
    CHECK(info.state == row.state);
    CHECK(info.last_error == row.why);
    const bool runs = row.machine == Machine::Runs || row.machine == Machine::Paused;
    CHECK(info.vm == (runs ? agent.run : ""));
    CHECK(info.engine_pid == (runs ? engine.id().pid : 0));
    agent.last_error = "what is known";
    info = agents.describe(agent);
    const bool told = row.state == AgentState::Crashed || row.state == AgentState::Stopped;
    CHECK(info.last_error == (told ? "what is known" : ""));
    if (row.state == AgentState::Crashed && row.phase == AgentPhase::Starting) {
      agent.last_error.clear();
      agent.copy = CopyStage::Begun;
      CHECK(agents.describe(agent).last_error == "copying it from another agent was interrupted");
    }
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "what is found of agents whose machines have ended is written down, and what it was is told") {
  struct Row {
    AgentPhase phase;
    AgentPhase then;
    std::string why;
    bool told;
  };
  for (const auto& row :
       std::vector<Row>{{AgentPhase::Starting, AgentPhase::Crashed, "its start was interrupted", true},
                        {AgentPhase::Running, AgentPhase::Crashed, "its machine ended unexpectedly", true},
                        {AgentPhase::Restarting, AgentPhase::Crashed, "its restart was interrupted", true},
                        {AgentPhase::Stopping, AgentPhase::Stopped, "", false},
                        {AgentPhase::Stopped, AgentPhase::Stopped, "before", false},
                        {AgentPhase::Crashed, AgentPhase::Crashed, "before", false}}) {
    CAPTURE(state::to_string(row.phase));
    const auto machine = run("ada", gone());
    auto agent = record();
    agent.phase = row.phase;
    agent.run = machine.id;
    agent.worker = gone();
    agent.model = "a-model";
    if (!row.told) agent.last_error = "before";
    agents.agents.put(agent);
    const auto report = agents.reconcile();
    CHECK(report.crashed == (row.told ? Names{"ada"} : Names{}));
    CHECK(report.adopted.empty());
    CHECK(report.busy.empty());
    CHECK(report.silent.empty());
    CHECK(report.orphans.empty());
    CHECK_FALSE(host->runs.find(machine.id));
    const auto now = agents.require("ada");
    CHECK(now.phase == row.then);
    CHECK(now.last_error == row.why);
    CHECK(now.model == "a-model");
  }
}

TEST_CASE_FIXTURE(Fixture, "an agent in whose start its maker was killed is ended with what it has") {
  for (const auto phase : {AgentPhase::Starting, AgentPhase::Restarting, AgentPhase::Stopping}) {
    CAPTURE(state::to_string(phase));
    auto child = sleeper();
    auto agent = record();
    agent.phase = phase;
    agent.worker = gone();
    agent.run = run("ada", child.id()).id;
    agents.agents.put(agent);
    agents.reconcile();
    CHECK_FALSE(sys::is_alive(child.id()));
    CHECK(host->runs.list().empty());
    const auto now = agents.require("ada");
    CHECK(now.run.empty());
    CHECK_FALSE(now.worker);
  }
}

TEST_CASE_FIXTURE(Fixture, "who has an agent's turn sees to it") {
  auto agent = record();
  agent.phase = AgentPhase::Running;
  agent.run = run("ada", gone()).id;
  agents.agents.put(agent);
  {
    const auto turn = turn_of("ada");
    const auto report = agents.reconcile();
    CHECK(report.busy == Names{"ada"});
    CHECK(report.crashed.empty());
    CHECK(agents.require("ada") == agent);
    CHECK(host->runs.find(agent.run));
  }
  CHECK(agents.reconcile().crashed == Names{"ada"});
}

TEST_CASE_FIXTURE(Fixture, "what an agent may reach is changed in its turn") {
  agents.agents.put(record());
  sys::replace_file(host->layout.templates() / "worker.json",
                    R"({"nick": "worker", "model": "m", "persona": "P.", "allow": ["192.0.2.1"]})");
  const auto turn = host->layout.lock("agent-ada");
  const auto takes_turn = [&](const auto& action) {
    std::filesystem::remove(turn);
    CHECK(action().size() == 1);
    return std::filesystem::exists(turn);
  };
  const auto network = handle.network();
  CHECK(takes_turn([&] { return network.deny("ada", "192.0.2.1"), network.allow("ada", "192.0.2.2"); }));
  CHECK(takes_turn([&] { return network.allow("ada", "192.0.2.1"), network.deny("ada", "192.0.2.2"); }));
  CHECK(agents.require("ada").allowed.empty());
}

TEST_CASE_FIXTURE(Fixture, "a machine that no agent's record has is ended once who made it is gone, and no other is") {
  auto child = sleeper();
  const auto machine = run("ada", child.id(), sys::current_process());
  const auto plain = run("", engine.id());
  CHECK(agents.reconcile().orphans.empty());
  host->runs.change(machine.id, [](state::RunRecord& now) { now.owner = gone(); });
  {
    const auto turn = turn_of("ada");
    CHECK(agents.reconcile().orphans.empty());
  }
  CHECK(sys::is_alive(child.id()));
  // The record of another machine does not keep it.
  auto agent = record();
  agent.run = "0123456789abcdef";
  agents.agents.put(agent);
  CHECK(agents.reconcile().orphans == Names{machine.id});
  CHECK_FALSE(sys::is_alive(child.id()));
  CHECK_FALSE(host->runs.find(machine.id));
  CHECK(sys::is_alive(engine.id()));
  CHECK(host->runs.find(plain.id));
}

TEST_CASE_FIXTURE(Fixture, "an interrupted copy goes with the workspace that it was given, and with no other") {
  for (const auto stage : {CopyStage::Begun, CopyStage::HasWorkspace}) {
    for (const std::string by : {"reconcile", "stop", "remove", "restart", "start"}) {
      CAPTURE(state::to_string(stage));
      CAPTURE(by);
      make_workspace("ada");
      auto child = sleeper();
      auto agent = record();
      agent.phase = AgentPhase::Starting;
      agent.copy = stage;
      agent.run = run("ada", child.id()).id;
      agents.agents.put(agent);
      if (by == "reconcile") CHECK(agents.reconcile().crashed.empty());
      if (by == "stop") agents.stop("ada", {});
      if (by == "remove") handle.agents().open("ada").remove();
      if (by == "restart") CHECK(code_of([&] { agents.restart("ada", {}); }) == ErrorCode::NotFound);
      if (by == "start") {
        AgentConfig config;
        config.name = "ada";
        config.template_name = "worker";
        CHECK(code_of([&] { agents.start(config, {}); }) == ErrorCode::NotFound);
      }
      CHECK_FALSE(agents.agents.find("ada"));
      CHECK_FALSE(sys::is_alive(child.id()));
      CHECK(host->runs.list().empty());
      const auto left = stage == CopyStage::Begun ? Names{"ada"} : Names{};
      CHECK(host->workspaces.names() == left);
      if (!left.empty()) handle.workspaces().remove("ada");
    }
  }
}

TEST_CASE_FIXTURE(Fixture, "an agent is removed when it does not run, without its workspace") {
  make_workspace("ada");
  auto child = sleeper();
  auto agent = record();
  agent.phase = AgentPhase::Running;
  agent.run = run("ada", child.id()).id;
  agents.agents.put(agent);
  const auto open = handle.agents().open("ada");
  CHECK(error_of([&] { open.remove(); }) ==
        std::pair{ErrorCode::InvalidState, std::string{"agent 'ada' runs; stop it first: fireclaw agent stop ada"}});
  CHECK(agents.require("ada") == agent);
  child.kill();
  open.remove();
  CHECK_FALSE(agents.agents.find("ada"));
  CHECK(host->runs.list().empty());
  CHECK(host->workspaces.names() == Names{"ada"});
  CHECK(code_of([&] { open.remove(); }) == ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture, "a stop of an agent that has ended leaves it stopped, and forgets why it had ended") {
  auto agent = record();
  agent.phase = AgentPhase::Running;
  agent.run = run("ada", gone()).id;
  agent.worker = gone();
  agent.last_error = "before";
  agents.agents.put(agent);
  agents.stop("ada", {});
  auto expected = record();
  CHECK(agents.require("ada") == expected);
  CHECK(host->runs.list().empty());
}

TEST_CASE_FIXTURE(Fixture, "settings that are given replace recorded ones, and what cannot be is not recorded") {
  auto agent = record();
  agent.model = "one";
  agent.persona = "A bird.";
  agent.tools = true;
  agents.agents.put(agent);
  AgentSettings settings;
  settings.model = "two";
  settings.tools = false;
  CHECK(agents.reload("ada", settings).model == "two");
  agent.model = "two";
  agent.tools = false;
  CHECK(agents.require("ada") == agent);
  settings.persona = "A fish.";
  settings.trigger = "";
  CHECK(code_of([&] { agents.reload("ada", settings); }) == ErrorCode::InvalidArgument);
  CHECK(agents.require("ada") == agent);
  settings.trigger = "all";
  const auto info = agents.reload("ada", settings);
  CHECK(info.trigger == "all");
  CHECK_FALSE(info.tools);
  agent.persona = "A fish.";
  agent.trigger = "all";
  CHECK(agents.require("ada") == agent);
}

TEST_CASE_FIXTURE(Fixture, "no agent gets a name that is another one's on IRC") {
  agents.agents.put(record("Ada"));
  AgentConfig config;
  config.name = "ada";
  config.template_name = "worker";
  CHECK(
      error_of([&] { agents.start(config, {}); }) ==
      std::pair{ErrorCode::AlreadyExists,
                std::string{"there is an agent 'Ada' already, and on IRC 'ada' is the same name; choose another one"}});
  CHECK_FALSE(agents.agents.find("ada"));
  agents.require_new("bob");
  CHECK(code_of([&] { agents.require_new("Ada"); }) == ErrorCode::AlreadyExists);
  CHECK(code_of([&] { agents.require_new("ADA"); }) == ErrorCode::AlreadyExists);
  make_workspace("bob");
  CHECK(code_of([&] { agents.require_new("bob"); }) == ErrorCode::AlreadyExists);
}

TEST_CASE_FIXTURE(Fixture, "an agent that runs is not started again, and a start that cannot be plans no end") {
  auto agent = record();
  agent.phase = AgentPhase::Running;
  agent.run = run("ada", engine.id()).id;
  agents.agents.put(agent);
  AgentConfig config;
  config.name = "ada";
  config.template_name = "worker";
  CHECK(code_of([&] { agents.start(config, {}); }) == ErrorCode::AlreadyExists);
  // Its image is not there.
  CHECK(code_of([&] { agents.restart("ada", {}); }) == ErrorCode::NotFound);
  CHECK(sys::is_alive(engine.id()));
  CHECK(agents.require("ada") == agent);
}

TEST_CASE_FIXTURE(Fixture, "a saved agent is started as it was, or the refusal says what cannot be chosen") {
  const auto save = [&](const std::string& name, bool with_agent) {
    auto draft = host->snapshots.begin(name, Deadline::never());
    for (const auto& file : {draft.files().state, draft.files().memory, draft.disks().workspace}) {
      sys::replace_file(file, "x");
    }
    state::SnapshotRecord saved;
    saved.name = name;
    saved.image = "agent";
    saved.engine = "firecracker";
    if (with_agent) saved.agent = {record(), 0, 1, 1000, 1000};
    host->snapshots.publish(std::move(draft), saved, false);
  };
  save("one", true);
  save("plain", false);
  struct Row {
    std::string what;
    void (*change)(AgentConfig& config);
    ErrorCode code;
    std::string words;
  };
  for (const auto& row : std::vector<Row>{
           {"none such", [](auto& config) { config.snapshot = "none"; }, ErrorCode::NotFound, "no snapshot named"},
           {"a path", [](auto& config) { config.snapshot = "../one"; }, ErrorCode::InvalidArgument, "../one"},
           {"a machine's", [](auto& config) { config.snapshot = "plain"; }, ErrorCode::InvalidArgument,
            "of a machine, not of an agent"},
           {"another template", [](auto& config) { config.template_name = "scout"; }, ErrorCode::InvalidArgument,
            "of template 'worker', not 'scout'"},
           {"CPUs", [](auto& config) { config.cpus = 2; }, ErrorCode::InvalidArgument, "with the machine that it had"},
           {"memory", [](auto& config) { config.memory_mib = 512; }, ErrorCode::InvalidArgument,
            "with the machine that it had"},
           {"a boot", [](auto& config) { config.start = StartMode::Cold; }, ErrorCode::InvalidArgument,
            "with the machine that it had"},
           {"no network", [](auto& config) { config.network = NetworkMode::None; }, ErrorCode::InvalidArgument,
            "an agent needs a network"},
           {"a name that cannot be", [](auto& config) { config.name = "../ada"; }, ErrorCode::InvalidArgument,
            "../ada"},
           {"a taken name", [](auto& config) { config.name = "eve"; }, ErrorCode::AlreadyExists,
            "there is an agent 'eve' already"},
           {"a setting that cannot be", [](auto& config) { config.settings.trigger = ""; }, ErrorCode::InvalidArgument,
            "trigger"}}) {
    CAPTURE(row.what);
    agents.agents.put(record("eve"));
    AgentConfig config;
    config.snapshot = "one";
    row.change(config);
    const auto [code, text] = error_of([&] { agents.start(config, {}); });
    CHECK(code == row.code);
    CHECK(text.find(row.words) != std::string::npos);
    CHECK_FALSE(agents.agents.find("ada"));
    CHECK(host->workspaces.names().empty());
  }
}

}  // namespace
}  // namespace fireclaw
