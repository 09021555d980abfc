#include "upgrade/service_units.hpp"

#include <filesystem>
#include <utility>

#include "common/json_of.hpp"
#include "common/processes/child.hpp"

namespace fireclaw::cli {

std::vector<ServiceUnit> service_units(const Context& context, bool renew) {
  const auto program = std::filesystem::read_symlink("/proc/self/exe").replace_filename("fireclaw-overseer");
  if (!std::filesystem::exists(program)) return {};
  std::vector<std::string> argv{program.native()};
  const auto host = to_argv(context.host);
  argv.insert(argv.end(), host.begin(), host.end());
  argv.insert(argv.end(), {"units", "--json"});
  if (renew) argv.emplace_back("--renew");
  std::vector<ServiceUnit> units;
  for (const auto& one : Json::parse(output_of(std::move(argv)))) {
    units.push_back({one.at("unit").get<std::string>(), one.at("old").get<bool>(), one.at("renewed").get<bool>(),
                     one.at("remedy").get<std::string>()});
  }
  return units;
}

}  // namespace fireclaw::cli
