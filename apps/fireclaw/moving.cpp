#include "moving.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "archive_file.hpp"
#include "common/json_of.hpp"
#include "common/text/style.hpp"
#include "common/text/text.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct Options {
  std::string name;
  std::string file;
  std::string as;
  std::string template_name;
  bool memory = false;
  bool replace = false;
};

struct FolderOptions {
  std::string folder;
  bool secrets = false;
  bool no_disks = false;
};

int export_agent(const Options& options, const Context& context) {
  const auto agent = context.open_host().agents().open(options.name);
  return write_archive_file(options.file, "agent", options.name, context,
                            [&](int fd) { agent.export_archive(fd, options.memory, context.stop); });
}

int import_agent(const Options& options, const Context& context) {
  const Stream in{options.file, O_RDONLY, STDIN_FILENO};
  const auto made =
      context.open_host().agents().import_archive(in.fd(), {options.as, options.template_name, context.stop});
  if (context.json) return print_json(to_json(made));
  if (!made.memory_left_out.empty()) {
    print_message("fireclaw", fmt::format("its memory was left out: {}", made.memory_left_out));
  }
  const auto start = made.snapshot.empty() ? fmt::format("fireclaw agent restart {}", made.agent)
                                           : fmt::format("fireclaw agent start --from {}", made.snapshot);
  std::puts(fmt::format("Agent \"{}\": start it with: {}", made.agent, start).c_str());
  return 0;
}

int export_snapshot(const Options& options, const Context& context) {
  const auto snapshot = context.open_host().snapshots().open(options.name);
  return write_archive_file(options.file, "snapshot", options.name, context,
                            [&](int fd) { snapshot.export_archive(fd, context.stop); });
}

int import_snapshot(const Options& options, const Context& context) {
  const Stream in{options.file, O_RDONLY, STDIN_FILENO};
  const auto made =
      context.open_host().snapshots().import_archive(in.fd(), options.as, options.replace, context.stop).info();
  if (context.json) return print_json(to_json(made));
  std::puts(fmt::format("snapshot {}: image {}, {}, {}", made.name, printable(made.image), printable(made.engine),
                        human_bytes(made.bytes))
                .c_str());
  if (!made.usable) print_message("fireclaw", fmt::format("it cannot be restored here: {}", made.reason));
  return 0;
}

int print_report(const BackupReport& report, std::string_view what, const std::string& folder, const Context& context) {
  if (context.json) return print_json(to_json(report));
  std::puts(fmt::format("{} {} files, {}: {}", what, report.files.size(), human_bytes(report.bytes), folder).c_str());
  for (const auto& left_out : report.left_out) std::puts(printable("left out: " + left_out).c_str());
  return 0;
}

int backup(const FolderOptions& options, const Context& context) {
  const auto report = context.open_host().back_up(options.folder, {options.secrets, !options.no_disks, context.stop});
  return print_report(report, "saved", options.folder, context);
}

int restore(const FolderOptions& options, const Context& context) {
  return print_report(context.make_host().restore(options.folder, context.stop), "restored", options.folder, context);
}

template <class Given>
void act(CLI::App& command, Context& context, Action& action, const std::shared_ptr<Given>& options,
         int (*run)(const Given&, const Context&)) {
  add_json(command, context);
  set_action(command, context, action, run, options);
}

CLI::App* add_file(CLI::App* command, Options& options, const char* help) {
  command->add_option("file", options.file, help)->required()->type_name("FILE");
  return command;
}

}  // namespace

