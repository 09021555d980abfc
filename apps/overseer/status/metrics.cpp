#include "status/metrics.hpp"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "fireclaw/version.hpp"

namespace fireclaw::overseer {
namespace {

std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

class Page {
 public:
  void family(std::string_view name, std::string_view type, std::string_view help) {
    text_ += fmt::format("# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  template <typename Number>
  void value(std::string_view name, std::string_view labels, Number number) {
    text_ += labels.empty() ? fmt::format("{} {}\n", name, number) : fmt::format("{}{{{}}} {}\n", name, labels, number);
  }
  template <typename Number>
  void single(std::string_view name, std::string_view type, std::string_view help, Number number) {
    family(name, type, help);
    value(name, "", number);
  }
  std::string take() { return std::move(text_); }

 private:
  std::string text_;
};

}  // namespace

void Metrics::started(std::chrono::nanoseconds took) {
  const auto seconds = std::chrono::duration<double>{took}.count();
  for (std::size_t i = 0; i < std::size(bounds); ++i) start_buckets_[i] += seconds <= bounds[i] ? 1 : 0;
  ++starts_;
  start_seconds_ += seconds;
}

void Metrics::irc(bool online, std::uint64_t connections) {
  irc_online_ = online;
  irc_connections_ = connections;
}

std::string Metrics::text() const {
  Page page;
  page.family("fireclaw_overseer_info", "gauge", "The overseer's version.");
  page.value("fireclaw_overseer_info", fmt::format("version=\"{}\"", FIRECLAW_VERSION_STRING), 1);

  page.family("fireclaw_agents", "gauge", "Agents by state.");
  constexpr std::pair<AgentState, std::string_view> states[] = {{AgentState::Starting, "starting"},
                                                                {AgentState::Running, "running"},
                                                                {AgentState::Paused, "paused"},
                                                                {AgentState::Stopped, "stopped"},
                                                                {AgentState::Crashed, "crashed"}};
  for (const auto& [state, word] : states) {
    page.value("fireclaw_agents", fmt::format("state=\"{}\"", word),
               std::ranges::count(agents_, state, &AgentInfo::state));
  }
  page.family("fireclaw_agent_memory_bytes", "gauge", "Resident memory of an agent's engine.");
  for (const auto& agent : agents_) {
    if (!agent.vm.empty()) {
      page.value("fireclaw_agent_memory_bytes", fmt::format("agent=\"{}\"", escaped(agent.name)), agent.memory_bytes);
    }
  }
  page.family("fireclaw_agent_cpu_seconds_total", "counter", "CPU time of an agent's engine.");
  for (const auto& agent : agents_) {
    if (!agent.vm.empty()) {
      page.value("fireclaw_agent_cpu_seconds_total", fmt::format("agent=\"{}\"", escaped(agent.name)),
                 std::chrono::duration<double>{agent.cpu_time}.count());
    }
  }
  const auto each_said = [&](auto use) {
    for (const auto& agent : agents_) {
      const auto found = said_.find(agent.name);
      if (found != said_.end() && !agent.vm.empty())
        use(fmt::format("agent=\"{}\"", escaped(agent.name)), found->second);
    }
  };
  page.family("fireclaw_agent_online", "gauge", "Whether an agent says that it is on IRC.");
  each_said([&](const std::string& labels, const Said& said) {
    page.value("fireclaw_agent_online", labels, said.online ? 1 : 0);
  });
  page.family("fireclaw_agent_llm_errors_total", "counter",
              "Questions to an agent's LLM that failed, as the agent "
              "says.");
  each_said([&](const std::string& labels, const Said& said) {
    page.value("fireclaw_agent_llm_errors_total", labels, said.llm_errors);
  });

  page.family("fireclaw_agent_start_seconds", "histogram", "How long starts of agents took.");
  for (std::size_t i = 0; i < std::size(bounds); ++i) {
    page.value("fireclaw_agent_start_seconds_bucket", fmt::format("le=\"{}\"", bounds[i]), start_buckets_[i]);
  }
  page.value("fireclaw_agent_start_seconds_bucket", "le=\"+Inf\"", starts_);
  page.value("fireclaw_agent_start_seconds_sum", "", start_seconds_);
  page.value("fireclaw_agent_start_seconds_count", "", starts_);

  page.single("fireclaw_agent_deaths_total", "counter", "Agents whose machine ended although nobody stopped it.",
              deaths_);
  page.family("fireclaw_agent_restarts_total", "counter", "Attempts to start such an agent again.");
  page.value("fireclaw_agent_restarts_total", "result=\"done\"", restarts_);
  page.value("fireclaw_agent_restarts_total", "result=\"failed\"", failed_restarts_);

  page.family("fireclaw_overseer_commands_total", "counter", "Commands carried out.");
  for (const auto& [key, count] : commands_) {
    page.value("fireclaw_overseer_commands_total", fmt::format("command=\"{}\",result=\"{}\"", key.first, key.second),
               count);
  }
  page.single("fireclaw_overseer_refused_total", "counter", "Commands from people who may not give any.", refused_);
  page.single("fireclaw_overseer_changes", "gauge", "Changes to agents that run or wait.", busy_);
  page.single("fireclaw_overseer_irc_online", "gauge", "Whether the overseer is in its control channel.",
              irc_online_ ? 1 : 0);
  page.single("fireclaw_overseer_irc_connections_total", "counter", "Connections made to the IRC server.",
              irc_connections_);
  return page.take();
}

}  // namespace fireclaw::overseer
