#include "desk.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>
#include <functional>
#include <iterator>

#include "testing/fake_agents.hpp"

using namespace fireclaw::overseer;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

std::filesystem::path make_folder() {
  std::string name = std::filesystem::temp_directory_path() / "fireclaw-desk-XXXXXX";
  REQUIRE(::mkdtemp(name.data()) != nullptr);
  return name;
}

/// A desk with fake agents, and what it says.
struct Office {
  explicit Office(Supervision supervision = {3, Seconds{0.05}, seconds{300}, milliseconds{200}, milliseconds{100}})
      : supervisor{loop,    agents,      crew,
                   metrics, supervision, [this](const Supervisor::Report& report) {
                     said.push_back(report.line); }} {}
  ~Office() {
    supervisor.end();
    for (const auto& info : agents.list()) agents.stop(info.name);
    std::filesystem::remove_all(folder);
  }

  void take(std::string_view line) {
    const auto parsed = parse_command(line);
    REQUIRE(parsed);
    desk.take({"alice!a@h", "", "#control"}, std::get<Command>(*parsed));
  }
  /// Runs the loop until it is so; false after ten seconds.
  bool until(const std::function<bool()>& condition) {
    bool holds = false;
    const auto limit = loop.after(seconds{10}, [&] { loop.quit(); });
    std::function<void()> look = [&] {
      holds = condition();
      if (holds) return loop.quit();
      timer = loop.after(milliseconds{5}, look);
    };
    look();
    if (!holds) loop.run();
    loop.cancel(limit);
    loop.cancel(timer);
    return holds;
  }
  bool says(std::string_view text) {
    return until([&] { return std::ranges::any_of(said, [&](const auto& line) { return line.starts_with(text); }); });
  }
  std::size_t count(std::string_view text) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(said, [&](const auto& line) { return line.starts_with(text); }));
  }
  std::string audit_text() const {
    std::ifstream file{folder / "audit.log"};
    return {std::istreambuf_iterator<char>{file}, {}};
  }

  std::filesystem::path folder = make_folder();
  EventLoop loop;
  EventLoop::Id timer = 0;
  FakeAgents agents{folder / "agents"};
  Metrics metrics;
  AuditLog audit{folder / "audit.log"};
  Log log{fireclaw::LogLevel::Error, false};
  std::vector<std::string> said;
  Crew crew{loop, {2, 2, 10}};
  Supervisor supervisor;
  Desk desk{loop,
            agents,
            crew,
            supervisor,
            metrics,
            audit,
            log,
            [this](const std::string&, std::string_view line) { said.emplace_back(line); },
            [](const fireclaw::AgentInfo& agent, const std::string& text, const Asker&) {
              return Outcome{true, {agent.nick + " was told " + text}, agent};
            }};
};

}  // namespace

