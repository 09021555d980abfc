#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "json_of.hpp"
#include "kernel_options.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

struct Options {
  KernelOptions kernel;
  bool agents = false;
  bool force = false;
};

void print_report(const SetupReport& report) {
  for (const auto& verdict : report.engines) {
    if (verdict.works) {
      std::puts(fmt::format("{}: boots kernel {} in {}", verdict.engine, verdict.kernel_release,
                            human_duration(verdict.boot_time))
                    .c_str());
    } else {
      std::puts(fmt::format("{}: not usable: {}", verdict.engine, verdict.reason).c_str());
    }
  }
  std::puts(fmt::format("ready: image {}, engine {}, snapshot {}{}{}", report.image, report.engine, report.snapshot,
                        report.agent_image.empty() ? "" : ", agents in " + report.agent_image,
                        report.already_done ? " (nothing had to be done)" : "")
                .c_str());
}

int setup(const Options& options, const Context& context) {
  const auto host = context.make_host();
  ProgressPrinter progress;
  SetupOptions setup;
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
  if (!context.json) {
    print_report(report);
    return 0;
  }
  print_json(to_json(report));
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
      "  fireclaw setup --kernel ./vmlinux");
  options->kernel.add_to(*command);
  command->add_flag("--agents", options->agents, "Also build the image that agents run in");
  command->add_flag("--force", options->force, "Do every step again");
  add_json(*command, context);
  command->callback(
      [options, &context, &action] { action = [options, &context] { return setup(*options, context); }; });
}

}  // namespace fireclaw::cli
