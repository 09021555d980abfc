#include "arguments.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include <fmt/format.h>

#include "common/text/text.hpp"
#include "fireclaw/error.hpp"
#include "log.hpp"

namespace fireclaw::overseer {
namespace {

std::string first_line_of(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  if (!file || !std::getline(file, line) || line.empty()) {
    throw Error{ErrorCode::NotFound, fmt::format("'{}' holds no password on its first line", path)};
  }
  return line;
}

}  // namespace

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool writes_to_journal() {
  struct stat about {};
  return ::fstat(STDERR_FILENO, &about) == 0 &&
         environment("JOURNAL_STREAM") == fmt::format("{}:{}", about.st_dev, about.st_ino);
}

void print_json(const nlohmann::ordered_json& value) {
  const auto text = value.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  std::puts(cli::escape_controls(text).c_str());
}

std::filesystem::path config_file(const Arguments& arguments) {
  if (!arguments.config.empty()) return std::filesystem::absolute(arguments.config);
  const auto usual = cli::home_of(arguments.host) / "overseer.json";
  return std::filesystem::exists(usual) ? usual : std::filesystem::path{};
}

Settings settings_from(const Arguments& arguments) {
  const auto file = config_file(arguments);
  auto settings = file.empty() ? Settings{} : read_settings(file);
  auto& server = settings.server;
  if (arguments.server) server.host = *arguments.server;
  if (arguments.tls && !server.tls) {
    server.tls = true;
    if (server.port == IrcServer{}.port) server.port = 6697;
  }
  if (arguments.port) server.port = *arguments.port;
  if (arguments.tls_ca) server.tls_ca = *arguments.tls_ca;
  if (arguments.nick) settings.identity.nick = *arguments.nick;
  if (arguments.channel) settings.identity.channel = *arguments.channel;
  if (arguments.sasl_user) settings.identity.sasl_user = *arguments.sasl_user;
  if (!arguments.sasl_password_file.empty()) {
    settings.identity.sasl_password = first_line_of(arguments.sasl_password_file);
  }
  if (!arguments.operators.empty()) settings.operators = arguments.operators;
  if (arguments.workers) settings.crew.changes = *arguments.workers;
  if (arguments.metrics) settings.metrics = *arguments.metrics;
  if (arguments.log_level) settings.log_level = log_level_from_string(*arguments.log_level);
  settings.stop_agents = settings.stop_agents || arguments.stop_agents;
  check(settings);
  return settings;
}

std::filesystem::path own_folder(const Arguments& arguments) { return cli::home_of(arguments.host) / "overseer"; }

}  // namespace fireclaw::overseer
