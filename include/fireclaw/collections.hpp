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
/// What a Host has: vms(), images(), snapshots(), workspaces() and network(). Each holds the host and nothing else, can
/// be copied and kept, and reads nothing until it is asked. Safe from several threads and processes.

namespace fireclaw {

/// Host::vms(): a host's machines.
class FIRECLAW_API VMs {
 public:
  /// Checks the configuration and prepares the machine's folder; nothing runs yet. Error(NotFound) for an unknown image
  /// or snapshot, Error(InvalidArgument) for settings that are impossible, Error(InvalidState) before setup.
  [[nodiscard]] VM create(VMConfig config = {}, StartOptions options = {}) const;
  /// A machine that runs: create() and VM::start().
  [[nodiscard]] VM run(VMConfig config = {}, StartOptions options = {}) const;
  /// Attaches to a detached machine by its id or name. Error(NotFound) if there is none or the one of that id has
  /// ended, Error(InvalidState) if the one of that name is stopped, or it belongs to a process or is still being
  /// started.
  [[nodiscard]] VM attach(const std::string& id) const;
  /// All whose engine runs, oldest first, also those of agents and of other processes. Machines with names that are
  /// stopped are in Host::machines().
  [[nodiscard]] std::vector<VMInfo> list() const;
  /// Ends the machine with this id or name, also one that another process owns. Error(NotFound) if there is none,
  /// Error(InvalidState) if the one of that name is stopped.
  void kill(const std::string& id) const;
  /// Machines that are started ahead, each within `start_timeout`. Returns at once; they start in the background.
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
  /// Builds one. Error(AlreadyExists) if the name is taken, unless ImageConfig::replace; Error(NotFound) for a source
  /// that is not there; Error(Io) with what a tool said; Error(Cancelled). An interrupted build leaves no image.
  ImageInfo build(const ImageConfig& config, const BuildOptions& options = {}) const;
  /// All, by name.
  [[nodiscard]] std::vector<ImageInfo> list() const;
  /// One of list(). Error(NotFound) if there is none of that name; Error(Corrupt) if it is torn.
  [[nodiscard]] ImageInfo info(const std::string& name) const;
  /// Removes an image. Error(NotFound) if there is none. Machines that run from it are not disturbed. Its snapshots can
  /// no longer be restored and are removed too. Error(InvalidState) if snapshots that a person has named, agents or
  /// machines with names need it, unless `force`: then the log says what went along and what can no longer start.
  void remove(const std::string& name, bool force = false) const;

