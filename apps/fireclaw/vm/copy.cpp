#include <memory>
#include <optional>
#include <string>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "copies.hpp"
#include "output.hpp"
#include "vm/machines.hpp"

// fireclaw vm cp.

namespace fireclaw::cli {
namespace {

struct CopyCommand {
  std::string source;
  std::string target;
  std::string owner;
  std::string mode;
  CopyChoices choices;
};

/// "dev:/etc/hosts".
struct GuestPath {
  std::string machine;
  std::string path;
};

/// nullopt for a path of the host: what stands before a colon is a machine only if it has no slash in it.
std::optional<GuestPath> guest_path(const std::string& word) {
  const auto colon = word.find(':');
  if (colon == std::string::npos || colon == 0 || word.find('/') < colon) return std::nullopt;
  const auto path = word.substr(colon + 1);
  if (!path.starts_with('/')) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}': a path in a machine begins with a slash, as in {}:/{}",
                                                        word, word.substr(0, colon), path.empty() ? "tmp" : path)};
  }
  return GuestPath{word.substr(0, colon), path};
}

int copy(const CopyCommand& command, const Context& context) {
  if (command.source == "-" || command.target == "-") {
    throw Error{ErrorCode::InvalidArgument,
                "a pipe goes by way of tar: tar -c . | fireclaw vm exec NAME tar -x -C /tmp; for a file of this name "
                "write ./-"};
  }
  const auto from = guest_path(command.source);
  const auto to = guest_path(command.target);
  if (from.has_value() == to.has_value()) {
    throw Error{ErrorCode::InvalidArgument,
                "one of the two paths must be in a machine, as in NAME:/path; write ./a:b for a file of the host with "
                "a colon in its name"};
  }
  const Machines machines{context};
  auto vm = machines.attach(from ? from->machine : to->machine);
  auto options = command.choices.options();
  options.owner = command.owner;
  options.mode = parse_mode(command.mode, "--mode");
  if (from && (options.mode || !options.owner.empty())) {
    throw Error{ErrorCode::InvalidArgument, "--chown and --mode are for what is copied into a machine"};
  }
  options.stop = context.stop;
  const auto copied =
      from ? vm.copy_out(from->path, command.target, options) : vm.copy_in(command.source, to->path, options);
  tell_left_out(command.source, copied);
  if (context.json) print_json(to_json(copied));
  return 0;
}

}  // namespace

void add_vm_copy(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<CopyCommand>();
  auto* command = group.add_subcommand("cp", "Copy files and folders into a machine, or out of it");
  command->footer(
      "Copies as cp -a does: folders with their content, into an existing folder or to the given name.\n\n"
      "Examples:\n"
      "  fireclaw vm cp ./src dev:/root\n"
      "  fireclaw vm cp --mode 755 --chown 1000 ./tool dev:/usr/local/bin\n"
      "  fireclaw vm cp dev:/var/log/messages .");
  command->add_option("source", options->source, "A path, or NAME:PATH in a machine")->required()->type_name("PATH");
  command->add_option("target", options->target, "Likewise")->required()->type_name("PATH");
  command->add_option("--chown", options->owner, "Owner of files that are copied into it; default: the image's user")
      ->type_name("USER");
  command->add_option("--mode", options->mode, "Permission bits of files that are copied into it; default: their own")
      ->type_name("MODE");
  options->choices.add_to(*command);
  add_json(*command, context);
  set_action(*command, context, action, copy, options);
}

}  // namespace fireclaw::cli
