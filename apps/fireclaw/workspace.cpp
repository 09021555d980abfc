#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "archive_file.hpp"
#include "command.hpp"
#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "common/text/text.hpp"
#include "copies.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct Options {
  std::string name;
  std::vector<std::string> names;
  std::string file;
  std::string from;
  std::string to;
  std::string size = "64M";
  bool raw = false;
};

std::string state_of(const WorkspaceInfo& info) {
  if (!info.problem.empty()) return "broken: " + info.problem;
  if (!info.vm.empty()) return "in use by VM " + info.vm;
  if (info.in_use) return "in use";
  return info.clean ? "free" : "free, not clean";
}

int list(const Options& /*options*/, const Context& context) {
  const auto workspaces = context.open_host().workspaces().list();
  if (context.json) return print_json(to_json(workspaces));
  Table table{{"NAME", "SIZE", "USED", "ON DISK", "CREATED", "STATE"}};
  for (const auto& w : workspaces) {
    table.add({w.name, human_bytes(w.size_bytes), human_bytes(w.used_bytes), human_bytes(w.disk_bytes),
               w.problem.empty() ? iso_time(w.created) : "", state_of(w)});
  }
  table.print();
  return 0;
}

void print_line(std::string_view what, std::string_view text) { std::puts(fmt::format("{:<9}{}", what, text).c_str()); }

int show(const Options& options, const Context& context) {
  const auto info = context.open_host().workspaces().open(options.name).info();
  if (context.json) return print_json(to_json(info));
  print_line("name", info.name);
  print_line("size", human_bytes(info.size_bytes));
  print_line("used", human_bytes(info.used_bytes));
  print_line("on disk", human_bytes(info.disk_bytes));
  print_line("owner", fmt::format("{}:{}", info.uid, info.gid));
  print_line("created", iso_time(info.created));
  print_line("state", state_of(info));
  return 0;
}

int print_made(const Workspace& workspace, const Context& context) {
  if (context.json) return print_json(to_json(workspace.info()));
  std::puts(fmt::format("workspace {}: {}", workspace.name(), human_bytes(workspace.info().size_bytes)).c_str());
  return 0;
}

int create(const Options& options, const Context& context) {
  WorkspaceConfig config;
  config.name = options.name;
  config.size_mib = parse_size_mib(options.size);
  return print_made(context.make_host().workspaces().create(config), context);
}

int export_to(const Options& options, const Context& context) {
  const auto workspace = context.open_host().workspaces().open(options.name);
  return write_archive_file(options.file, "workspace", options.name, context, [&](int fd) {
    options.raw ? workspace.export_raw_tar(fd, context.stop) : workspace.export_tar(fd, context.stop);
  });
}

int import_from(const Options& options, const Context& context) {
  const auto host = context.make_host();
  const Stream in{options.file, O_RDONLY, STDIN_FILENO};
  std::optional<Workspace> existing;
  try {
    existing = host.workspaces().open(options.name);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::NotFound) throw;
  }
  if (existing) {
    existing->import_tar(in.fd(), context.stop);
    if (context.json) print_json(to_json(existing->info()));
    return 0;
  }
  WorkspaceConfig config;
  config.name = options.name;
  config.size_mib = parse_size_mib(options.size);
  return print_made(host.workspaces().create_from_tar(config, in.fd(), context.stop), context);
}

int check(const Options& options, const Context& context) {
  const auto checked = context.open_host().workspaces().open(options.name).check();
  if (context.json) {
    print_json(to_json(checked));
  } else if (checked.repaired) {
    std::puts(fmt::format("repaired: {}", printable(checked.report)).c_str());
  } else {
    std::puts("sound");
  }
  return 0;
}

int resize(const Options& options, const Context& context) {
  auto workspace = context.open_host().workspaces().open(options.name);
  workspace.resize(parse_size_mib(options.size));
  return print_made(workspace, context);
}

int remove(const Options& options, const Context& context) {
  const auto host = context.open_host();
  return for_each_of(options.names, "removed", context.json,
                     [&](const std::string& name) { host.workspaces().remove(name); });
}

int print_copied(const std::string& source, const CopyResult& copied, const Context& context) {
  tell_left_out(source, copied);
  if (context.json) return print_json(to_json(copied));
  std::puts(
      fmt::format("{} file{}, {}", copied.files, copied.files == 1 ? "" : "s", human_bytes(copied.bytes)).c_str());
  return 0;
}

int push(const Options& options, const Context& context) {
  auto workspace = context.open_host().workspaces().open(options.name);
  return print_copied(options.from, workspace.push(options.from, options.to, context.stop), context);
}

