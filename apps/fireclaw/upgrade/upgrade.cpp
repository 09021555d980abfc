#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "command.hpp"
#include "common/json_of.hpp"
#include "common/text/style.hpp"
#include "common/text/text.hpp"
#include "output.hpp"
#include "upgrade/service_units.hpp"

namespace fireclaw::cli {
namespace {

/// Returns what is left to do, one line each. Everything else is renewed by then, so that no problem here is an error.
std::vector<std::string> renew_units(const Context& context, UpgradeReport& report) {
  std::vector<std::string> left;
  try {
    for (const auto& unit : service_units(context, true)) {
      if (unit.renewed) report.renewed.push_back("unit " + unit.file);
      if (unit.remedy.empty()) continue;
      left.push_back(fmt::format("'{}' differs from what this version and its settings would write; run: {}", unit.file,
                                 unit.remedy));
    }
  } catch (const Error& problem) {
    left.push_back(fmt::format("unit files were left as they are: {}", problem.what()));
  }
  return left;
}

int upgrade(const Context& context) {
  auto host = context.open_host();
  ProgressPrinter progress;
  UpgradeOptions options;
  options.stop = context.stop;
  options.progress = [&progress](const Progress& step) { progress(step); };
  UpgradeReport report;
  try {
    report = host.upgrade(options);
  } catch (...) {
    progress.finish();
    throw;
  }
  const auto left = renew_units(context, report);
  if (context.json) {
    print_json(to_json(report));
  } else {
    for (const auto& what : report.renewed) std::puts(fmt::format("renewed: {}", printable(what)).c_str());
    if (report.renewed.empty() && left.empty()) std::puts("nothing is old");
  }
  for (const auto& line : left) print_message("fireclaw", line);
  return 0;
}

}  // namespace

void add_upgrade(CLI::App& app, Context& context, Action& action) {
  auto* command =
      app.add_subcommand("upgrade", "Update what an earlier version made: images, snapshots, engines, services");
  command->footer(
      "'fireclaw doctor' lists what is old. Running agents and machines are left alone: they keep what they started "
      "with until their next start.\n\n"
      "Examples:\n"
      "  fireclaw upgrade\n"
      "  fireclaw upgrade --json");
  add_json(*command, context);
  set_action(*command, context, action, upgrade);
}

}  // namespace fireclaw::cli