TEST_CASE("an agent's life is told as it goes") {
  Office office;
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started: worker [qwen2.5:7b] (172.16.0.2)"));
  office.take("!invoke worker");
  CHECK(office.says("!invoke worker failed: agent 'worker' runs already"));
  office.take("!model worker phi4-mini");
  CHECK(office.says("Agent \"worker\": model phi4-mini"));
  office.take("!pause worker");
  CHECK(office.says("Agent \"worker\" is paused"));
  office.take("!resume worker");
  CHECK(office.says("Agent \"worker\" goes on"));
  office.take("!say worker hello there");
  CHECK(office.says("worker was told hello there"));
  office.take("!list");
  CHECK(office.says("worker [phi4-mini] (172.16.0.2) running, up 0 s"));
  office.take("!status worker");
  CHECK(office.says("worker [phi4-mini] (172.16.0.2) running, on IRC in #agents, up"));
  office.take("!logs worker 2");
  CHECK(office.says("line 2 of worker"));
  office.take("!memory worker");
  CHECK(office.says("- the gate code is 4711"));
  office.take("!persona worker You are a parrot.");
  CHECK(office.says("Agent \"worker\": new persona"));
  office.take("!destroy worker");
  CHECK(office.says("Agent \"worker\" destroyed; its workspace stays"));
  office.take("!list");
  CHECK(office.says("There are no agents."));
  const auto audit = office.audit_text();
  CHECK(audit.find(R"("who":"alice!a@h","where":"#control","command":"!invoke worker","result":"done")") !=
        std::string::npos);
  CHECK(audit.find(R"("command":"!destroy worker","result":"done")") != std::string::npos);
  const auto text = office.metrics.text();
  CHECK(text.find("fireclaw_agent_start_seconds_count 1\n") != std::string::npos);
  CHECK(text.find("fireclaw_overseer_commands_total{command=\"!invoke\",result=\"failed\"} 1") != std::string::npos);
}

TEST_CASE("commands for agents that are not there, or that cannot be, get one line") {
  Office office;
  office.take("!destroy nobody");
  CHECK(office.says("There is no agent \"nobody\"; !list shows those there are"));
  office.take("!say nobody hi");
  CHECK(office.until([&] { return office.count("There is no agent \"nobody\"") == 2; }));
  office.take("!invoke nothing");
  CHECK(office.says("There is no template \"nothing\"; !templates lists those there are"));
  office.take("!invoke broken ann");
  CHECK(office.says("!invoke broken ann failed: start agent 'ann': the engine refused"));
  CHECK(office.agents.list().empty());
  office.take("!invoke shy");
  CHECK(office.says("Agent \"shy\" is not on IRC yet: no connection to 172.16.0.1:6667"));
  office.take("!fork nobody twin");
  CHECK(office.until([&] { return office.count("There is no agent \"nobody\"") == 3; }));
}

TEST_CASE("a running agent is forked, and the new one is looked after like any other; and it is saved") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke worker --model special");
  CHECK(office.says("Agent \"worker\" started"));
  office.take("!fork worker twin");
  CHECK(office.says("Agent \"twin\" started: twin [special]"));
  CHECK(office.until([&] { return office.supervisor.watches("twin"); }));
  CHECK(office.supervisor.watches("worker"));
  office.take("!fork worker twin");
  CHECK(office.says("!fork worker twin failed: there is an agent 'twin' already"));
  office.take("!snapshot worker");
  CHECK(
      office.says("Agent \"worker\" saved as worker-20260101-000000 (42 MiB); fireclaw agent start --from "
                  "worker-20260101-000000 --name <new> goes on from there"));
  office.take("!snapshot worker good");
  CHECK(office.says("Agent \"worker\" saved as good"));
  CHECK(office.metrics.text().find("fireclaw_agent_start_seconds_count 2\n") != std::string::npos);
}

TEST_CASE("what takes longer than a second is said to be worked on, once") {
  Office office;
  office.take("!invoke slow");
  office.take("!invoke worker");
  CHECK(office.says("Agent \"slow\" started"));
  CHECK(office.count("working on !invoke slow") == 1);
  CHECK(office.count("working on !invoke worker") == 0);
  CHECK(office.said.back().starts_with("Agent \"slow\" started"));
}

TEST_CASE("changes of one agent never overlap") {
  Office office;
  office.take("!invoke worker");
  for (int i = 0; i < 3; ++i) {
    office.take("!restart worker");
    office.take("!model worker m" + std::to_string(i));
  }
  office.take("!destroy worker");
  CHECK(office.says("Agent \"worker\" destroyed"));
  for (const auto& call : office.agents.calls()) CHECK_FALSE(call.starts_with("two changes at once"));
  CHECK(office.count("Agent \"worker\" died") == 0);
}

TEST_CASE("too much at once is refused and the rest is done") {
  Office office;
  for (int i = 0; i < 20; ++i) office.take("!invoke worker w" + std::to_string(i));
  CHECK(office.until([&] { return office.said.size() >= 20; }));
  CHECK(office.count("Too much is waiting already") == 8);
  CHECK(office.agents.list().size() == 12);
}

TEST_CASE("all agents are stopped side by side and none is started again") {
  Office office;
  office.supervisor.begin();
  for (const auto* name : {"ann", "ben", "cleo"}) office.take(std::string{"!invoke quick "} + name);
  CHECK(office.until([&] { return office.count("Agent") == 3; }));
  office.take("!stopall");
  CHECK(office.says("Stopped ann, ben, cleo"));
  office.take("!stopall");
  CHECK(office.says("No agent runs"));
  CHECK(office.count("Agent \"ann\" died") == 0);
  for (const auto& info : office.agents.list()) CHECK(info.state == fireclaw::AgentState::Stopped);
}