void add_agent_moves(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<Options>();
  auto* out = group.add_subcommand("export", "Write an agent with its workspace as an archive, also while it runs");
  out->add_option("name", options->name, "Agent name")->required()->type_name("AGENT");
  add_file(out, *options, "The archive; -: standard output");
  out->add_flag("--memory", options->memory, "Include memory and processes; the agent must run");
  out->footer(
      "Writes settings, template and workspace. A running agent is paused while its workspace is copied. Passwords "
      "and keys of its template are left out. With --memory it can continue where it was, on the same engine, CPU and "
      "image.\n\n"
      "Examples:\n"
      "  fireclaw agent export ada ada.tar\n"
      "  fireclaw agent export ada - --memory | zstd > ada.tar.zst");
  act(*out, context, action, options, export_agent);

  auto given = std::make_shared<Options>();
  auto* in = group.add_subcommand("import", "Make an agent from an archive");
  add_file(in, *given, "The archive, plain or compressed; -: standard input");
  in->add_option("--name", given->as, "Name instead of the archive's")->type_name("NAME");
  in->add_option("--template", given->template_name, "Name for its template; default: the archive's")
      ->type_name("NAME");
  in->footer(
      "The new agent is stopped. If the archive has memory that fits here, there is a snapshot instead, to start the "
      "agent from. Import memory only from people you trust.\n\n"
      "Examples:\n"
      "  fireclaw agent import ada.tar.zst --name bob");
  act(*in, context, action, given, import_agent);
}

void add_snapshot_moves(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<Options>();
  auto* out = group.add_subcommand("export", "Write a snapshot as an archive");
  out->add_option("name", options->name, "Snapshot name")->required()->type_name("SNAPSHOT");
  add_file(out, *options, "The archive; -: standard output");
  out->footer(
      "Writes a tar of its files with their SHA-256; holes stay holes. The image is not in it: see fireclaw "
      "image.\n\n"
      "Examples:\n"
      "  fireclaw snapshot export before-upgrade before-upgrade.tar");
  act(*out, context, action, options, export_snapshot);

  auto given = std::make_shared<Options>();
  auto* in = group.add_subcommand("import", "Make a snapshot from an archive");
  add_file(in, *given, "The archive, plain or compressed; -: standard input");
  in->add_option("--name", given->as, "Name instead of the archive's")->type_name("NAME");
  in->add_flag("--replace", given->replace, "Replace a snapshot of that name");
  in->footer(
      "It can be restored with the same image, engine and CPU; 'fireclaw snapshot list' says whether. Import only\n"
      "those from people you trust.\n\n"
      "Examples:\n"
      "  fireclaw snapshot import before-upgrade.tar --name older");
  act(*in, context, action, given, import_snapshot);
}

void add_backup(CLI::App& app, Context& context, Action& action) {
  auto options = std::make_shared<FolderOptions>();
  auto* out = app.add_subcommand("backup", "Copy what cannot be built again to a folder, also while machines run");
  out->add_option("folder", options->folder, "A new or empty folder")->required()->type_name("DIR");
  out->add_flag("--secrets", options->secrets, "Include secrets, passwords and keys, in plain text");
  out->add_flag("--no-disks", options->no_disks, "Leave out workspaces and scratch disks");
  out->footer(
      "Copies configuration, templates, agents, machines with names, workspaces, the overseer's settings and audit "
      "log. Machines are paused while their disks are copied, one after the other. Images are left out: setup builds "
      "them again. Snapshots are left out: save them with fireclaw snapshot export.\n\n"
      "Examples:\n"
      "  fireclaw backup /backup/fireclaw-monday\n"
      "  fireclaw --home /srv/new restore /backup/fireclaw-monday");
  act(*out, context, action, options, backup);

  auto given = std::make_shared<FolderOptions>();
  auto* in = app.add_subcommand("restore", "Put back what 'fireclaw backup' copied");
  in->add_option("folder", given->folder, "The backup")->required()->type_name("DIR");
  in->footer(
      "All files are checked before the first one is written, and nothing is replaced. Restored agents and machines "
      "are stopped. Run 'fireclaw setup --agents' before or after it.\n\n"
      "Examples:\n"
      "  fireclaw restore /backup/fireclaw-monday");
  act(*in, context, action, given, restore);
}

}  // namespace fireclaw::cli
