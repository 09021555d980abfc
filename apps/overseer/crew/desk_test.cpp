#include "crew/desk.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <functional>
#include <iterator>
#include <semaphore>

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
  explicit Office(Supervision supervision = {3, Seconds{0.02}, seconds{300}, milliseconds{20}, milliseconds{20}})
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
  /// Whether it becomes so within a time that is enough for several looks around.
  bool soon(const std::function<bool()>& condition, milliseconds within = milliseconds{100}) {
    const auto limit = EventLoop::Clock::now() + within;
    bool holds = false;
    return until([&] { return (holds = condition()) || EventLoop::Clock::now() > limit; }) && holds;
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
  FakeAgents agents{folder / "agents", milliseconds{500}};
  Metrics metrics;
  AuditLog audit{folder / "audit.log"};
  Log log{fireclaw::LogLevel::Error, false};
  std::vector<std::string> said;
  std::function<void()> on_say = [] {};
  Crew crew{loop, {2, 2, 10}};
  Supervisor supervisor;
  Desk desk{loop,
            agents,
            crew,
            supervisor,
            metrics,
            audit,
            log,
            [this](const Asker&, std::string_view line) {
              said.emplace_back(line);
              on_say();
            },
            [](const fireclaw::AgentInfo& agent, const std::string& text, const Asker&) {
              return Outcome{true, {agent.nick + " was told " + text}, agent};
            },
            milliseconds{200}};
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
  CHECK(office.says("Agent \"worker\" is resumed"));
  office.take("!say worker hello there");
  CHECK(office.says("worker was told hello there"));
  office.take("!list");
  CHECK(office.says("worker [phi4-mini] (172.16.0.2) running, up "));
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
                  "worker-20260101-000000 --name <new> starts one from it"));
  office.take("!snapshot worker good");
  CHECK(office.says("Agent \"worker\" saved as good"));
  CHECK(office.metrics.text().find("fireclaw_agent_start_seconds_count 2\n") != std::string::npos);
}

TEST_CASE("an agent is known as one when its start is told: it cannot give commands before the next look") {
  Office office;
  bool known = false;
  office.on_say = [&] {
    const auto& traces = office.supervisor.traces();
    known = traces.fit("worker!w@elsewhere") && traces.fit("another!w@172.16.0.2");
  };
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  CHECK(known);
}

TEST_CASE("an agent that began during a look stays known until the next look") {
  Office office;
  const auto knows = [&] { return office.supervisor.traces().fit("late!l@h"); };
  bool kept = false;
  office.supervisor.begin([&] { kept = knows(); });
  fireclaw::AgentInfo late;
  late.nick = "late";
  office.supervisor.know(late);
  office.supervisor.refresh();
  CHECK(office.until([&] { return office.supervisor.has_looked(); }));
  CHECK(kept);
  CHECK(office.until([&] { return !knows(); }));
}

