#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "fireclaw/agent.hpp"
#include "fireclaw/exec.hpp"
#include "fireclaw/export.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/image.hpp"
#include "fireclaw/machine.hpp"
#include "fireclaw/network.hpp"
#include "fireclaw/pool.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/vm.hpp"
#include "fireclaw/workspace.hpp"

/// @file
/// The collections of a Host: vms(), images(), snapshots(), workspaces() and network(). Each holds only the host, can
/// be copied and kept, and reads nothing until it is asked. Safe from several threads and processes.

namespace fireclaw {

/// Host::vms(): a host's machines.
class FIRECLAW_API VMs {
 public:
  /// Checks the configuration and prepares the machine's folder; nothing runs yet. Error(NotFound) for an unknown image
  /// or snapshot, Error(InvalidArgument) for impossible settings, Error(InvalidState) before setup.
  [[nodiscard]] VM create(VMConfig config = {}, StartOptions options = {}) const;
  /// Creates and starts a machine: create() and VM::start().
  [[nodiscard]] VM run(VMConfig config = {}, StartOptions options = {}) const;
  /// Attaches to a detached machine by its id or name. Error(NotFound) if there is none, or the one with that id has
  /// ended; Error(InvalidState) if the one with that name is stopped, or if the machine belongs to a process or is
  /// still being started.
  [[nodiscard]] VM attach(const std::string& id) const;
  /// All machines whose engine runs, oldest first, those of agents and of other processes included. Host::machines()
  /// also has stopped ones, if they have names.
  [[nodiscard]] std::vector<VMInfo> list() const;
  /// Ends the machine with this id or name, also if another process owns it. Error(NotFound) if there is none,
  /// Error(InvalidState) if the one with that name is stopped.
  void kill(const std::string& id) const;
  /// Starts machines ahead, each within `start_timeout`. Returns at once; they start in the background.
  /// Error(InvalidArgument) for a size out of range; what create() throws for the machine.
  [[nodiscard]] Pool pool(PoolConfig config = {},
                          std::chrono::milliseconds start_timeout = std::chrono::seconds{60}) const;