int pull(const Options& options, const Context& context) {
  auto workspace = context.open_host().workspaces().open(options.name);
  return print_copied(options.from, workspace.pull(options.from, options.to.empty() ? "." : options.to, context.stop),
                      context);
}

}  // namespace

void add_workspace(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("workspace", "Make, fill and remove disks that outlive machines");
  group->require_subcommand(1);

  const auto options = std::make_shared<Options>();
  const auto add = [&](const char* word, const char* text, int (*act)(const Options&, const Context&)) {
    auto* command = group->add_subcommand(word, text);
    add_json(*command, context);
    set_action(*command, context, action, act, options);
    return command;
  };
  const auto add_name = [&](CLI::App* command) {
    command->add_option("name", options->name, "Workspace name")->required()->type_name("WORKSPACE");
    return command;
  };
  const auto add_size = [&](CLI::App* command, const char* text) {
    command->add_option("--size", options->size, text)->type_name("SIZE")->capture_default_str();
  };

  add("list", "List workspaces", list)
      ->alias("ls")
      ->footer(
          "Examples:\n"
          "  fireclaw workspace list");
  add_name(add("show", "Show one workspace", show))
      ->footer(
          "Examples:\n"
          "  fireclaw workspace show notes --json");
  auto* create_command = add("create", "Make a workspace", create);
  create_command->add_option("name", options->name, "Workspace name")->required()->type_name("NAME");
  add_size(create_command, "As in 256 (MiB), 512M, 2G; it takes room only for its content");
  create_command->footer(
      "Examples:\n"
      "  fireclaw workspace create notes --size 256M");
  auto* export_command = add_name(add("export", "Write a workspace's content as a tar", export_to));
  export_command->add_option("file", options->file, "The tar file; -: standard output")->required()->type_name("FILE");
  export_command->add_flag("--raw", options->raw,
                           "Include device nodes, set-id bits and capabilities, which give rights if root unpacks the "
                           "tar");
  export_command->footer(
      "Examples:\n"
      "  fireclaw workspace export notes notes.tar\n"
      "  fireclaw workspace export notes - | fireclaw workspace import copy -");
  auto* import_command = add_name(add("import", "Unpack a tar over a workspace, or make one from it", import_from));
  import_command->add_option("file", options->file, "The tar file, plain or compressed; -: standard input")
      ->required()
      ->type_name("FILE");
  add_size(import_command, "Size of a new workspace");
  import_command->footer(
      "Examples:\n"
      "  fireclaw workspace import notes notes.tar.gz");
  add_name(add("check", "Check a workspace's file system, and repair it", check))
      ->footer(
          "Refused while a machine has the workspace.\n\n"
          "Examples:\n"
          "  fireclaw workspace check notes");
  auto* resize_command = add_name(add("resize", "Make a workspace larger or smaller", resize));
  resize_command->add_option("size", options->size, "As in 256 (MiB), 512M, 2G")->required()->type_name("SIZE");
  resize_command->footer(
      "Refused while a machine has the workspace.\n\n"
      "Examples:\n"
      "  fireclaw workspace resize notes 1G");
  auto* remove_command = add("remove", "Remove workspaces and their content", remove);
  remove_command->alias("rm");
  remove_command->add_option("name", options->names, "Workspace name")->required()->type_name("WORKSPACE");
  remove_command->footer(
      "Refused while a machine has the workspace.\n\n"
      "Examples:\n"
      "  fireclaw workspace remove notes copy");
  auto* push_command = add_name(add("push", "Copy a file or folder into a workspace", push));
  push_command->add_option("source", options->from, "File or folder here")->required()->type_name("PATH");
  push_command->add_option("target", options->to, "Target in the workspace; default: its root")->type_name("TARGET");
  push_command->footer(
      "Examples:\n"
      "  fireclaw workspace push notes ./data\n"
      "  fireclaw workspace push notes today.md memory/today.md");
  auto* pull_command = add_name(add("pull", "Copy a file or folder out of a workspace", pull));
  pull_command->add_option("source", options->from, "File or folder in the workspace")->required()->type_name("SOURCE");
  pull_command->add_option("target", options->to, "Target here; default: the current folder")->type_name("PATH");
  pull_command->footer(
      "Examples:\n"
      "  fireclaw workspace pull notes MEMORY.md .");
  group->footer(
      "While a machine has a workspace, check, resize and remove refuse it; all other commands work.\n\n"
      "Examples:\n"
      "  fireclaw workspace create notes --size 256M\n"
      "  fireclaw workspace push notes ./data\n"
      "  fireclaw workspace export notes notes.tar");
}

}  // namespace fireclaw::cli
