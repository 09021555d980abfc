#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "kernel_options.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct BuildOptions {
  std::string name;
  bool busybox = false;
  bool debian = false;
  bool debian_agent = false;
  std::string suite = "bookworm";
  std::vector<std::string> packages;
  std::string mirror;
  std::string directory;
  std::string tar;
  std::string oci;
  KernelOptions kernel;
  std::string kernel_of;
  bool replace = false;
};

RootSource root_source(const BuildOptions& options) {
  const int given = int{options.busybox} + int{options.debian} + int{options.debian_agent} +
                    int{!options.directory.empty()} + int{!options.tar.empty()} + int{!options.oci.empty()};
  const DebianAgentRoot agent{options.suite, options.packages, options.mirror};
  // That name says it all.
  if (given == 0 && options.name == "debian-agent") return agent;
  if (given != 1) {
    throw Error{ErrorCode::InvalidArgument,
                "say what the image is made from: one of --busybox, --debian, --debian-agent, --dir, --tar, --oci"};
  }
  if (options.debian_agent) return agent;
  if (options.debian) return DebianRoot{options.suite, options.packages, options.mirror};
  if (!options.directory.empty()) return DirectoryRoot{std::filesystem::absolute(options.directory)};
  if (!options.tar.empty()) return TarRoot{std::filesystem::absolute(options.tar)};
  if (!options.oci.empty()) return OciRoot{options.oci};
  return BusyboxRoot{};
}

int build(const BuildOptions& options, const Context& context) {
  const auto host = context.make_host();
  ProgressPrinter progress;
  ImageConfig config;
  config.name = options.name;
  config.root = root_source(options);
  config.kernel = options.kernel_of.empty() ? options.kernel.source() : KernelOfImage{options.kernel_of};
  config.replace = options.replace;
  ImageInfo info;
  try {
    info = host.images().build(config, {[&progress](const Progress& step) { progress(step); }, context.stop});
  } catch (...) {
    progress.finish();
    throw;
  }
  if (context.json) return print_json(to_json(info));
  std::puts(
      fmt::format("image {}: {}, kernel {}, {}", info.name, info.source, info.kernel_release, human_bytes(info.bytes))
          .c_str());
  return 0;
}

int list(const Context& context) {
  const auto images = context.open_host().images().list();
  if (context.json) return print_json(to_json(images));
  Table table{{"NAME", "SIZE", "CREATED", "KERNEL", "SOURCE"}};
  for (const auto& image : images) {
    table.add({image.name, human_bytes(image.bytes), iso_time(image.created), image.kernel_release, image.source});
  }
  table.print();
  return 0;
}

int remove(const std::vector<std::string>& names, bool force, const Context& context) {
  const auto host = context.open_host();
  return for_each_of(names, "removed", context.json,
                     [&](const std::string& name) { host.images().remove(name, force); });
}

}  // namespace

void add_image(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("image", "Build, list and remove images");
  group->require_subcommand(1);
  group->footer(
      "Examples:\n"
      "  fireclaw image build py --debian --package python3,git\n"
      "  fireclaw image list\n"
      "  fireclaw image remove py");

  auto options = std::make_shared<BuildOptions>();
  auto* build_command = group->add_subcommand("build", "Build an image");
  build_command->footer(
      "Needs no root and mounts nothing.\n\n"
      "Examples:\n"
      "  fireclaw image build tiny --busybox\n"
      "  fireclaw image build py --debian --package python3,git\n"
      "  fireclaw image build debian-agent\n"
      "  fireclaw image build alpine --tar alpine-minirootfs.tar.gz\n"
      "  fireclaw image build app --oci oci:./layout:latest");
  build_command->add_option("name", options->name, "Image name")->required()->type_name("NAME");
  build_command->add_flag("--busybox", options->busybox,
                          "From this machine's static busybox: small, and quick to start");
  build_command->add_flag("--debian", options->debian, "Debian, through mmdebstrap");
  build_command->add_flag("--debian-agent", options->debian_agent,
                          "The image of agents: Debian with Python, podman, git, the bot (default for that name)");
  build_command->add_option("--suite", options->suite, "Which Debian")->type_name("SUITE")->capture_default_str();
  build_command->add_option("--package", options->packages, "Debian packages to add, separated by commas")
      ->type_name("PACKAGES")
      ->delimiter(',')
      ->allow_extra_args(false);
  build_command->add_option("--mirror", options->mirror, "Debian mirror; default: this machine's own")
      ->type_name("URL");
  build_command->add_option("--dir", options->directory, "From a folder")->type_name("DIR");
  build_command->add_option("--tar", options->tar, "From a tar file, plain or compressed")->type_name("FILE");
  build_command->add_option("--oci", options->oci, "From an OCI image, as skopeo names it")->type_name("REF");
  options->kernel.add_to(*build_command);
  build_command->add_option("--kernel-of", options->kernel_of, "The kernel of another image")->type_name("IMAGE");
  build_command->add_flag("--replace", options->replace, "Replace an image of that name");
  add_json(*build_command, context);
  set_action(*build_command, context, action, build, options);

  auto* list_command = group->add_subcommand("list", "List images");
  list_command->alias("ls");
  list_command->footer(
      "Examples:\n"
      "  fireclaw image list\n"
      "  fireclaw image list --json");
  add_json(*list_command, context);
  set_action(*list_command, context, action, list);

  auto names = std::make_shared<std::vector<std::string>>();
  auto* remove_command = group->add_subcommand("remove", "Remove images and their snapshots");
  remove_command->alias("rm");
  remove_command->footer(
      "Running machines continue. An image is kept, unless --force is given, if an agent, a machine with a name or a "
      "snapshot with a name needs it.\n\n"
      "Examples:\n"
      "  fireclaw image remove alpine");
  remove_command->add_option("name", *names, "Image name")->required()->type_name("IMAGE");
  auto force = std::make_shared<bool>(false);
  remove_command->add_flag("--force", *force,
                           "Remove it even if something needs it, with the snapshots that need it; says which");
  add_json(*remove_command, context);
  set_action(*remove_command, context, action, remove, names, force);
}

}  // namespace fireclaw::cli
