#include "gateway/records/counters.hpp"

#include <string_view>

#include <fmt/format.h>

namespace fireclaw::gateway {
namespace {

constexpr double us_per_second = 1e6;

const std::string& name_of(const AgentCounts& counts) { return counts.agent.name; }
const std::string& name_of(const auto& counts) { return counts.name; }

/// Names are checked where they come from, and hold nothing to be escaped.
template <class Counts, class Read>
void family(std::string& text, const std::vector<Counts>& all, std::string_view label, std::string_view name,
            std::string_view type, std::string_view help, Read read) {
  text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n", name, help, type);
  for (const auto& counts : all)
    text += fmt::format("{}{{{}=\"{}\"}} {}\n", name, label, name_of(counts), read(counts));
}

}  // namespace

GatewayAgent to_agent(const AgentCounts& counts) {
  const auto milliseconds = [](std::uint64_t us) {
    return std::chrono::round<std::chrono::milliseconds>(std::chrono::microseconds{us});
  };
  auto agent = counts.agent;
  agent.first_token = milliseconds(counts.answers == 0 ? 0 : counts.first_token_us / counts.answers);
  agent.longest_first_token = milliseconds(counts.longest_first_token_us);
  return agent;
}

std::string to_metrics(const Status& status) {
  std::string text;
  const auto agents = [&](std::string_view name, std::string_view type, std::string_view help, auto read) {
    family(text, status.agents, "agent", name, type, help, read);
  };
  agents("fireclaw_llm_requests_total", "counter", "Requests to LLMs that were passed on.",
         [](const AgentCounts& counts) { return counts.agent.requests; });
  agents("fireclaw_llm_refused_total", "counter", "Requests to LLMs that were not passed on.",
         [](const AgentCounts& counts) { return counts.agent.refused; });
  agents("fireclaw_llm_errors_total", "counter", "Requests to LLMs that failed.",
         [](const AgentCounts& counts) { return counts.agent.errors; });
  agents("fireclaw_llm_prompt_tokens_total", "counter", "Tokens sent to LLMs.",
         [](const AgentCounts& counts) { return counts.agent.prompt_tokens; });
  agents("fireclaw_llm_completion_tokens_total", "counter", "Tokens that LLMs answered.",
         [](const AgentCounts& counts) { return counts.agent.completion_tokens; });
  text +=
      "# HELP fireclaw_llm_first_token_seconds Time until an answer began.\n"
      "# TYPE fireclaw_llm_first_token_seconds summary\n";
  for (const auto& counts : status.agents) {
    text += fmt::format(
        "fireclaw_llm_first_token_seconds_sum{{agent=\"{0}\"}} {1}\n"
        "fireclaw_llm_first_token_seconds_count{{agent=\"{0}\"}} {2}\n",
        counts.agent.name, static_cast<double>(counts.first_token_us) / us_per_second, counts.answers);
  }
  const auto upstreams = [&](std::string_view name, std::string_view type, std::string_view help, auto read) {
    family(text, status.upstreams, "upstream", name, type, help, read);
  };
  upstreams("fireclaw_llm_upstream_requests_total", "counter", "Requests that an LLM server was sent.",
            [](const GatewayUpstream& upstream) { return upstream.requests; });
  upstreams("fireclaw_llm_upstream_errors_total", "counter", "Requests that an LLM server did not answer as a whole.",
            [](const GatewayUpstream& upstream) { return upstream.errors; });
  upstreams("fireclaw_llm_upstream_running", "gauge", "Requests that an LLM server is answering.",
            [](const GatewayUpstream& upstream) { return upstream.running; });
  upstreams("fireclaw_llm_upstream_waiting", "gauge", "Requests that wait for their turn.",
            [](const GatewayUpstream& upstream) { return upstream.waiting; });
  const auto irc = [&](std::string_view name, std::string_view type, std::string_view help, auto read) {
    family(text, status.irc, "server", name, type, help, read);
  };
  irc("fireclaw_irc_connections_total", "counter", "Connections of agents to an IRC server.",
      [](const GatewayIrcServer& server) { return server.connections; });
  irc("fireclaw_irc_errors_total", "counter", "Connections that an IRC server did not accept, or cut off.",
      [](const GatewayIrcServer& server) { return server.errors; });
  irc("fireclaw_irc_open", "gauge", "Connections of agents that are open.",
      [](const GatewayIrcServer& server) { return server.open; });
  const auto http = [&](std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} {2}\n{0} {3}\n", name, help, type, value);
  };
  http("fireclaw_http_connections_total", "counter", "Connections to the HTTP proxy.", status.http.connections);
  http("fireclaw_http_refused_total", "counter", "Connections to the HTTP proxy that were refused.",
       status.http.refused);
  http("fireclaw_http_errors_total", "counter", "Connections to the HTTP proxy whose server could not be reached.",
       status.http.errors);
  http("fireclaw_http_open", "gauge", "Connections to the HTTP proxy that are open.", status.http.open);
  text +=
      "# HELP fireclaw_refused_total What machines were refused.\n"
      "# TYPE fireclaw_refused_total counter\n";
  for (const auto& [name, by, rule, count] : status.refused) {
    text += fmt::format("fireclaw_refused_total{{agent=\"{}\",by=\"{}\",rule=\"{}\"}} {}\n", name, by, rule, count);
  }
  return text;
}

}  // namespace fireclaw::gateway
