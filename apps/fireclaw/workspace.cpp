#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "command.hpp"
#include "common/quantities.hpp"
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
  bool json = false;
};

Json to_json(const WorkspaceInfo& info) {
  return {{"name", info.name},
          {"size_bytes", info.size_bytes},
          {"used_bytes", info.used_bytes},
          {"disk_bytes", info.disk_bytes},
          {"created", iso_time(info.created)},
          {"uid", info.uid},
          {"gid", info.gid},
          {"in_use", info.in_use},
          {"vm", info.vm},
          {"clean", info.clean},
          {"problem", info.problem}};
}

std::string state_of(const WorkspaceInfo& info) {
  if (!info.problem.empty()) return "broken: " + info.problem;
  if (!info.vm.empty()) return "in use by VM " + info.vm;
  if (info.in_use) return "in use";
  return info.clean ? "free" : "free, not clean";
}

int list(const Options& options, const Context& context) {
  const auto workspaces = Workspace::list(context.open_host());
  if (options.json) {
    Json out = Json::array();
    for (const auto& workspace : workspaces) out.push_back(to_json(workspace));
    print_json(out);
    return 0;
  }
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
  const auto info = Workspace::open(context.open_host(), options.name).info();
  if (options.json) {
    print_json(to_json(info));
    return 0;
  }
  print_line("name", info.name);
  print_line("size", human_bytes(info.size_bytes));
  print_line("used", human_bytes(info.used_bytes));
  print_line("on disk", human_bytes(info.disk_bytes));
  print_line("owner", fmt::format("{}:{}", info.uid, info.gid));
  print_line("created", iso_time(info.created));
  print_line("state", state_of(info));
  return 0;
}

void print_made(const Workspace& workspace) {
  std::puts(fmt::format("workspace {}: {}", workspace.name(), human_bytes(workspace.info().size_bytes)).c_str());
}

int create(const Options& options, const Context& context) {
  WorkspaceConfig config;
  config.name = options.name;
  config.size_mib = parse_size_mib(options.size);
  const auto workspace = Workspace::create(context.open_host(), config);
  if (options.json) {
    print_json(to_json(workspace.info()));
  } else {
    print_made(workspace);
  }
  return 0;
}

/// A file that is closed at the end of the scope; "-" is the standard stream instead.
class Stream {
 public:
  Stream(const std::string& file, int flags, int standard) : fd_{standard}, own_{file != "-"} {
    if (!own_) return;
    fd_ = ::open(file.c_str(), flags | O_CLOEXEC, 0600);
    if (fd_ < 0) {
      throw Error{errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io,
                  fmt::format("open '{}': {}", file, std::strerror(errno))};
    }
  }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream() {
    if (own_) ::close(fd_);
  }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  bool own_;
};

int export_to(const Options& options, const Context& context) {
  const auto workspace = Workspace::open(context.open_host(), options.name);
  if (options.file == "-" && ::isatty(STDOUT_FILENO) == 1) {
    throw Error{ErrorCode::InvalidArgument, "a tar is not for a terminal; name a file, or redirect the output"};
  }
  if (options.file == "-") {
    workspace.export_tar(STDOUT_FILENO, context.stop);
    return 0;
  }
  // Complete or not at all: an earlier export under that name is kept until the new one is whole.
  const auto partial = options.file + ".part";
  try {
    const Stream out{partial, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO};
    workspace.export_tar(out.fd(), context.stop);
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
  std::filesystem::rename(partial, options.file);
  return 0;
}

int import_from(const Options& options, const Context& context) {
  const auto host = context.open_host();
  const Stream in{options.file, O_RDONLY, STDIN_FILENO};
  std::optional<Workspace> existing;
  try {
    existing = Workspace::open(host, options.name);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::NotFound) throw;
  }
  if (existing) {
    existing->import_tar(in.fd(), context.stop);
    return 0;
  }
  WorkspaceConfig config;
  config.name = options.name;
  config.size_mib = parse_size_mib(options.size);
  print_made(Workspace::create_from_tar(host, config, in.fd(), context.stop));
  return 0;
}

