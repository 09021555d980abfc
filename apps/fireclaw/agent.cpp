#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "command.hpp"
#include "common/command_line/network_word.hpp"
#include "common/json_of.hpp"
#include "common/meaning_of.hpp"
#include "common/text/quantities.hpp"
#include "common/text/style.hpp"
#include "guest_text.hpp"
#include "moving.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

std::optional<std::string> if_given(const std::string& text) {
  return text.empty() ? std::nullopt : std::optional{text};
}

/// Settings that can be given at the start and changed later.
struct SettingOptions {
  std::string model;
  std::string persona;
  std::string trigger;

  void add_to(CLI::App& command, const std::string& default_text) {
    command.add_option("--model", model, "LLM" + default_text)->type_name("MODEL");
    command.add_option("--persona", persona, "Persona" + default_text)->type_name("TEXT");
    command
        .add_option("--trigger", trigger,
                    "Lines that it answers: mention (of its nick), all, or a word that they begin with")
        ->type_name("TRIGGER");
  }
  [[nodiscard]] AgentSettings settings(std::optional<bool> tools = {}) const {
    return {if_given(model), if_given(persona), if_given(trigger), tools};
  }
};

struct StartOptions : SettingOptions {
  AgentConfig config;
  AgentStartOptions start;
  std::string memory;
  std::string network;
  std::string join = "60";
  unsigned cpus = 0;
  bool no_snapshot = false;
  bool foreground = false;
};

struct NameOptions {
  std::string name;
  std::string grace = "5";
  std::size_t lines = 0;
  bool follow = false;
};

struct ReloadOptions : SettingOptions {
  std::string name;
  std::optional<bool> tools;
};

Json to_json(const AgentInfo& info) {
  auto out = cli::to_json<AgentInfo>(info);
  if (info.started.time_since_epoch().count() == 0) out["started"] = nullptr;
  return out;
}

/// "worker [qwen2.5:7b] (172.16.0.2)".
std::string in_brief(const AgentInfo& info) {
  auto text = fmt::format("{} [{}]", info.nick, info.model);
  if (!info.address.empty()) text += fmt::format(" ({})", info.address);
  return text;
}

/// `waited`: for it to be on IRC.
void print_started(const AgentInfo& info, bool waited, const Context& context) {
  if (context.json) {
    auto out = to_json(info);
    out["timings_ms"] = timings(info.phases);
    print_json(out);
    return;
  }
  std::puts(printable(fmt::format("Agent \"{}\" started: {}", info.name, in_brief(info))).c_str());
  if (!info.online && (waited || !info.last_error.empty())) {
    print_message("fireclaw", fmt::format("it is not on IRC yet: {}; see: fireclaw doctor",
                                          info.last_error.empty() ? "its server does not answer" : info.last_error));
  }
  if (!context.verbose) return;
  std::string text = "fireclaw:";
  for (const auto& phase : info.phases) text += fmt::format(" {} {}", phase.name, human_duration(phase.duration));
  std::fputs((text + "\n").c_str(), stderr);
}

/// Waits for the agent's end or a signal, and then for it to be stopped in order.
int stay(const AgentManager& agents, const Agent& agent, const Context& context) {
  const auto watch = agent.watch();
  const bool ended = watch.wait(std::chrono::milliseconds::max(), context.stop);
  if (ended) agents.reconcile();
  if (!ended) agent.stop();
  if (!ended) return 0;
  // Its start has been told, so this is not a failure to start; with --json the one document is out.
  print_message("fireclaw", fmt::format("agent '{}' ended: {}", agent.name(), agent.info().last_error));
  return exit_failure;
}

