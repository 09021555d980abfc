#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::overseer {

/// Lines of a service for systemd.
struct Unit {
  /// Without ".service".
  std::string name;
  std::string description;
  /// Program and arguments.
  std::vector<std::string> command;
  /// What the service may write to.
  std::filesystem::path home;
  /// Folders outside of that which it may write to as well.
  std::vector<std::filesystem::path> writes_to;
  /// Looks after machines: needs KVM, network devices, and lets the machines live on when it ends.
  bool runs_machines = false;
  /// Units to start after, e.g. "fireclaw-irc.service". They are stopped after this one.
  std::string after;
  /// The service that machines are in, which outlive the one that starts them. It waits until it is stopped, and then
  /// runs the command, which ends them.
  bool holds_machines = false;
  /// The owner of the home folder; the service runs as this user. Empty: root.
  std::string user;
  /// Groups beside the user's own, e.g. "kvm".
  std::vector<std::string> groups;
};

/// Sets `unit.user`, and `unit.groups` to those that may use the devices of machines, by the home folder's owner.
/// Error(NotFound) if the owner has no name.
void run_as_owner(Unit& unit);

/// The command of a unit file that to_unit_file() wrote, of this version or an earlier one; empty: it is none of these.
std::vector<std::string> unit_command(std::string_view file);

/// The unit file. `user_manager`: for systemd --user, which grants no capabilities and knows fewer ways to confine.
std::string to_unit_file(const Unit& unit, bool user_manager);

struct InstallOptions {
  /// For the user's own service manager instead of the system's.
  bool user = false;
  /// Where the file goes; empty: where the manager looks.
  std::filesystem::path folder;
  /// Start it now and at boot.
  bool enable = true;
};

/// How long a unit that runs machines has to stop.
inline constexpr std::chrono::seconds machines_stop_limit{180};

/// Error(PermissionDenied), with what to do instead, for what root alone may do.
void require_manager(const InstallOptions& options, bool as_root);

/// Writes the unit file and, if wanted, enables the service and starts it, again if it runs; returns the file.
/// Error(PermissionDenied) as above; Error(Io) if systemctl failed, which has then said why.
std::filesystem::path install(const Unit& unit, const InstallOptions& options);

/// Writes the unit file alone: what runs continues as it is. Errors as install().
void rewrite(const Unit& unit, const InstallOptions& options);

/// Where the unit file of that name (without ".service") is or would be.
std::filesystem::path unit_file(const std::string& name, const InstallOptions& options);

/// What install() made: stops and disables the service, unless `enable` is false, and removes its file. False if there
/// is none. Errors as install().
bool uninstall(const std::string& name, const InstallOptions& options);

}  // namespace fireclaw::overseer