TEST_CASE("what takes long is said to be worked on, once") {
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

TEST_CASE("stopping all reaches agents that are down, and those that wait to be started") {
  Office office{{3, Seconds{0.3}, seconds{300}, milliseconds{20}, milliseconds{20}}};
  office.supervisor.begin();
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.agents.crash("worker");
  CHECK(office.says("Agent \"worker\" died"));
  office.said.clear();
  // Both hands of the crew are busy, so the third one waits.
  office.take("!invoke slow ann");
  office.take("!invoke slow ben");
  CHECK(office.until([&] { return std::ranges::count(office.agents.calls(), "start ben") == 1; }));
  office.take("!invoke quick cleo");
  office.take("!stopall");
  CHECK(office.says("!invoke quick cleo was not begun: !stopall came first"));
  CHECK(office.says("Stopped ann, ben, worker"));
  CHECK_FALSE(office.soon([&] { return office.count("Agent \"worker\"") > 0; }));
  CHECK(office.agents.list().size() == 3);
  for (const auto& info : office.agents.list()) CHECK(info.state == fireclaw::AgentState::Stopped);
  // What is asked for from then on begins.
  office.take("!invoke quick cleo");
  CHECK(office.says("Agent \"cleo\" started"));
}

TEST_CASE("a fork and what is asked of the new agent go in order") {
  Office office;
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  std::counting_semaphore<8> go{0};
  const auto blocked = [&](const std::stop_token&) -> EventLoop::Task {
    go.acquire();
    return {};
  };
  CHECK(office.crew.change({"worker"}, blocked, {}));
  office.take("!fork worker twin");
  office.take("!destroy twin");
  office.loop.after(milliseconds{50}, [&] { go.release(); });
  CHECK(office.says("Agent \"twin\" destroyed"));
  CHECK(office.count("Agent \"twin\" started") == 1);
  CHECK(office.count("There is no agent") == 0);
}

TEST_CASE("a record that cannot be read costs the overseer nothing but a line") {
  Office office;
  std::ofstream{office.folder / "agents" / "torn.json"} << "{";
  office.take("!say torn hi");
  CHECK(office.says("!say torn hi failed: "));
  // It is looked at when that is over.
  office.take("!restart torn");
  CHECK(office.says("!restart torn failed: "));
  CHECK_FALSE(office.soon([&] { return office.said.size() > 2; }));
  std::filesystem::remove(office.folder / "agents" / "torn.json");
}

TEST_CASE("what is missing is named, and is not always the agent") {
  Office office;
  office.take("!invoke shy");
  CHECK(office.says("Agent \"shy\" started"));
  office.take("!memory shy");
  CHECK(office.says("!memory shy failed: no file 'MEMORY.md' in the workspace"));
  const auto file = office.folder / "agents" / "shy.json";
  std::ifstream in{file};
  std::string text{std::istreambuf_iterator<char>{in}, {}};
  text.replace(text.find("\"template\":\"shy\""), 16, "\"template\":\"lost\"");
  std::ofstream{file} << text;
  office.take("!restart shy");
  CHECK(office.says("!restart shy failed: no template 'lost'"));
  CHECK(office.agents.info("shy").state == fireclaw::AgentState::Running);
}

TEST_CASE("many agents are listed on few lines") {
  Office office;
  for (int i = 0; i < 10; ++i) {
    fireclaw::AgentConfig config;
    config.template_name = "quick";
    config.name = "q" + std::to_string(i);
    office.agents.start(config, {});
  }
  office.take("!list");
  CHECK(office.says("q0 [phi4-mini] (172.16.0."));
  CHECK(office.said.size() <= 2);
  std::string all;
  for (const auto& line : office.said) {
    CHECK(line.size() <= 400);
    all += line;
  }
  for (int i = 0; i < 10; ++i) CHECK(all.find("q" + std::to_string(i) + " [phi4-mini]") != std::string::npos);
}

TEST_CASE("agents are talked to under the nick that they have, if they can be") {
  Office office;
  office.take("!invoke muse");
  CHECK(office.says("Agent \"muse\" started"));
  office.take("!say muse hello");
  CHECK(office.says("muse_ was told hello"));
  office.take("!pause muse");
  CHECK(office.says("Agent \"muse\" is paused"));
  office.said.clear();
  office.take("!say muse hello");
  CHECK(office.says("Agent \"muse\" is paused; !resume muse resumes it"));
  office.agents.stop("muse");
  office.take("!say muse hello");
  CHECK(office.says("Agent \"muse\" is not running; !restart muse starts it"));
}

TEST_CASE("however much a guest says of itself, an answer is a line") {
  Office office;
  office.take("!invoke chatty");
  CHECK(office.says("Agent \"chatty\" started"));
  office.said.clear();
  office.take("!status chatty");
  CHECK(office.says("chatty [m] (172.16.0.2) running, on IRC in #ccc"));
  CHECK(office.said.front().size() < 1000);
  CHECK(office.said.front().find(" and 40 more, up ") != std::string::npos);
  CHECK(office.said.front().find(", LLM: 12 requests, 3400 tokens, first token 0.4 s, 2 refused, 1 failed") !=
        std::string::npos);
}

TEST_CASE("what an agent was refused is a line, whatever it called it") {
  Office office;
  office.take("!invoke chatty");
  CHECK(office.says("Agent \"chatty\" started"));
  office.said.clear();
  office.take("!denied chatty");
  CHECK(office.says("3 min"));
  CHECK(office.said.front().find("ago, names: payload.example.org, allowlist · 3 min") != std::string::npos);
  CHECK(office.said.front().find("ago, firewall: tcp 203.0.113.7:443, allowlist (and 7 before)") != std::string::npos);
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.take("!denied worker");
  CHECK(office.says("Agent \"worker\" was refused nothing"));
}

TEST_CASE("an operator lets an agent reach something, and takes it back") {
  Office office;
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.take("!allow worker example.org:443");
  CHECK(office.says("Agent \"worker\" may reach example.org:443; on its list: example.org:443"));
  office.take("!deny worker example.net");
  CHECK(office.says("!deny worker example.net failed: 'example.net' is not on the list of agent 'worker'"));
  office.take("!deny worker example.org:443");
  CHECK(office.says("Agent \"worker\" may not reach example.org:443; on its list: nothing"));
}

TEST_CASE("looking around does not wait for guests that do not answer") {
  Office office;
  std::counting_semaphore<8> go{0};
  for (int i = 0; i < 2; ++i) {
    CHECK(office.crew.ask(
        [&](const std::stop_token&) -> EventLoop::Task {
          go.acquire();
          return {};
        },
        {}));
  }
  office.take("!list");
  office.take("!templates");
  CHECK(office.says("There are no agents."));
  CHECK(office.says("broken [m]: never starts · "));
  CHECK(office.said.back().find(" · worker [qwen2.5:7b] with tools: general work") != std::string::npos);
  go.release(2);
}

TEST_CASE("a change is written down before it is made") {
  Office office;
  office.take("!invoke worker");
  CHECK(office.audit_text().find(R"("command":"!invoke worker","result":"asked")") != std::string::npos);
  CHECK(office.says("Agent \"worker\" started"));
  office.take("!stopall");
  CHECK(office.audit_text().find(R"("command":"!stopall","result":"asked")") != std::string::npos);
  CHECK(office.says("Stopped worker"));
  office.take("!list");
  CHECK(office.audit_text().find(R"("command":"!list","result":"asked")") == std::string::npos);
}

TEST_CASE("what cannot be written down is not done") {
  Office office;
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit full{std::filesystem::file_size(office.folder / "audit.log"), before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &full) == 0);
  office.said.clear();
  for (const auto* command : {"!destroy worker", "!say worker hi", "!list", "!help"}) office.take(command);
  CHECK(office.until([&] { return office.said.size() >= 4; }));
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  for (const auto& line : office.said)
    CHECK(line.find("is not carried out: the audit log cannot be written") != std::string::npos);
  CHECK(office.agents.info("worker").state == fireclaw::AgentState::Running);
  office.take("!destroy worker");
  CHECK(office.says("Agent \"worker\" destroyed"));
}

