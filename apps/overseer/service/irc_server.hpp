#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "log.hpp"
#include "service/notifier.hpp"
#include "signals.hpp"

namespace fireclaw::overseer {

/// The IRC server to run. InspIRCd answers at once and knows IRCv3; ngIRCd accepts a few lines a second per client.
enum class IrcSoftware { Inspircd, Ngircd };

/// A private IRC server for people and agents of this machine.
struct IrcServerOptions {
  IrcSoftware software = IrcSoftware::Ngircd;
  std::uint16_t port = 6667;
  std::vector<std::string> addresses;
  /// A port on 127.0.0.1 for clients in browsers, with pages of this machine only; 0: none. InspIRCd alone has that.
  std::uint16_t websocket_port = 0;
  /// Holds its configuration.
  std::filesystem::path folder;
  std::filesystem::path program;
};

/// The configurations that they get. `as_root`: it will be started by root, and then becomes nobody. Both name their
/// network "fireclaw", by which clients know that its limits are ours.
std::string to_inspircd_conf(const IrcServerOptions& options, bool as_root);
std::string to_ngircd_conf(const IrcServerOptions& options, bool as_root);

/// What the home folder's `config` (config.json) must say for agents to find a server on that port, in one line; empty:
/// they find it. A file that cannot be read is reported by its first reader.
std::string advice_for_agents(const std::filesystem::path& config, std::uint16_t port);

struct IrcProgram {
  IrcSoftware software;
  std::filesystem::path program;
};
/// InspIRCd, else ngIRCd, in $PATH or where Debian puts them. Error(NotFound) naming the packages.
IrcProgram find_irc_server();

/// Writes the configuration and keeps the server running until a signal; returns the exit status.
int run_irc_server(const IrcServerOptions& options, Signals& signals, const Notifier& notifier, const Log& log);

}  // namespace fireclaw::overseer
