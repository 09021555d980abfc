#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "common/json_of.hpp"
#include "common/text/style.hpp"
#include "common/text/text.hpp"
#include "output.hpp"
#include "upgrade/service_units.hpp"

namespace fireclaw::cli {
namespace {

std::string_view word(CheckStatus status) {
  switch (status) {
    case CheckStatus::Ok: return "ok";
    case CheckStatus::Warning: return "warning";
    case CheckStatus::Missing: return "missing";
  }
  return "unknown";
}

std::string coloured(CheckStatus status, const Style& style) {
  const auto padded = fmt::format("{:8}", word(status));
  switch (status) {
    case CheckStatus::Ok: return style.good(padded);
    case CheckStatus::Warning: return style.doubtful(padded);
    case CheckStatus::Missing: return style.bad(padded);
  }
  return padded;
}

void add_units(std::vector<Check>& checks, const Context& context) {
  for (const auto& unit : service_units(context, false)) {
    checks.push_back({"service " + std::filesystem::path{unit.file}.stem().native(),
                      unit.is_old ? CheckStatus::Warning : CheckStatus::Ok,
                      unit.is_old ? fmt::format("an earlier version wrote {}", unit.file) : unit.file, unit.remedy});
  }
}

int doctor(const Context& context) {
  auto checks = context.make_host().doctor();
  try {
    add_units(checks, context);
  } catch (const Error& problem) {
    checks.push_back({"services", CheckStatus::Warning, problem.what(), "fireclaw overseer units"});
  }
  const bool broken =
      std::ranges::any_of(checks, [](const Check& check) { return check.status == CheckStatus::Missing; });
  if (context.json) {
    print_json({{"ok", !broken}, {"checks", to_json(checks)}});
    return broken ? 1 : 0;
  }
  const auto style = Style::of(STDOUT_FILENO);
  for (const auto& check : checks) {
    std::puts(fmt::format("{} {}: {}", coloured(check.status, style), check.name, printable(check.detail)).c_str());
    if (!check.remedy.empty()) std::puts(fmt::format("{:8} fix it with: {}", "", check.remedy).c_str());
  }
  return broken ? 1 : 0;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context, Action& action) {
  auto* command = app.add_subcommand("doctor", "Show what works here, what is missing, and how to fix it");
  command->footer(
      "Exit status:\n"
      "  0  Commands can be run.\n"
      "  1  Something needed is missing.\n"
      "\n"
      "Examples:\n"
      "  fireclaw doctor\n"
      "  fireclaw doctor --json");
  add_json(*command, context);
  set_action(*command, context, action, doctor);
}

}  // namespace fireclaw::cli
