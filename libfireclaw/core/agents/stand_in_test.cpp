// Agents whose machines run on the stand-in for Firecracker; their guests are asked nothing.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/agents/impl.hpp"
#include "core/host/engines.hpp"
#include "core/testing/stand_in_agent.hpp"
#include "core/testing/stand_in_home.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/workspace.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using sys::testing::code_of;
using sys::testing::error_of;
using sys::testing::FileCalls;
using testing::StandInHome;

struct Fixture : StandInHome {
  std::shared_ptr<Host::Impl> host = open();
  AgentManager::Impl agents{Access::host(host)};
  std::unique_ptr<VM::Impl> machine = testing::start_agent(host, agents);

  ~Fixture() { testing::disown(machine); }

  [[nodiscard]] bool runs_on() const {
    const auto record = host->runs.find(machine->record.id);
    return record && state::is_running(*record) && !record->paused && !record->copier &&
           done("Paused") == done("Resumed");
  }
};

TEST_CASE_FIXTURE(Fixture, "an agent that was saved runs on, and its snapshot has its disk") {
  const auto saved = agents.snapshot("ada", "one", false, {});
  CHECK(saved.name == "one");
  CHECK(saved.agent == "ada");
  CHECK(runs_on());
  CHECK(done("Paused") == 1);
  const auto record = host->snapshots.find("one");
  REQUIRE(record);
  CHECK(sys::sha256_file(host->snapshots.disks(*record).workspace) == sys::sha256_file(host->workspaces.disk("ada")));
  CHECK(agents.require("ada").phase == state::AgentPhase::Running);
}

TEST_CASE_FIXTURE(Fixture, "an agent whose memory the disk has no room for is not even paused") {
  host->runs.change(machine->record.id, [](state::RunRecord& now) { now.memory_mib = 1U << 30; });
  const auto [code, text] = error_of([&] { static_cast<void>(agents.snapshot("ada", "one", false, {})); });
  CHECK(code == ErrorCode::Io);
  CHECK(text.find("take up to 1073741") != std::string::npos);
  CHECK(done("Paused") == 0);
  CHECK(host->snapshots.names().empty());
  CHECK(runs_on());
}

TEST_CASE_FIXTURE(Fixture, "a saved agent's disk is on disk before its snapshot has a name") {
  std::vector<std::string> lines;
  {
    const FileCalls calls{host->layout.snapshots()};
    static_cast<void>(agents.snapshot("ada", "one", false, {}));
    lines = calls.lines();
  }
  const auto at = [&](std::string_view begin, std::string_view end) {
    return std::ranges::find_if(
        lines, [&](const std::string& line) { return line.starts_with(begin) && line.ends_with(end); });
  };
  const auto synced = at("sync .draft-one-", "/workspace");
  const auto named = at("rename .draft-one-", " -> one");
  REQUIRE(named != lines.end());
  CHECK(at("create .draft-one-", "/workspace") < synced);
  CHECK(synced < named);
}

TEST_CASE_FIXTURE(Fixture, "an agent is not saved under a name that is taken, also if it is taken meanwhile") {
  constexpr auto taken = "there is a snapshot named 'one'; remove it with: fireclaw snapshot remove one";
  const auto save = [&] { static_cast<void>(agents.snapshot("ada", "one", false, {})); };
  save();
  CHECK(error_of(save) == std::pair{ErrorCode::AlreadyExists, std::string{taken}});
  CHECK(done("Paused") == 1);
  const auto snapshot = host->layout.snapshots() / "one";
  const auto aside = home() / "aside";
  const auto before = sys::read_file(snapshot / "manifest.json");
  std::filesystem::rename(snapshot, aside);
  {
    const FileCalls calls{host->layout.snapshots(), [&] {
                            if (std::filesystem::exists(aside)) std::filesystem::rename(aside, snapshot);
                          }};
    CHECK(error_of(save) == std::pair{ErrorCode::AlreadyExists, std::string{taken}});
  }
  CHECK(done("Paused") == 2);
  CHECK(runs_on());
  CHECK(sys::read_file(snapshot / "manifest.json") == before);
  CHECK(host->snapshots.names() == std::vector<std::string>{"one"});
  CHECK(host->snapshots.remove_unfinished().empty());
  CHECK(agents.snapshot("ada", "one", true, {}).name == "one");
  CHECK(sys::read_file(snapshot / "manifest.json") != before);
}