int start(StartOptions options, const Context& context) {
  if (options.config.template_name.empty() && options.config.snapshot.empty()) {
    throw Error{ErrorCode::InvalidArgument,
                "an agent needs TEMPLATE (see: fireclaw agent templates) or --from SNAPSHOT"};
  }
  options.config.settings = options.settings();
  if (!options.memory.empty()) options.config.memory_mib = parse_memory_mib(options.memory);
  if (options.cpus != 0) options.config.cpus = options.cpus;
  if (!options.network.empty()) options.config.network = network_mode_of(options.network);
  options.config.services_only = options.network == services_only;
  options.start.join_timeout = parse_duration(options.join);
  if (options.no_snapshot) options.config.start = StartMode::Cold;
  options.config.detached = !options.foreground;
  options.start.stop = context.stop;
  const auto agents = context.open_host().agents();
  const auto agent = agents.start(options.config, options.start);
  print_started(agent.start_info(), options.start.join_timeout.count() != 0, context);
  std::fflush(stdout);
  return options.foreground ? stay(agents, agent, context) : 0;
}

struct ForkOptions : SettingOptions {
  ForkConfig config;
  AgentStartOptions start;
  std::string first;
  std::string join = "60";
};

int fork(ForkOptions options, const Context& context) {
  options.config.settings = options.settings();
  options.start.join_timeout = parse_duration(options.join);
  options.start.stop = context.stop;
  print_started(context.open_host().agents().open(options.first).fork(options.config, options.start).start_info(),
                options.start.join_timeout.count() != 0, context);
  return 0;
}

struct SnapshotOptions {
  std::string agent;
  std::string name;
  bool replace = false;
};

int snapshot(const SnapshotOptions& options, const Context& context) {
  const auto made =
      context.open_host().agents().open(options.agent).snapshot(options.name, options.replace, context.stop);
  if (context.json) return print_json(cli::to_json(made));
  std::puts(fmt::format("snapshot {}: agent {}, {}", made.name, made.agent, human_bytes(made.bytes)).c_str());
  return 0;
}

int list(const Context& context) {
  const auto all = context.open_host().agents().list();
  if (context.json) {
    Json out = Json::array();
    for (const auto& info : all) out.push_back(to_json(info));
    return print_json(out);
  }
  Table table{{"NAME", "TEMPLATE", "STATE", "MODEL", "ADDRESS", "VM", "CPUS", "MEMORY", "STARTED"}};
  for (const auto& info : all) {
    const bool runs = !info.vm.empty();
    table.add({info.name, info.template_name, std::string{to_string(info.state)}, info.model, info.address, info.vm,
               runs ? std::to_string(info.cpus) : "", runs ? fmt::format("{} MiB", info.memory_mib) : "",
               runs ? iso_time(info.started) : ""});
  }
  table.print();
  return 0;
}

int status(const NameOptions& options, const Context& context) {
  const auto info = context.open_host().agents().open(options.name).status();
  if (context.json) return print_json(to_json(info));
  std::string channels;
  for (const auto& channel : info.channels) channels += (channels.empty() ? "" : " ") + channel;
  const auto line = [](std::string_view name, const std::string& value) {
    if (!value.empty()) std::puts(fmt::format("{:<10} {}", name, printable(value)).c_str());
  };
  line("name", info.name);
  line("template", info.template_name);
  line("state", std::string{to_string(info.state)});
  line("irc", info.vm.empty() ? "" : info.online ? "online, in " + channels : "not connected");
  line("model", info.model);
  line("trigger", info.trigger);
  line("tools", info.tools ? "yes" : "no");
  line("vm", info.vm);
  line("engine", info.engine);
  if (!info.vm.empty()) {
    line("network", std::string{to_string(info.network)} + (info.address.empty() ? "" : " " + info.address) +
                        (info.services_only ? ", the gateway's services only" : ""));
    line("started", iso_time(info.started));
    line("memory", fmt::format("{} of {} MiB resident", info.memory_bytes >> 20, info.memory_mib));
    line("cpu time", human_duration(info.cpu_time));
  }
  line("notice", info.notice);
  line("problem", info.last_error);
  return 0;
}

