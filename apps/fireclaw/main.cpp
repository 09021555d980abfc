#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "command.hpp"
#include "signals.hpp"

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

/// On one line whatever was quoted, and without anything that a terminal would obey.
void print_error(std::string_view text) {
  std::string line = "fireclaw: ";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    line += byte < 0x20 || byte == 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  std::fputs((line + "\n").c_str(), stderr);
}

/// `run -- argv...`: CLI11 takes the "--" away, so whether there was one is noted here.
bool has_separator(int argc, char** argv) {
  return std::any_of(argv + 1, argv + argc, [](const char* text) { return std::string_view{text} == "--"; });
}

int parse_and_act(int argc, char** argv, const Signals& signals) {
  Context context;
  context.stop = signals.token();
  context.stop_signal = [&signals] { return signals.signal(); };
  context.argv_form = has_separator(argc, argv);
  if (const char* mode = std::getenv("FIRECLAW_NET")) context.default_network = mode;

  CLI::App app{"Commands and agents in microVMs", "fireclaw"};
  app.set_version_flag("--version", std::string{"fireclaw "} + std::string{version()});
  app.require_subcommand(1);
  app.fallthrough();
  app.add_option("--home", context.home, "Folder for everything; default: $FIRECLAW_HOME or ~/.fireclaw")
      ->type_name("DIR");
  app.add_option("--engine", context.engine, "auto, firecracker, qemu, qemu-kvm or qemu-tcg")
      ->type_name("ENGINE")
      ->capture_default_str();
  app.add_option("--firecracker", context.firecracker, "Firecracker program; default: searched")->type_name("PATH");
  app.add_option("--qemu", context.qemu, "QEMU program; default: searched")->type_name("PATH");

  Action action;
  add_run(app, context, action);
  add_setup(app, context, action);
  add_doctor(app, context, action);
  add_snapshot(app, context, action);
  add_image(app, context, action);
  add_agent(app, context, action);
  add_vm(app, context, action);
  add_network(app, context, action);
  add_workspace(app, context, action);
  add_gc(app, context, action);
  add_bench(app, context, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) return app.exit(problem);
    print_error(fmt::format("{}; see: fireclaw --help", problem.what()));
    return exit_failure;
  }
  return action();
}

}  // namespace

Host Context::open_host() const {
  HostOptions options;
  options.home = std::filesystem::absolute(home.empty() ? default_home() : std::filesystem::path{home});
  options.engine = engine_from_string(engine);
  options.firecracker = firecracker;
  options.qemu = qemu;
  options.tool_environment = proxy_settings();
  if (const char* cache = std::getenv("FIRECLAW_CACHE"); cache != nullptr && *cache != '\0') {
    options.cache = std::filesystem::absolute(cache);
  }
  options.log = [shown = verbose ? LogLevel::Debug : LogLevel::Warning](LogLevel level, std::string_view message) {
    if (level >= shown) print_error(message);
  };
  return Host::open(std::move(options));
}

}  // namespace fireclaw::cli

int main(int argc, char** argv) {
  using namespace fireclaw;
  const cli::Signals signals;
  try {
    return cli::parse_and_act(argc, argv, signals);
  } catch (const Error& problem) {
    cli::print_error(problem.what());
    if (problem.code() == ErrorCode::Cancelled && signals.signal() != 0) return 128 + signals.signal();
  } catch (const std::exception& problem) {
    cli::print_error(problem.what());
  }
  return cli::exit_failure;
}