TEST_CASE_FIXTURE(Fixture,
                  "an archive with an agent's memory becomes a snapshot that gives it no network of the host") {
  sys::make_directories(host->layout.templates());
  sys::write_file_atomic(host->layout.templates() / "worker.json",
                         R"({"schema": 1, "nick": "ada", "model": "m", "persona": "A bird."})");
  const auto archive = home() / "archive";
  for (const auto& [network, name] : {std::pair{"user", "bob"}, std::pair{"nat", "ada"}, std::pair{"user", ""}}) {
    CAPTURE(network);
    CAPTURE(name);
    auto record = agents.require("ada");
    record.network = network;
    record.model = "own";
    agents.agents.put(record);
    agents.export_archive("ada", sys::open_file(archive, O_WRONLY | O_CREAT | O_TRUNC, 0600).get(), true, {});
    CHECK(runs_on());
    AgentImportOptions options;
    options.name = name;
    const auto file = sys::open_file(archive, O_RDONLY);
    if (options.name != "bob") {
      CHECK(code_of([&] { agents.import_archive(file.get(), options); }) == ErrorCode::AlreadyExists);
      continue;
    }
    const auto made = agents.import_archive(file.get(), options);
    CHECK(made.memory_left_out == kvm_problem());
    if (!made.memory_left_out.empty()) return;
    const auto saved = host->snapshots.find(made.snapshot);
    REQUIRE(saved);
    REQUIRE(saved->agent);
    CHECK(saved->agent->agent.name == "bob");
    CHECK(saved->agent->agent.network == "nat");
    CHECK(saved->agent->agent.model == "own");
    CHECK_FALSE(saved->agent->agent.publishes);
    CHECK(sys::sha256_file(host->snapshots.disks(*saved).workspace) == sys::sha256_file(host->workspaces.disk("ada")));
    CHECK_FALSE(agents.agents.find("bob"));
  }
  CHECK(host->snapshots.remove_unfinished().empty());
}

TEST_CASE_FIXTURE(Fixture, "an agent is paused and resumed in its turn") {
  const auto agent = Access::host(host).agents().open("ada");
  const auto turn = host->layout.lock("agent-ada");
  const auto takes_turn = [&](const auto& action) {
    std::filesystem::remove(turn);
    action();
    return std::filesystem::exists(turn);
  };
  CHECK(takes_turn([&] { agent.pause(); }));
  CHECK(host->runs.find(machine->record.id)->paused);
  CHECK(takes_turn([&] { agent.resume(); }));
  CHECK(runs_on());
}

TEST_CASE_FIXTURE(Fixture, "an agent's record says that it ends while its machine still runs, and then that it has") {
  // Its guest is not to be given disks.
  host->runs.change(machine->record.id, [](state::RunRecord& now) { now.configured = true; });
  const auto engine = *host->runs.find(machine->record.id)->process;
  std::vector<std::pair<state::AgentPhase, bool>> seen;
  {
    const FileCalls calls{host->layout.agents(), [&] {
                            const std::pair now{agents.agents.find("ada")->phase, sys::is_alive(engine)};
                            if (seen.empty() || seen.back() != now) seen.push_back(now);
                          }};
    agents.stop("ada", std::chrono::seconds{1});
  }
  using enum state::AgentPhase;
  CHECK(seen == std::vector<std::pair<state::AgentPhase, bool>>{
                    {Running, true}, {Stopping, true}, {Stopping, false}, {Stopped, false}});
  CHECK(host->runs.list().empty());
  CHECK(host->workspaces.names() == std::vector<std::string>{"ada"});
  machine.reset();
}

}  // namespace
}  // namespace fireclaw::core