 private:
  explicit Images(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::snapshots(): a host's saved machines.
class FIRECLAW_API Snapshots {
 public:
  /// Boots a machine as `config` says, waits until it is ready, saves it and ends it. With an empty `name` it
  /// becomes the one that VMConfig::snapshot = "" finds; one that exists already is kept unless `replace`. With a name
  /// that is taken: Error(AlreadyExists) unless `replace`.
  Snapshot create(const VMConfig& config, const std::string& name = {}, bool replace = false,
                  StartOptions options = {}) const;
  /// The one of that name. Error(NotFound) if there is none.
  [[nodiscard]] Snapshot open(const std::string& name) const;
  /// All, by name; torn ones are listed as unusable.
  [[nodiscard]] std::vector<SnapshotInfo> list() const;
  /// Makes the snapshot that an archive (Snapshot::export_archive()), plain or compressed, holds. `name` empty: as it
  /// was called; automatic ones need a name. Snapshot::info() says whether it can be restored here. Error(Corrupt) or
  /// Error(InvalidArgument) for an archive that is damaged or holds anything else; Error(AlreadyExists) unless
  /// `replace`. A snapshot is what an engine runs: import only those from people you trust.
  Snapshot import_archive(int fd, const std::string& name = {}, bool replace = false, std::stop_token stop = {}) const;
  /// Removes it. Machines restored from it are not disturbed. Error(NotFound) if there is none.
  void remove(const std::string& name) const;

 private:
  explicit Snapshots(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::workspaces(): a host's disks that outlive machines.
class FIRECLAW_API Workspaces {
 public:
  /// A new one. Error(AlreadyExists) if the name is taken; Error(InvalidArgument) for an impossible name or size.
  Workspace create(const WorkspaceConfig& config) const;
  /// A new one that holds what is in the tar (plain or compressed) read from descriptor `tar` to its end, and nothing
  /// else. On failure there is none. Throws as create(); Error(Cancelled).
  Workspace create_from_tar(const WorkspaceConfig& config, int tar, std::stop_token stop = {}) const;
  /// The one of that name. Error(NotFound) if there is none, Error(Corrupt) naming the file if its record is torn.
  [[nodiscard]] Workspace open(const std::string& name) const;
  /// All, by name; of broken ones WorkspaceInfo::problem says what is wrong.
  [[nodiscard]] std::vector<WorkspaceInfo> list() const;
  /// Removes it, also a broken one. Error(NotFound) if there is none, Error(InvalidState) while somebody has it.
  void remove(const std::string& name) const;

 private:
  explicit Workspaces(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::network(): the host's side of NetworkMode::Nat, a bridge, one table of firewall rules, a pool of addresses.
/// Machines bring it up when they start, so nobody needs to call up() first. Everything acts on the network namespace
/// of the calling thread; without CAP_NET_ADMIN there, on one that is made for the home folder and that leads out
/// through it.
///
/// Single machines are named by their agent, by their name, or by their id; where an agent and a machine have the same
/// name, the agent is meant.
class FIRECLAW_API Network {
 public:
  /// What it is like; changes nothing. Error(Corrupt) if config.json or the pool of addresses is torn.
  [[nodiscard]] NetworkInfo info() const;
  /// Makes bridge and firewall, if they are not there as they should be; mends them if somebody has flushed the rules.
  /// Error(InvalidState) if something is in the way of the bridge or of its subnet; Error(Unsupported) if the kernel,
  /// or the way without CAP_NET_ADMIN, lacks something.
  void up() const;
  /// Removes both, and puts back what was changed for them (IP forwarding). False if there was nothing.
  /// Error(InvalidState) while machines are attached.
  bool down() const;
  /// Nat where it can be used, else None: User reaches the host's own network, and is used only by name. Changes
  /// nothing.
  [[nodiscard]] NetworkChoice best_mode() const;

  /// The last `most` refusals of one machine, oldest first; of all if `name` is empty. The gateway writes them down
  /// while it runs, some 8 MiB of them. A name that nobody has has none.
  [[nodiscard]] std::vector<NetworkRefusal> refusals(const std::string& name = {}, std::size_t most = 1000) const;
  /// Delivers those that are written from now on, until the stop.
  void follow_refusals(const std::string& name, const std::function<void(const NetworkRefusal&)>& on_refusal,
                       std::stop_token stop) const;
  /// Lets a machine reach a destination from now on; see NatOptions::allow. One with Egress::None reaches what is
  /// allowed so and nothing else from then on. What it had is kept. For agents and machines with names it counts also
  /// for their next starts, and they need not run. Returns the list that the machine has now.
  /// Error(NotFound) if nobody has the name; Error(InvalidArgument) for what is not a destination;
  /// Error(PermissionDenied) for a name that stands for private addresses only; Error(InvalidState) if the machine has
  /// no network `nat`, or for a host name if it cannot ask the gateway for names.
  std::vector<std::string> allow(const std::string& name, const std::string& destination) const;
  /// Takes a destination off the list: it is closed at once, with the connections to it. With a host name everything
  /// is closed that names had opened, and what the names that are left stand for is opened again. Destinations that
  /// another entry covers stay open.
  /// Errors as for allow(); Error(NotFound) also if the destination is not on the list.
  std::vector<std::string> deny(const std::string& name, const std::string& destination) const;

 private:
  explicit Network(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Runs a command in its own machine, which is gone afterwards.
FIRECLAW_API ExecResult run(const Host& host, ExecOptions options, VMConfig config = {});
/// Runs a shell line, with the guest's /bin/sh -c, likewise.
FIRECLAW_API ExecResult run(const Host& host, std::string line, VMConfig config = {});

}  // namespace fireclaw
