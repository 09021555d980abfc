#include <memory>
#include <string>
#include <vector>

#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "output.hpp"
#include "vm/machines.hpp"

// fireclaw vm stop, pause, resume, kill, remove, rename, snapshot.

namespace fireclaw::cli {
namespace {

struct WhichOptions {
  std::vector<std::string> names;
  std::string grace = "2";
  bool force = false;
  std::string job;
};

void stop(Machines& machines, const std::string& which, const WhichOptions& options) {
  const auto grace = parse_duration(options.grace);
  const auto name = machines.name_of(which);
  if (name.empty()) return machines.host().vms().attach(which).stop(grace);
  machines.manager().stop(name, grace);
}

void pause(Machines& machines, const std::string& which, const WhichOptions&) {
  const auto name = machines.name_of(which);
  if (name.empty()) return machines.host().vms().attach(which).pause();
  machines.manager().pause(name);
}

void resume(Machines& machines, const std::string& which, const WhichOptions&) {
  const auto name = machines.name_of(which);
  if (name.empty()) return machines.host().vms().attach(which).resume();
  machines.manager().resume(name);
}

void kill(Machines& machines, const std::string& which, const WhichOptions& options) {
  if (options.job.empty()) return machines.host().vms().kill(which);
  machines.host().vms().attach(which).stop_service(options.job);
}

void remove(Machines& machines, const std::string& which, const WhichOptions& options) {
  const auto name = machines.name_of(which);
  if (!name.empty()) return machines.manager().remove(name, options.force);
  if (!options.force) {
    throw Error{ErrorCode::InvalidState,
                "VM " + which + " runs; stop it with: fireclaw vm stop " + which + ", or use --force"};
  }
  machines.host().vms().kill(which);
}

struct Verb {
  const char* word;
  const char* help;
  const char* footer;
  /// Key of the list of names in JSON.
  const char* done;
  void (*act)(Machines&, const std::string&, const WhichOptions&);
};

constexpr Verb verbs[] = {
    {"stop", "Stop machines in order",
     "Services and then all processes get SIGTERM, after --grace SIGKILL; file systems are synced. A machine with a "
     "name can be started again, with its scratch disk; one without ends for good.\n\n"
     "Examples:\n"
     "  fireclaw vm stop dev",
     "stopped", stop},
    {"pause", "Stop the CPUs of machines; their memory stays",
     "Examples:\n"
     "  fireclaw vm pause dev",
     "paused", pause},
    {"resume", "Resume machines that are paused",
     "Examples:\n"
     "  fireclaw vm resume dev",
     "resumed", resume},
    {"kill", "End machines at once",
     "What they have written is gone, except on workspaces and on scratch disks of machines with names; these are "
     "checked before they are used again. To end agents in order: fireclaw agent stop.\n\n"
     "Examples:\n"
     "  fireclaw vm kill dev\n"
     "  fireclaw vm kill dev --job job-1\n"
     "  fireclaw vm kill 0123456789abcdef",
     "ended", kill},
    {"remove", "Remove machines and their scratch disks; workspaces stay",
     "Examples:\n"
     "  fireclaw vm remove dev\n"
     "  fireclaw vm rm --force dev",
     "removed", remove},
};

int act_on_all(const Verb& verb, const WhichOptions& options, const Context& context) {
  Machines machines{context};
  return for_each_of(options.names, verb.done, context.json,
                     [&](const std::string& name) { verb.act(machines, machines.meant_by(name), options); });
}

struct RenameOptions {
  std::string name;
  std::string new_name;
};

int rename(const RenameOptions& options, const Context& context) {
  Machines machines{context};
  const auto name = machines.name_of(options.name);
  if (name.empty()) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("VM {} has no name to change", options.name)};
  }
  machines.manager().rename(name, options.new_name);
  if (context.json) print_json(to_json(machines.manager().info(options.new_name)));
  return 0;
}

void add_rename(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<RenameOptions>();
  auto* command = group.add_subcommand("rename", "Give a machine another name");
  command->footer(
      "Its host name stays.\n\n"
      "Examples:\n"
      "  fireclaw vm rename dev old-dev");
  command->add_option("name", options->name, "Machine name or id")->required()->type_name("MACHINE");
  command->add_option("new", options->new_name, "The new name")->required()->type_name("NAME");
  add_json(*command, context);
  set_action(*command, context, action, rename, options);
}

int snapshot(const RenameOptions& options, const Context& context) {
  Machines machines{context};
  const auto saved = machines.host().vms().attach(options.name).snapshot(options.new_name);
  if (context.json) print_json(to_json(saved.info()));
  return 0;
}

void add_snapshot_of(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<RenameOptions>();
  auto* command = group.add_subcommand("snapshot", "Save a running machine: memory, processes, files in memory");
  command->footer(
      "Machines start from it with: fireclaw vm create NAME --snapshot SNAPSHOT. What is on a scratch disk or in a "
      "workspace is not part of a snapshot, so a machine that has one cannot be saved.\n\n"
      "Examples:\n"
      "  fireclaw vm snapshot dev before-upgrade");
  command->add_option("name", options->name, "Machine name or id")->required()->type_name("VM");
  command->add_option("snapshot", options->new_name, "The snapshot's name")->required()->type_name("NAME");
  add_json(*command, context);
  set_action(*command, context, action, snapshot, options);
}

}  // namespace

void add_vm_life(CLI::App& group, Context& context, Action& action) {
  for (const auto& verb : verbs) {
    auto options = std::make_shared<WhichOptions>();
    auto* command = group.add_subcommand(verb.word, verb.help);
    command->footer(verb.footer);
    command->add_option("name", options->names, "Machine names or ids (see: fireclaw vm list)")
        ->required()
        ->type_name("VM");
    if (verb.act == stop) {
      command->add_option("--grace", options->grace, "Time before it is ended by force")
          ->type_name("TIME")
          ->capture_default_str();
    }
    if (verb.act == kill) {
      command->add_option("--job", options->job, "End only this detached command in the machine, in order")
          ->type_name("JOB");
    }
    if (verb.act == remove) {
      command->alias("rm");
      command->add_flag("-f,--force", options->force, "Remove running ones too");
    }
    add_json(*command, context);
    command->callback([&verb, options, &context, &action] {
      action = [&verb, options, &context] { return act_on_all(verb, *options, context); };
    });
  }
  add_rename(group, context, action);
  add_snapshot_of(group, context, action);
}

}  // namespace fireclaw::cli
