#include <cstdio>
#include <memory>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "command.hpp"
#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "common/text/text.hpp"
#include "kernel_options.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct Options {
  KernelOptions kernel;
  std::string firecracker_sha256;
  std::string boot_timeout;
  bool agents = false;
  bool force = false;
};

/// --firecracker is a program, or the archive of a release where its digest is given.
void apply_firecracker(const Options& options, HostArguments& host, SetupOptions& setup) {
  const bool is_url = host.firecracker.starts_with("http://") || host.firecracker.starts_with("https://");
  if (is_url != !options.firecracker_sha256.empty()) {
    throw Error{ErrorCode::InvalidArgument, is_url ? "--firecracker with a URL needs --firecracker-sha256"
                                                   : "--firecracker-sha256 goes with --firecracker URL"};
  }
  if (!is_url) return;
  setup.firecracker_url = std::exchange(host.firecracker, {});
  setup.firecracker_sha256 = options.firecracker_sha256;
}

/// How each engine is shut in, as doctor finds by starting it.
void print_sandboxes(const Host& host) {
  for (const auto& check : host.doctor()) {
    if (!check.name.starts_with("sandbox of ")) continue;
    std::puts(fmt::format("{}: {}", check.name, printable(check.detail)).c_str());
    if (!check.remedy.empty()) std::puts(fmt::format("  better: {}", printable(check.remedy)).c_str());
  }
}

void print_report(const SetupReport& report) {
  for (const auto& verdict : report.engines) {
    if (verdict.works) {
      std::puts(fmt::format("{}: boots kernel {} in {}", verdict.engine, verdict.kernel_release,
                            human_duration(verdict.boot_time))
                    .c_str());
    } else {
      std::puts(fmt::format("{}: not usable: {}", verdict.engine, printable(verdict.reason)).c_str());
    }
  }
  std::puts(fmt::format("ready: image {}, engine {}, snapshot {}{}{}", report.image, report.engine, report.snapshot,
                        report.agent_image.empty() ? "" : ", agents in " + report.agent_image,
                        report.already_done ? " (nothing had to be done)" : "")
                .c_str());
}

int setup(const Options& options, Context context) {
  SetupOptions setup;
  apply_firecracker(options, context.host, setup);
  if (!options.boot_timeout.empty()) setup.boot_timeout = parse_duration(options.boot_timeout);
  const auto host = context.make_host();
  ProgressPrinter progress;
  setup.kernel = options.kernel.source();
  setup.agents = options.agents;
  setup.force = options.force;
  setup.stop = context.stop;
  setup.progress = [&progress](const Progress& step) { progress(step); };
  SetupReport report;
  try {
    report = Host{host}.setup(setup);
  } catch (...) {
    progress.finish();
    throw;
  }
  if (context.json) return print_json(to_json(report));
  print_sandboxes(host);
  print_report(report);
  return 0;
}

}  // namespace

void add_setup(CLI::App& app, Context& context, Action& action) {
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("setup", "Prepare this machine: kernel, image, engine probe, first snapshot");
  command->footer(
      "Safe to run again: what is done is skipped, and an interrupted setup continues where it was. Needs no root.\n\n"
      "Examples:\n"
      "  fireclaw setup\n"
      "  fireclaw setup --agents\n"
      "  fireclaw setup --kernel ./vmlinux\n"
      "  fireclaw setup --firecracker https://example.org/firecracker-v1.16.1-x86_64.tgz --firecracker-sha256 HEX");
  command
      ->add_option("--firecracker-sha256", options->firecracker_sha256,
                   "SHA-256 of the release's archive if --firecracker is a URL; the archive is fetched and kept")
      ->type_name("HEX");
  command
      ->add_option("--boot-timeout", options->boot_timeout,
                   "How long to wait for a guest that makes no progress; default: 12s with KVM, 90s emulated")
      ->type_name("TIME");
  options->kernel.add_to(*command);
  command->add_flag("--agents", options->agents, "Also build the image that agents run in");
  command->add_flag("--force", options->force, "Repeat steps that are done already");
  add_json(*command, context);
  set_action(*command, context, action, setup, options);
}

}  // namespace fireclaw::cli
