#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "log.hpp"
#include "service/notifier.hpp"
#include "signals.hpp"

namespace fireclaw::overseer {

/// A private IRC server for people and agents of this machine.
struct IrcServerOptions {
  std::uint16_t port = 6667;
  std::vector<std::string> addresses;
  /// Holds its configuration.
  std::filesystem::path folder;
  std::filesystem::path program;
};

/// The configuration that ngircd gets. `as_root`: it will be started by root, and then becomes nobody.
std::string to_ngircd_conf(const IrcServerOptions& options, bool as_root);

/// What the home folder's `config` (config.json) must say for agents to find a server on that port, in one line; empty:
/// they find it. A file that cannot be read is whoever reads it first to complain of.
std::string advice_for_agents(const std::filesystem::path& config, std::uint16_t port);

/// ngircd in $PATH or where Debian puts it. Error(NotFound) naming the package.
std::filesystem::path find_ngircd();

/// Writes the configuration and keeps ngircd running until a signal; returns the exit status.
int run_irc_server(const IrcServerOptions& options, Signals& signals, const Notifier& notifier, const Log& log);

}  // namespace fireclaw::overseer