int templates(const Context& context) {
  const auto all = context.open_host().agents().templates();
  if (context.json) return print_json(cli::to_json(all));
  Table table{{"TEMPLATE", "NICK", "MODEL", "TOOLS", "DESCRIPTION"}};
  for (const auto& from : all) {
    table.add({from.name, from.nick, from.model, from.tools ? "yes" : "no", from.description});
  }
  table.print();
  return 0;
}

int reload(const ReloadOptions& options, const Context& context) {
  const auto settings = options.settings(options.tools);
  if (settings == AgentSettings{}) {
    throw Error{ErrorCode::InvalidArgument, "name what to change: --model, --persona, --trigger or --tools"};
  }
  const auto info = context.open_host().agents().open(options.name).reload(settings);
  if (context.json) return print_json(to_json(info));
  const auto* when = info.vm.empty() ? "takes effect when it is started" : "reloaded";
  std::puts(fmt::format("Agent \"{}\": {}", info.name, when).c_str());
  return 0;
}

int logs(const NameOptions& options, const Context& context) {
  if (options.follow && context.json) {
    throw Error{ErrorCode::InvalidArgument, "--follow does not go with --json; leave out one of them"};
  }
  const auto agent = context.open_host().agents().open(options.name);
  if (context.json) return print_json({{"name", options.name}, {"log", agent.logs(options.lines)}});
  GuestText out;
  if (options.follow) {
    agent.follow_logs(
        options.lines == 0 ? 10 : options.lines, [&](std::string_view text) { out.print(text); }, context.stop);
  } else {
    out.print(agent.logs(options.lines));
  }
  return 0;
}

int reconcile(const Context& context) {
  const auto report = context.open_host().agents().reconcile();
  if (context.json) return print_json(cli::to_json(report));
  const auto line = [](const std::vector<std::string>& names, std::string_view what) {
    for (const auto& name : names) std::puts(fmt::format("{}: {}", name, what).c_str());
  };
  line(report.adopted, "runs");
  line(report.crashed, "was found dead; cleaned up");
  line(report.orphans, "a machine without an agent; ended");
  line(report.busy, "is being started or stopped");
  line(report.silent, "runs but does not answer; left alone");
  return 0;
}

CLI::App* named(CLI::App& group, const std::string& command, const std::string& help, NameOptions& options,
                Context& context) {
  auto* sub = group.add_subcommand(command, help);
  sub->add_option("name", options.name, "Agent name")->required()->type_name("AGENT");
  add_json(*sub, context);
  return sub;
}

void add_start(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<StartOptions>();
  auto* sub = group.add_subcommand("start", "Start an agent");
  sub->footer(
      "Without --foreground the agent runs by itself. With it the command stays, ends when the agent ends (exit\n"
      "status 125), and stops the agent on SIGTERM or Ctrl-C: for systemd, Nomad, Kubernetes.\n\n"
      "Examples:\n"
      "  fireclaw agent start worker\n"
      "  fireclaw agent start coder --name ada --model qwen2.5-coder:14b --memory 1G\n"
      "  fireclaw agent start worker --net services\n"
      "  fireclaw agent start --from before-the-big-change --name ada");
  sub->add_option("template", options->config.template_name, "Template of the agent (see: fireclaw agent templates)")
      ->type_name("TEMPLATE");
  sub->add_option("--from", options->config.snapshot, "Start from this snapshot of an agent instead")
      ->type_name("SNAPSHOT");
  sub->add_option("--name", options->config.name, "Its name, nick and workspace; default: the template's nick")
      ->type_name("NAME");
  options->add_to(*sub, "; default: the template's");
  sub->add_option("--memory", options->memory, "Memory: MiB, or with a unit as in 512M, 2G")->type_name("SIZE");
  sub->add_option("--cpus", options->cpus, meaning_of<VMConfig>("cpus"))->type_name("NUMBER");
  sub->add_option(
         "--net", options->network,
         "Network: nat, services (as nat, but it reaches only the gateway's services, not what the template allows) "
         "or user; default: the template's, or nat")
      ->type_name("nat|user|services");
  sub->add_option("--join-timeout", options->join, "How long to wait for it to be on IRC; 0: not at all")
      ->type_name("TIME")
      ->capture_default_str();
  sub->add_flag("--no-snapshot", options->no_snapshot, "Boot cold");
  sub->add_flag("--foreground", options->foreground, "Stay until the agent ends");
  sub->add_flag("-v,--verbose", context.verbose, "Show how long each part took, and what is logged");
  add_json(*sub, context);
  set_action(*sub, context, action, start, options);
}

