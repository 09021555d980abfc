#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "common/command_line/host_arguments.hpp"
#include "service/units.hpp"
#include "settings.hpp"

namespace fireclaw::overseer {

/// The same as fireclaw's.
inline constexpr int exit_failure = 125;

/// The command line's arguments; for the rest the file or the default counts.
struct Arguments {
  cli::HostArguments host;
  std::string config;
  std::optional<std::string> server;
  std::optional<std::uint16_t> port;
  std::optional<std::string> nick;
  std::optional<std::string> channel;
  bool tls = false;
  std::optional<std::string> tls_ca;
  std::optional<std::string> sasl_user;
  std::string sasl_password_file;
  std::vector<std::string> operators;
  std::optional<unsigned> workers;
  std::optional<std::string> metrics;
  std::optional<std::string> log_level;
  bool stop_agents = false;

  bool json = false;
  InstallOptions install;
  std::string unit_folder;
  bool no_enable = false;
  bool renew = false;
  std::uint16_t irc_port = 6667;
  std::vector<std::string> listen;
  std::uint16_t websocket_port = 0;
};

/// Empty if it is not set.
std::string environment(const char* name);
/// Whether standard error goes to the journal, as systemd says it does.
bool writes_to_journal();
void print_json(const nlohmann::ordered_json& value);

/// The file of --config, or overseer.json of the home folder; empty: there is neither.
std::filesystem::path config_file(const Arguments& arguments);
/// That file's settings, overridden by the command line. Error(InvalidArgument), Error(NotFound).
Settings settings_from(const Arguments& arguments);
/// The overseer's folder in the home folder.
std::filesystem::path own_folder(const Arguments& arguments);

}  // namespace fireclaw::overseer
