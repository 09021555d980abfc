#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "crew/crew.hpp"
#include "crew/supervisor.hpp"
#include "fireclaw/log.hpp"
#include "irc/identity.hpp"
#include "irc/link.hpp"
#include "irc/session.hpp"

namespace fireclaw::overseer {

/// Everything that can be set, by the file and by the command line above it.
struct Settings {
  IrcServer server;
  IrcIdentity identity;
  IrcTimes times;
  IrcPace pace;
  /// Masks and accounts, see Operators.
  std::vector<std::string> operators;
  Crew::Size crew;
  Supervision supervision;
  /// Empty: overseer/audit.log in the home folder.
  std::filesystem::path audit_log;
  /// A loopback address with a port, or the absolute path of a socket; empty: only `fireclaw overseer status` is told.
  std::string metrics;
  /// Stop the agents as well when the overseer is stopped.
  bool stop_agents = false;
  LogLevel log_level = LogLevel::Info;
};

/// Reads a configuration: a JSON object whose members are those that --help lists. Error(InvalidArgument) naming `file`
/// and member for whatever is unknown, of the wrong type or out of range.
Settings parse_settings(std::string_view json, const std::string& file);
/// Error(NotFound) if there is no such file.
Settings read_settings(const std::filesystem::path& file);

/// Checks what one member alone does not show: names that fit IRC, and that a server others can reach has operators.
/// Error(InvalidArgument).
void check(const Settings& settings);

}  // namespace fireclaw::overseer