TEST_CASE("an agent that dies is announced and started again") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.said.clear();
  // What is watched is told apart from what is only found by looking around: that is done every 20 ms here.
  office.agents.crash("worker");
  CHECK(office.says("Agent \"worker\" died: its machine ended unexpectedly. Restarting it in 0 s (1 of 3)"));
  CHECK(office.says("Agent \"worker\" started: worker [qwen2.5:7b] (172.16.0.2)"));
  CHECK(office.agents.info("worker").state == fireclaw::AgentState::Running);
  CHECK(office.metrics.text().find("fireclaw_agent_restarts_total{result=\"done\"} 1") != std::string::npos);
}

TEST_CASE("an agent that cannot be started again is tried for as often as one that dies again, and then left down") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke frail");
  CHECK(office.says("Agent \"frail\" started"));
  office.agents.crash("frail");
  const std::string line = "Agent \"frail\" could not be restarted: start agent 'frail': the engine refused. ";
  CHECK(office.says("Agent \"frail\" died: its machine ended unexpectedly. Restarting it in 0 s (1 of 3)"));
  CHECK(office.says(line + "Trying again in 0 s (2 of 3)"));
  CHECK(office.says(line + "Trying again in 0 s (3 of 3)"));
  CHECK(office.says(line + "It stays down; !restart frail starts it"));
  // Several looks later.
  CHECK_FALSE(office.soon([&] { return office.said.size() > 5; }));
  CHECK(office.agents.info("frail").state == fireclaw::AgentState::Crashed);
}