void add_fork(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<ForkOptions>();
  auto* sub = group.add_subcommand("fork", "Start a second agent from a running one");
  sub->footer(
      "It has the first one's memory, processes, files and settings, and its own name, address and workspace.\n"
      "The first one is paused for a moment and stays on IRC.\n\n"
      "Examples:\n"
      "  fireclaw agent fork worker ada --model phi4-mini");
  sub->add_option("name", options->first, "The running agent")->required()->type_name("AGENT");
  sub->add_option("new", options->config.name, "The new agent's name, nick and workspace")
      ->required()
      ->type_name("NAME");
  options->add_to(*sub, "; default: the first one's");
  sub->add_option("--join-timeout", options->join, "How long to wait for it to be on IRC; 0: not at all")
      ->type_name("TIME")
      ->capture_default_str();
  sub->add_flag("-v,--verbose", context.verbose, "Show how long each part took, and what is logged");
  add_json(*sub, context);
  set_action(*sub, context, action, fork, options);
}

void add_snapshot_of(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<SnapshotOptions>();
  auto* sub = group.add_subcommand("snapshot", "Save a running agent: memory, processes, disks, settings");
  sub->footer(
      "Agents start from it under any name: fireclaw agent start --from SNAPSHOT --name NAME\n"
      "List and remove it like all snapshots: fireclaw snapshot list, fireclaw snapshot remove SNAPSHOT\n\n"
      "Examples:\n"
      "  fireclaw agent snapshot worker before-the-big-change");
  sub->add_option("name", options->agent, "Agent name")->required()->type_name("AGENT");
  sub->add_option("snapshot", options->name, "The snapshot's name; default: the agent's and the time")
      ->type_name("NAME");
  sub->add_flag("--replace", options->replace, "Replace a snapshot of that name");
  add_json(*sub, context);
  set_action(*sub, context, action, snapshot, options);
}

void add_reload(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<ReloadOptions>();
  auto* sub = group.add_subcommand("reload", "Change an agent's settings; it stays on IRC");
  sub->footer(
      "Other settings stay as they are. A stopped agent has the new ones from its next start.\n\n"
      "Examples:\n"
      "  fireclaw agent reload ada --model phi4-mini\n"
      "  fireclaw agent reload ada --trigger ada! --tools false");
  sub->add_option("name", options->name, "Agent name")->required()->type_name("AGENT");
  options->add_to(*sub, "");
  sub->add_option("--tools", options->tools, "Whether it may use tools")->type_name("true|false");
  add_json(*sub, context);
  set_action(*sub, context, action, reload, options);
}

/// Commands that have no options but --json.
CLI::App* add_listing(CLI::App& group, const std::string& command, const std::string& help, int (*run)(const Context&),
                      Context& context, Action& action) {
  auto* sub = group.add_subcommand(command, help);
  sub->footer(fmt::format("Examples:\n  fireclaw agent {}", command));
  add_json(*sub, context);
  set_action(*sub, context, action, run);
  return sub;
}

int stop(const NameOptions& options, const Context& context) {
  const auto agent = context.open_host().agents().open(options.name);
  agent.stop(parse_duration(options.grace));
  if (context.json) print_json(to_json(agent.info()));
  return 0;
}

