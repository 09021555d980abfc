#include <csignal>
#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "fireclaw/gateway.hpp"
#include "network/gateway_commands.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

void print(const GatewayInfo& info) {
  if (!info.running) {
    std::puts(info.configured ? "the gateway does not run; the next machine with --net nat starts it"
                              : "there is no gateway: config.json has no section \"gateway\"; see fireclaw-config(5)");
    return;
  }
  for (const auto& problem : info.problems) std::puts(printable(problem).c_str());
  const bool neither = info.address.empty() && info.irc_address.empty();
  const auto both = info.address.empty() || info.irc_address.empty() ? "" : " and ";
  const auto served =
      neither ? "DNS, and neither LLMs nor IRC" : fmt::format("{}{}{}", info.address, both, info.irc_address);
  std::puts(fmt::format("serves {} (process {})", served, info.pid).c_str());
  if (!info.irc_servers.empty()) {
    Table servers{{"IRC SERVER", "ADDRESS", "CONNECTIONS", "OPEN", "ERRORS", "LAST ERROR"}};
    for (const auto& server : info.irc_servers) {
      servers.add({server.name, printable(server.server), std::to_string(server.connections),
                   std::to_string(server.open), std::to_string(server.errors), printable(server.last_error)});
    }
    servers.print();
  }
  if (!info.refusals.empty()) {
    Table refusals{{"REFUSED", "BY", "RULE", "COUNT"}};
    for (const auto& each : info.refusals) refusals.add({each.name, each.by, each.rule, std::to_string(each.count)});
    refusals.print();
  }
  if (info.http.connections != 0) {
    Table http{{"WEB CONNECTIONS", "OPEN", "REFUSED", "ERRORS"}};
    http.add({std::to_string(info.http.connections), std::to_string(info.http.open), std::to_string(info.http.refused),
              std::to_string(info.http.errors)});
    http.print();
  }
  if (info.upstreams.empty()) return;
  Table upstreams{{"LLM SERVER", "URL", "REQUESTS", "ERRORS", "RUNNING", "WAITING", "LAST ERROR"}};
  for (const auto& upstream : info.upstreams) {
    upstreams.add({upstream.name, printable(upstream.url), std::to_string(upstream.requests),
                   std::to_string(upstream.errors), std::to_string(upstream.running), std::to_string(upstream.waiting),
                   printable(upstream.last_error)});
  }
  upstreams.print();
  if (info.agents.empty()) return;
  Table agents{{"AGENT", "REQUESTS", "REFUSED", "ERRORS", "PROMPT TOKENS", "ANSWER TOKENS", "FIRST TOKEN"}};
  for (const auto& agent : info.agents) {
    agents.add({agent.name, std::to_string(agent.requests), std::to_string(agent.refused), std::to_string(agent.errors),
                std::to_string(agent.prompt_tokens), std::to_string(agent.completion_tokens),
                human_duration(agent.first_token)});
  }
  agents.print();
}

int show(const Context& context) {
  const auto info = context.open_host().gateway().info();
  if (context.json) return print_json(to_json(info));
  print(info);
  return 0;
}

int show_metrics(const Context& context) {
  const auto text = context.open_host().gateway().metrics();
  if (context.json) return print_json({{"metrics", text}});
  std::fwrite(text.data(), 1, text.size(), stdout);
  return 0;
}

int serve(const Context& context) {
  // Writing to a connection that is gone is an error like others, also within TLS.
  std::signal(SIGPIPE, SIG_IGN);
  context.open_host().gateway().serve(false, context.stop);
  return 0;
}

}  // namespace

void add_gateway(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("gateway", "Show what agents use through the gateway: LLMs and IRC");
  group->require_subcommand(1);
  const auto add = [&](const char* word, const char* text, const char* footer, int (*act)(const Context&)) {
    auto* command = group->add_subcommand(word, text);
    command->footer(footer);
    set_action(*command, context, action, act);
    return command;
  };
  add_json(*add("status", "Show LLM and IRC servers, and what each agent has used",
                "Examples:\n"
                "  fireclaw gateway status --json",
                show),
           context);
  add_json(*add("metrics", "Print its counters in Prometheus's format",
                "Examples:\n"
                "  fireclaw gateway metrics",
                show_metrics),
           context);
  add("serve", "Run the gateway in the foreground until Ctrl-C",
      "The network starts the gateway by itself. Use this to see what it logs.\n\n"
      "Examples:\n"
      "  fireclaw network down && fireclaw gateway serve -v",
      serve)
      ->add_flag("-v,--verbose", context.verbose, "Show all that is logged");
  group->footer(
      "With a section \"gateway\" in config.json, machines with --net nat ask LLMs and reach IRC through a program "
      "that has\n"
      "the keys and passwords. It passes on /api/chat, /v1/chat/completions, lists of models, and connections to "
      "IRC.\n"
      "It starts with the first machine and ends with: fireclaw network down. Its log is gateway.log in the home "
      "folder.\n\n"
      "Examples:\n"
      "  fireclaw gateway status");
}

}  // namespace fireclaw::cli
