#include "network/rules.hpp"

#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct LogOptions {
  std::string name;
  std::size_t lines = 50;
  bool follow = false;
};

/// "tcp example.org (203.0.113.7:443)", as far as it is known.
std::string destination_of(const NetworkRefusal& refusal) {
  auto address = refusal.address;
  if (refusal.port != 0) address += fmt::format(":{}", refusal.port);
  const auto name = printable(refusal.name);
  auto text = name.empty() || address.empty() ? name + address : fmt::format("{} ({})", name, address);
  if (!refusal.protocol.empty()) text = fmt::format("{} {}", refusal.protocol, text);
  return text;
}

std::string line_of(const NetworkRefusal& refusal) {
  const auto& whose = !refusal.agent.empty() ? refusal.agent : !refusal.vm_name.empty() ? refusal.vm_name : refusal.vm;
  const auto what = destination_of(refusal);
  auto line = fmt::format("{} {} {}{}{} ({}): {}", iso_time(refusal.time), whose, refusal.by, what.empty() ? "" : " ",
                          what, refusal.rule, printable(refusal.reason));
  if (refusal.unwritten != 0) line += fmt::format(" [{} before it are not here]", refusal.unwritten);
  return line;
}

int show_log(const Context& context, const LogOptions& options) {
  const auto host = context.open_host();
  const auto found = host.network().refusals(options.name, options.lines);
  if (context.json && !options.follow) return print_json(to_json(found));
  const auto print = [&](const NetworkRefusal& refusal) {
    std::puts((context.json ? to_json(refusal).dump() : line_of(refusal)).c_str());
    std::fflush(stdout);
  };
  for (const auto& refusal : found) print(refusal);
  if (options.follow) host.network().follow_refusals(options.name, print, context.stop);
  return 0;
}

using Change = std::vector<std::string> (Network::*)(const std::string&, const std::string&) const;

int change(const Context& context, Change act, const std::string& name, const std::string& destination) {
  const auto list = (context.open_host().network().*act)(name, destination);
  if (context.json) {
    print_json({{"name", name}, {"allow", list}});
  } else if (list.empty()) {
    std::puts(fmt::format("{}: nothing is on its list", name).c_str());
  } else {
    std::puts(fmt::format("{}: {}", name, fmt::join(list, ", ")).c_str());
  }
  return 0;
}

}  // namespace

void add_network_rules(CLI::App& group, Context& context, Action& action) {
  auto* log = group.add_subcommand("log", "Show what machines were refused, and by which rule");
  const auto options = std::make_shared<LogOptions>();
  log->add_option("name", options->name, "Only of this agent or machine")->type_name("AGENT|VM");
  log->add_option("-n,--lines", options->lines, "Only the last ones")->type_name("COUNT")->capture_default_str();
  log->add_flag("-f,--follow", options->follow, "Continue with new ones until Ctrl-C");
  add_json(*log, context);
  log->footer(
      "A machine's repeated refusal is logged once a minute. With -f, --json prints one object per line.\n\n"
      "Examples:\n"
      "  fireclaw network log -f worker\n"
      "  fireclaw network log --json");
  log->callback([&context, &action, options] { action = [&context, options] { return show_log(context, *options); }; });

  const auto add = [&](const char* word, const char* text, const char* footer, Change act) {
    auto* command = group.add_subcommand(word, text);
    const auto name = std::make_shared<std::string>();
    const auto destination = std::make_shared<std::string>();
    command->add_option("name", *name, "An agent, or a machine's name or id")->type_name("AGENT|VM")->required();
    command->add_option("destination", *destination, "CIDR, address or host name, each with or without :PORT")
        ->type_name("DESTINATION")
        ->required();
    add_json(*command, context);
    command->footer(footer);
    command->callback([&context, &action, act, name, destination] {
      action = [&context, act, name, destination] { return change(context, act, *name, *destination); };
    });
  };
  add("allow", "Let a machine reach a destination, while it runs",
      "Agents and machines with names keep it for their next starts.\n\n"
      "Examples:\n"
      "  fireclaw network allow worker example.org:443\n"
      "  fireclaw network allow worker '*.example.org'",
      &Network::allow);
  add("deny", "Take a destination off a machine's list, while it runs",
      "The destination is closed at once, with the connections to it.\n\n"
      "Examples:\n"
      "  fireclaw network deny worker example.org:443",
      &Network::deny);
}

}  // namespace fireclaw::cli