 private:
  explicit VMs(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::images(): kernels, each with an initramfs and a read-only root file system that all machines share.
class FIRECLAW_API Images {
 public:
  /// Builds an image. An interrupted build leaves none. Error(AlreadyExists) if the name is taken, unless
  /// ImageConfig::replace; Error(NotFound) for a missing source; Error(Io) with what a tool said; Error(Cancelled).
  ImageInfo build(const ImageConfig& config, const BuildOptions& options = {}) const;
  /// All, by name.
  [[nodiscard]] std::vector<ImageInfo> list() const;
  /// One of list(). Error(NotFound) if there is none of that name; Error(Corrupt) if it is torn.
  [[nodiscard]] ImageInfo info(const std::string& name) const;
  /// Removes an image and its snapshots. Running machines are not disturbed. Error(NotFound) if there is none;
  /// Error(InvalidState) if an agent, a machine with a name or a snapshot with a name that a person gave needs it,
  /// unless `force`: then the log says what was removed with it and what can no longer start.
  void remove(const std::string& name, bool force = false) const;

 private:
  explicit Images(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::snapshots(): a host's saved machines.
class FIRECLAW_API Snapshots {
 public:
  /// Boots a machine as `config` says, waits until it is ready, saves it and ends it. With an empty `name` it becomes
  /// the snapshot that VMConfig::snapshot = "" finds; an existing one is kept unless `replace`. Error(AlreadyExists) if
  /// `name` is taken, unless `replace`.
  Snapshot create(const VMConfig& config, const std::string& name = {}, bool replace = false,
                  StartOptions options = {}) const;
  /// The one of that name. Error(NotFound) if there is none.
  [[nodiscard]] Snapshot open(const std::string& name) const;
  /// All, by name; damaged ones are listed as unusable.
  [[nodiscard]] std::vector<SnapshotInfo> list() const;
  /// Makes a snapshot from an archive of Snapshot::export_archive(), plain or compressed. Import only those from people
  /// you trust: an engine runs them. `name` empty: the name in the archive; an automatic snapshot needs one.
  /// Snapshot::info() says whether it can be restored here. Error(Corrupt) or Error(InvalidArgument) if the archive is
  /// damaged or holds anything else; Error(AlreadyExists) if the name is taken, unless `replace`.
  Snapshot import_archive(int fd, const std::string& name = {}, bool replace = false, std::stop_token stop = {}) const;
  /// Removes a snapshot. Machines restored from it are not disturbed. Error(NotFound) if there is none.
  void remove(const std::string& name) const;

 private:
  explicit Snapshots(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::workspaces(): a host's disks that outlive machines.
class FIRECLAW_API Workspaces {
 public:
  /// Makes a workspace. Error(AlreadyExists) if the name is taken; Error(InvalidArgument) for an invalid name or size.
  Workspace create(const WorkspaceConfig& config) const;
  /// Makes a workspace that holds only what is in a tar (plain or compressed), which is read from descriptor `tar` to
  /// its end. A failure leaves none. Throws as create(); Error(Cancelled).
  Workspace create_from_tar(const WorkspaceConfig& config, int tar, std::stop_token stop = {}) const;
  /// The one of that name. Error(NotFound) if there is none, Error(Corrupt) naming the file if its record is torn.
  [[nodiscard]] Workspace open(const std::string& name) const;
  /// All, by name, broken ones included: WorkspaceInfo::problem says what is wrong.
  [[nodiscard]] std::vector<WorkspaceInfo> list() const;
  /// Removes a workspace, also a broken one. Error(NotFound) if there is none, Error(InvalidState) while it is in use.
  void remove(const std::string& name) const;

 private:
  explicit Workspaces(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::network(): the host's side of NetworkMode::Nat: a bridge, one table of firewall rules, a pool of addresses.
/// The first machine brings it up, so nobody needs to call up() before. Calls act on the network namespace of the
/// calling thread. Without CAP_NET_ADMIN there, they act on a namespace that is made for the home folder and connects
/// outside through the thread's.
///
/// Single machines are named by their agent, by their name, or by their id. If an agent and a machine have the same
/// name, the agent is meant.
class FIRECLAW_API Network {
 public:
  /// What is known of it; changes nothing. Error(Corrupt) if config.json or the pool of addresses is torn.
  [[nodiscard]] NetworkInfo info() const;
  /// Makes bridge and firewall if they are missing; mends them if somebody has flushed the rules.
  /// Error(InvalidState) if something is in the way of the bridge or of its subnet; Error(Unsupported) if the kernel,
  /// or the way without CAP_NET_ADMIN, lacks something.
  void up() const;
  /// Removes both, and restores the setting that was changed for them (IP forwarding). False if there was nothing.
  /// Error(InvalidState) while machines are attached.
  bool down() const;
  /// Nat where it can be used, else None. Never User, which reaches the host's own network: ask for it by name. Changes
  /// nothing.
  [[nodiscard]] NetworkChoice best_mode() const;

  /// The last `most` refusals of one machine, oldest first; of all machines if `name` is empty. The gateway logs them
  /// while it runs and keeps about 8 MiB. Empty for an unknown name.
  [[nodiscard]] std::vector<NetworkRefusal> refusals(const std::string& name = {}, std::size_t most = 1000) const;
  /// Delivers refusals that are logged from now on, until the stop.
  void follow_refusals(const std::string& name, const std::function<void(const NetworkRefusal&)>& on_refusal,
                       std::stop_token stop) const;
  /// Lets a machine reach one more destination; see NatOptions::allow. A machine with Egress::None then reaches what
  /// was allowed so and nothing else. For agents and machines with names it also counts for their next starts, and they
  /// need not run. Returns the machine's list. Error(NotFound) for an unknown name; Error(InvalidArgument) for an
  /// invalid destination; Error(PermissionDenied) for a host name that has only private addresses; Error(InvalidState)
  /// if the machine's network is not `nat`, or for a host name if it cannot ask the gateway for names.
  std::vector<std::string> allow(const std::string& name, const std::string& destination) const;
  /// Takes a destination off the list and closes it at once, with the connections to it. If it is a host name, all
  /// destinations that names had opened are closed, and those of the remaining names are opened again. Destinations
  /// that another entry covers stay open. Errors as for allow(); Error(NotFound) also if the destination is not on the
  /// list.
  std::vector<std::string> deny(const std::string& name, const std::string& destination) const;

 private:
  explicit Network(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Runs a command in its own machine, which ends with it.
FIRECLAW_API ExecResult run(const Host& host, ExecOptions options, VMConfig config = {});
/// Runs a shell line, with the guest's /bin/sh -c, likewise.
FIRECLAW_API ExecResult run(const Host& host, std::string line, VMConfig config = {});

}  // namespace fireclaw
