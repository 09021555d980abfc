#include "common/command_line/program.hpp"

#include <cstdio>
#include <memory>
#include <string_view>

#include <fmt/format.h>

#include "common/command_line/help.hpp"
#include "fireclaw/version.hpp"

namespace fireclaw::cli {

void add_basics(CLI::App& app) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_version_flag("--version", fmt::format("fireclaw {}", FIRECLAW_VERSION_STRING), "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.fallthrough();
}

bool answer_script(const CLI::App& app, int argc, const char* const* argv, const Names& names,
                   const std::function<std::vector<PageOf>()>& pages) {
  const std::string_view asked = argc > 1 ? argv[1] : "";
  if (asked == "__complete") {
    std::fputs(to_lines(complete(app, {argv + 2, argv + argc}, names)).c_str(), stdout);
    return true;
  }
  if (asked == "__manual" && argc == 4) {
    for (auto& [command, page] : pages()) {
      page.date = argv[3];
      write_manual(argv[2], page.name, to_manual(*command, page));
    }
    return true;
  }
  return false;
}

}  // namespace fireclaw::cli
