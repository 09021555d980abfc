#include <algorithm>
#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "output.hpp"

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

int doctor(bool json, const Context& context) {
  const auto checks = context.open_host().doctor();
  const bool broken =
      std::ranges::any_of(checks, [](const Check& check) { return check.status == CheckStatus::Missing; });
  if (json) {
    Json list = Json::array();
    for (const auto& check : checks) {
      list.push_back({{"name", check.name},
                      {"status", std::string{word(check.status)}},
                      {"detail", check.detail},
                      {"remedy", check.remedy}});
    }
    print_json({{"ok", !broken}, {"checks", list}});
    return broken ? 1 : 0;
  }
  for (const auto& check : checks) {
    std::puts(fmt::format("{:8} {}: {}", word(check.status), check.name, check.detail).c_str());
    if (!check.remedy.empty()) std::puts(fmt::format("{:8} mend it with: {}", "", check.remedy).c_str());
  }
  return broken ? 1 : 0;
}

}  // namespace

void add_doctor(CLI::App& app, Context& context, Action& action) {
  auto json = std::make_shared<bool>(false);
  auto* command = app.add_subcommand("doctor", "Show what works here, what is missing, and what mends it");
  command->footer("Exit status: 0 if commands can be run, 1 if something needed is missing.");
  command->add_flag("--json", *json, "Print JSON");
  command->callback([json, &context, &action] { action = [json, &context] { return doctor(*json, context); }; });
}

}  // namespace fireclaw::cli
