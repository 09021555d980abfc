#include "common/command_line/host_arguments.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/engine.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::cli {
namespace {

/// The folder of the user's own, as the environment says, or the user database where it does not.
std::filesystem::path default_home() {
  if (const char* home = std::getenv("FIRECLAW_HOME"); home != nullptr && *home != '\0') return home;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/') {
    return std::filesystem::path{home} / ".fireclaw";
  }
  if (const auto* user = ::getpwuid(::geteuid()); user != nullptr) {
    return std::filesystem::path{user->pw_dir} / ".fireclaw";
  }
  throw Error{ErrorCode::InvalidArgument, "there is no home directory; name a folder with --home"};
}

/// What the tools that fetch things need to know of the way out.
std::vector<std::string> proxy_settings() {
  std::vector<std::string> settings;
  for (const auto* name : {"http_proxy", "https_proxy", "no_proxy", "HTTPS_PROXY", "NO_PROXY"}) {
    if (const char* value = std::getenv(name)) settings.push_back(fmt::format("{}={}", name, value));
  }
  return settings;
}

}  // namespace

void add_host_arguments(CLI::App& app, HostArguments& arguments) {
  app.add_option("--home", arguments.home, "Folder for everything; default: $FIRECLAW_HOME or ~/.fireclaw")
      ->type_name("DIR")
      ->check(CLI::Validator{
          [](const std::string& folder) { return std::string{folder.empty() ? "must not be empty" : ""}; }, ""});
  app.add_option("--engine", arguments.engine, "Engine that runs the machines")
      ->type_name("auto|firecracker|qemu|qemu-kvm|qemu-tcg")
      ->capture_default_str();
  app.add_option("--firecracker", arguments.firecracker, "Firecracker program; default: searched")->type_name("PATH");
  app.add_option("--qemu", arguments.qemu, "QEMU program; default: searched")->type_name("PATH");
}

std::filesystem::path home_of(const HostArguments& arguments) {
  return std::filesystem::absolute(arguments.home.empty() ? default_home() : std::filesystem::path{arguments.home});
}

HostOptions host_options(const HostArguments& arguments, LogSink log) {
  HostOptions options;
  options.home = home_of(arguments);
  options.engine = engine_from_string(arguments.engine);
  options.firecracker = arguments.firecracker;
  options.qemu = arguments.qemu;
  options.tool_environment = proxy_settings();
  if (const char* cache = std::getenv("FIRECLAW_CACHE"); cache != nullptr && *cache != '\0') {
    options.cache = std::filesystem::absolute(cache);
  }
  options.log = std::move(log);
  return options;
}

std::vector<std::string> to_argv(const HostArguments& arguments) {
  std::vector<std::string> argv;
  const auto add = [&](const char* name, const std::string& value) {
    if (!value.empty()) argv.insert(argv.end(), {name, value});
  };
  add("--home", arguments.home);
  if (arguments.engine != "auto") add("--engine", arguments.engine);
  add("--firecracker", arguments.firecracker);
  add("--qemu", arguments.qemu);
  return argv;
}

}  // namespace fireclaw::cli
