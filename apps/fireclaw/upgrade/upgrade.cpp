#include <cstdio>

#include <fmt/format.h>

#include "command.hpp"
#include "common/style.hpp"
#include "common/text.hpp"
#include "json_of.hpp"
#include "output.hpp"
#include "upgrade/service_units.hpp"

namespace fireclaw::cli {
namespace {

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
  std::vector<std::string> for_others;
  for (const auto& unit : service_units(context, true)) {
    if (unit.renewed) report.renewed.push_back("unit " + unit.file);
    if (!unit.remedy.empty()) {
      for_others.push_back(fmt::format("'{}' is of an earlier version; run: {}", unit.file, unit.remedy));
    }
  }
  for (const auto& line : for_others) print_message("fireclaw", line);
  if (context.json) {
    print_json(to_json(report));
    return 0;
  }
  for (const auto& what : report.renewed) std::puts(fmt::format("renewed: {}", printable(what)).c_str());
  if (report.renewed.empty() && for_others.empty()) std::puts("nothing is old");
  return 0;
}

}  // namespace

void add_upgrade(CLI::App& app, Context& context, Action& action) {
  auto* command =
      app.add_subcommand("upgrade", "Make again what an earlier version left: images, snapshots, engines, services");
  command->footer(
      "'fireclaw doctor' lists what is old. Agents and machines that run are left alone: they have what they started\n"
      "with until they are started again.\n\n"
      "Examples:\n"
      "  fireclaw upgrade\n"
      "  fireclaw upgrade --json");
  add_json(*command, context);
  command->callback([&context, &action] { action = [&context] { return upgrade(context); }; });
}

}  // namespace fireclaw::cli