TEST_CASE("an agent that dies is announced and started again") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.said.clear();
  // What is watched is told apart from what is only found by looking around: that is done every 200 ms here.
  office.agents.crash("worker");
  CHECK(office.says("Agent \"worker\" died: its machine ended unexpectedly. Restarting it in 0 s (1 of 3)"));
  CHECK(office.says("Agent \"worker\" started: worker [qwen2.5:7b] (172.16.0.2)"));
  CHECK(office.agents.info("worker").state == fireclaw::AgentState::Running);
  CHECK(office.metrics.text().find("fireclaw_agent_restarts_total{result=\"done\"} 1") != std::string::npos);
}

TEST_CASE("what agents say of themselves is counted") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke worker");
  office.take("!invoke shy");
  CHECK(office.until([&] {
    const auto text = office.metrics.text();
    return text.find("fireclaw_agent_llm_errors_total{agent=\"worker\"} 2\n") != std::string::npos &&
           text.find("fireclaw_agent_online{agent=\"shy\"} 0\n") != std::string::npos;
  }));
}

TEST_CASE("an agent that dies again and again is left down") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke sickly");
  CHECK(office.says(
      "Agent \"sickly\" died again: its machine ended unexpectedly. It stays down; !restart sickly starts it"));
  CHECK(office.count("Agent \"sickly\" started") == 4);
  CHECK(office.count("Agent \"sickly\" died:") == 3);
  // Left alone from now on, however often somebody looks around.
  const auto calls = office.agents.calls().size();
  const auto lines = office.said.size();
  // Three looks around.
  office.loop.after(milliseconds{700}, [&] { office.loop.quit(); });
  office.loop.run();
  CHECK(office.said.size() == lines);
  CHECK(office.agents.calls().size() == calls);
}

TEST_CASE("the end of an agent that another process holds is told of once, and left to that process") {
  Office office;
  office.supervisor.begin();
  fireclaw::AgentConfig config;
  config.template_name = "worker";
  config.detached = false;
  office.agents.start(config);
  office.supervisor.refresh();
  REQUIRE(office.until([&] { return office.supervisor.watches("worker"); }));
  office.agents.crash("worker");
  CHECK(office.says("Agent \"worker\" died: its machine ended unexpectedly. It was started in the foreground"));
  // Several looks later.
  const auto later = EventLoop::Clock::now() + milliseconds{700};
  CHECK(office.until([&] { return EventLoop::Clock::now() > later; }));
  CHECK(office.count("Agent \"worker\" died") == 1);
  CHECK(office.agents.info("worker").state == fireclaw::AgentState::Crashed);
  // That process has started it again.
  office.agents.start(config);
  office.supervisor.refresh();
  CHECK(office.until([&] { return office.supervisor.watches("worker"); }));
  office.agents.crash("worker");
  CHECK(office.until([&] { return office.count("Agent \"worker\" died") == 2; }));
}

TEST_CASE("an agent that somebody else stops stays stopped, and one that somebody else starts is looked after") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.agents.stop("worker");
  fireclaw::AgentConfig config;
  config.template_name = "quick";
  office.agents.start(config);
  CHECK(office.until([&] {
    const auto known = office.supervisor.known();
    return std::ranges::any_of(known, [](const auto& info) { return info.name == "quick"; });
  }));
  office.agents.crash("quick");
  CHECK(office.says("Agent \"quick\" died"));
  CHECK(office.count("Agent \"worker\" died") == 0);
}

TEST_CASE("a start that is called off is undone") {
  Office office;
  office.take("!invoke slow");
  office.take("!restart slow");
  CHECK(office.until([&] { return !office.agents.calls().empty(); }));
  office.crew.stop();
  bool idle = false;
  office.crew.when_idle([&] { idle = true; });
  const auto began = EventLoop::Clock::now();
  CHECK(office.until([&] { return idle; }));
  CHECK(EventLoop::Clock::now() - began < seconds{2});
  CHECK(office.count("!invoke slow was called off: the overseer ends") == 1);
  CHECK(office.count("!restart slow was not begun: the overseer ends") == 1);
  CHECK(office.agents.list().empty());
}