TEST_CASE("an agent that is removed while it waits to be started again is forgotten without a word") {
  // Long enough to remove it in between, also on a busy machine.
  Office office{{3, Seconds{0.3}, seconds{300}, seconds{60}, milliseconds{0}}};
  office.supervisor.begin();
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.agents.crash("worker");
  CHECK(office.says("Agent \"worker\" died"));
  office.agents.stop("worker");
  office.agents.remove("worker");
  CHECK_FALSE(office.soon([&] { return office.said.size() > 2; }, milliseconds{500}));
}

TEST_CASE("an agent that is about to be ended is not started again") {
  Office office;
  office.supervisor.begin();
  office.take("!invoke slow");
  CHECK(office.says("Agent \"slow\" started"));
  office.agents.crash("slow");
  // It takes long enough to start to be called off.
  CHECK(office.until([&] { return std::ranges::count(office.agents.calls(), "start slow") == 2; }));
  office.supervisor.hold("slow");
  office.crew.stop();
  CHECK(office.says("Agent \"slow\" could not be restarted: stopped"));
  CHECK(office.said.back() == "Agent \"slow\" could not be restarted: stopped");
  office.crew.restart();
  CHECK_FALSE(office.soon([&] { return std::ranges::count(office.agents.calls(), "start slow") > 2; }));
}

TEST_CASE("once it ends the supervisor starts nothing again") {
  Office office{{3, Seconds{0.3}, seconds{300}, milliseconds{20}, milliseconds{20}}};
  office.supervisor.begin();
  office.take("!invoke worker");
  CHECK(office.says("Agent \"worker\" started"));
  office.agents.crash("worker");
  CHECK(office.says("Agent \"worker\" died"));
  office.supervisor.end();
  CHECK_FALSE(
      office.soon([&] { return std::ranges::count(office.agents.calls(), "start worker") > 1; }, milliseconds{500}));
}

TEST_CASE("an agent that somebody else is starting is looked at again soon") {
  Office office{{3, Seconds{0.02}, seconds{300}, seconds{60}, milliseconds{0}}};
  fireclaw::AgentConfig config;
  config.template_name = "worker";
  office.agents.start(config, {});
  office.agents.show_starting("worker", true);
  office.supervisor.begin();
  CHECK(office.until([&] { return !office.supervisor.known().empty(); }));
  office.agents.show_starting("worker", false);
  CHECK(office.until([&] { return office.supervisor.watches("worker"); }));
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
  CHECK_FALSE(office.soon([&] { return office.said.size() > lines; }));
  CHECK(office.said.size() == lines);
  CHECK(office.agents.calls().size() == calls);
}

TEST_CASE("the end of an agent that another process holds is told of once, and left to that process") {
  Office office;
  office.supervisor.begin();
  fireclaw::AgentConfig config;
  config.template_name = "worker";
  config.detached = false;
  office.agents.start(config, {});
  office.supervisor.refresh();
  REQUIRE(office.until([&] { return office.supervisor.watches("worker"); }));
  office.agents.crash("worker");
  CHECK(office.says("Agent \"worker\" died: its machine ended unexpectedly. It was started in the foreground"));
  // Several looks later.
  CHECK_FALSE(office.soon([&] { return office.count("Agent \"worker\" died") > 1; }));
  CHECK(office.count("Agent \"worker\" died") == 1);
  CHECK(office.agents.info("worker").state == fireclaw::AgentState::Crashed);
  // That process has started it again.
  office.agents.start(config, {});
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
  office.agents.start(config, {});
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
  CHECK(office.count("!invoke slow was cancelled: the overseer ends") == 1);
  CHECK(office.count("!restart slow was not begun: the overseer ends") == 1);
  CHECK(office.agents.list().empty());
}