int restart(const NameOptions& options, const Context& context) {
  print_started(context.open_host().agents().open(options.name).restart({.stop = context.stop}), true, context);
  return 0;
}

int remove(const NameOptions& options, const Context& context) {
  context.open_host().agents().open(options.name).remove();
  if (context.json) print_json({{"removed", Json::array({options.name})}});
  return 0;
}

int pause(const NameOptions& options, const Context& context) {
  const auto agent = context.open_host().agents().open(options.name);
  agent.pause();
  if (context.json) print_json(to_json(agent.info()));
  return 0;
}

int resume(const NameOptions& options, const Context& context) {
  const auto agent = context.open_host().agents().open(options.name);
  agent.resume();
  if (context.json) print_json(to_json(agent.info()));
  return 0;
}

int memory(const NameOptions& options, const Context& context) {
  const auto text = context.open_host().agents().open(options.name).memory();
  if (context.json) {
    print_json({{"name", options.name}, {"memory", text}});
  } else {
    GuestText{}.print(text);
  }
  return 0;
}

void add_named(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<NameOptions>();
  const auto add = [&](const char* word, const char* help, const char* footer,
                       int (*act)(const NameOptions&, const Context&)) {
    auto* sub = named(group, word, help, *options, context);
    sub->footer(footer);
    set_action(*sub, context, action, act, options);
    return sub;
  };
  add("stop", "Stop an agent: it leaves IRC, and its machine ends",
      "Its workspace and settings stay: 'fireclaw agent restart' starts it again.\n\n"
      "Examples:\n"
      "  fireclaw agent stop ada",
      stop)
      ->add_option("--grace", options->grace, "Time before it is ended by force")
      ->type_name("TIME")
      ->capture_default_str();
  add("restart", "Stop an agent if it runs, and start it with its settings",
      "Examples:\n"
      "  fireclaw agent restart ada",
      restart);
  add("remove", "Remove a stopped agent; its workspace stays",
      "Examples:\n"
      "  fireclaw agent remove ada\n"
      "  fireclaw workspace remove ada",
      remove)
      ->alias("rm");
  add("pause", "Pause an agent's machine",
      "Examples:\n"
      "  fireclaw agent pause ada",
      pause);
  add("resume", "Resume a paused agent",
      "Examples:\n"
      "  fireclaw agent resume ada",
      resume);
  add("status", "Show an agent's state",
      "Examples:\n"
      "  fireclaw agent status ada",
      status);
  auto* log = add("logs", "Show an agent's log",
                  "Examples:\n"
                  "  fireclaw agent logs ada -n 100\n"
                  "  fireclaw agent logs -f ada",
                  logs);
  log->add_option("-n,--lines", options->lines, "Only the last lines")->type_name("NUMBER");
  log->add_flag("-f,--follow", options->follow, "Continue with what it writes");
  add("memory", "Show an agent's MEMORY.md",
      "Examples:\n"
      "  fireclaw agent memory ada",
      memory);
}

}  // namespace

void add_agent(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("agent", "Start, stop and look after agents");
  group->require_subcommand(1);
  add_start(*group, context, action);
  add_fork(*group, context, action);
  add_snapshot_of(*group, context, action);
  add_named(*group, context, action);
  add_reload(*group, context, action);
  add_agent_moves(*group, context, action);
  add_agent_shells(*group, context, action);
  add_listing(*group, "list", "List agents", list, context, action)->alias("ls");
  add_listing(*group, "templates", "List the templates of agents", templates, context, action);
  add_listing(*group, "reconcile", "Compare the records with what runs, and clean up", reconcile, context, action);
  group->footer(
      "An agent is a bot on IRC with its own machine, a language model to think with, and a workspace\n"
      "that outlives the machine. 'fireclaw setup --agents' makes the image that agents run in.\n\n"
      "Examples:\n"
      "  fireclaw agent start worker\n"
      "  fireclaw agent list\n"
      "  fireclaw agent stop worker");
}

}  // namespace fireclaw::cli