int check(const Options& options, const Context& context) {
  const auto checked = Workspace::open(context.open_host(), options.name).check();
  if (options.json) {
    print_json({{"repaired", checked.repaired}, {"report", checked.report}});
  } else if (checked.repaired) {
    std::puts(fmt::format("repaired: {}", checked.report).c_str());
  } else {
    std::puts("sound");
  }
  return 0;
}

int resize(const Options& options, const Context& context) {
  auto workspace = Workspace::open(context.open_host(), options.name);
  workspace.resize(parse_size_mib(options.size));
  print_made(workspace);
  return 0;
}

int remove(const Options& options, const Context& context) {
  const auto host = context.open_host();
  for (const auto& name : options.names) Workspace::remove(host, name);
  return 0;
}

int print_copied(const CopyResult& copied) {
  std::puts(
      fmt::format("{} file{}, {}", copied.files, copied.files == 1 ? "" : "s", human_bytes(copied.bytes)).c_str());
  return 0;
}

int push(const Options& options, const Context& context) {
  return print_copied(Workspace::open(context.open_host(), options.name).push(options.from, options.to, context.stop));
}

int pull(const Options& options, const Context& context) {
  return print_copied(Workspace::open(context.open_host(), options.name)
                          .pull(options.from, options.to.empty() ? "." : options.to, context.stop));
}

}  // namespace

void add_workspace(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("workspace", "Disks that outlive machines");
  group->require_subcommand(1);
  group->footer(
      "Everything but check, resize and remove works whether a machine has the workspace or not.\n\n"
      "Examples:\n"
      "  fireclaw workspace create notes --size 256M\n"
      "  fireclaw workspace push notes ./data\n"
      "  fireclaw workspace pull notes MEMORY.md .\n"
      "  fireclaw workspace export notes notes.tar\n"
      "  fireclaw workspace export notes - | fireclaw workspace import copy -");

  const auto options = std::make_shared<Options>();
  const auto add = [&](const char* word, const char* text, int (*act)(const Options&, const Context&)) {
    auto* command = group->add_subcommand(word, text);
    command->callback(
        [options, &context, &action, act] { action = [options, &context, act] { return act(*options, context); }; });
    return command;
  };
  const auto add_name = [&](CLI::App* command) {
    command->add_option("name", options->name, "The workspace's name")->required();
    return command;
  };
  const auto add_json = [&](CLI::App* command) { command->add_flag("--json", options->json, "Print JSON"); };
  const auto add_size = [&](CLI::App* command, const char* text) {
    command->add_option("--size", options->size, text)->type_name("SIZE")->capture_default_str();
  };

  add_json(add("list", "List workspaces", list));
  add_json(add_name(add("show", "Show one", show)));
  auto* create_command = add_name(add("create", "Make one, with an empty memory", create));
  add_size(create_command, "As in 256 (MiB), 512M, 2G; it takes up what is in it");
  add_json(create_command);
  add_name(add("export", "Write all that is in it as a tar", export_to))
      ->add_option("file", options->file, "The tar file; -: standard output")
      ->required();
  auto* import_command = add_name(add("import", "Unpack a tar over it, or make one of a tar", import_from));
  import_command->add_option("file", options->file, "The tar file, plain or compressed; -: standard input")->required();
  add_size(import_command, "Of one that is made");
  add_json(add_name(add("check", "Check the file system, and repair it", check)));
  add_name(add("resize", "Make it larger or smaller", resize))
      ->add_option("size", options->size, "As in 256 (MiB), 512M, 2G")
      ->required();
  add("remove", "Remove workspaces with all in them", remove)
      ->add_option("name", options->names, "The workspaces' names")
      ->required();
  auto* push_command = add_name(add("push", "Copy a file or folder into it", push));
  push_command->add_option("source", options->from, "File or folder here")->required();
  push_command->add_option("target", options->to, "Where to in the workspace; default: its root");
  auto* pull_command = add_name(add("pull", "Copy a file or folder out of it", pull));
  pull_command->add_option("source", options->from, "File or folder in the workspace")->required();
  pull_command->add_option("target", options->to, "Where to; default: here");
}

}  // namespace fireclaw::cli
