#pragma once

#include <chrono>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "fireclaw/agent.hpp"
#include "fireclaw/exec.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/image.hpp"
#include "fireclaw/machine.hpp"
#include "fireclaw/network.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/vm.hpp"
#include "fireclaw/workspace.hpp"

/// @file
/// What a Host has: host.vms(), host.images() and so on. Each is the host under another name: it holds nothing else,
/// can be copied and kept, and reads nothing until it is asked.

namespace fireclaw {

/// A host's machines: Host::vms().
class VMs {
 public:
  /// Of this host.
  explicit VMs(Host host) : host_{std::move(host)} {}

  /// Checks the configuration and prepares the machine's folder; nothing runs yet. Throws as VM::create().
  [[nodiscard]] VM create(VMConfig config = {}) const { return VM::create(host_, std::move(config)); }
  /// A machine that runs: create() and VM::start().
  [[nodiscard]] VM run(VMConfig config = {}) const { return VM::run(host_, std::move(config)); }
  /// Attaches to a detached machine by its id or name. Error(NotFound) if there is none or it has ended.
  [[nodiscard]] VM attach(const std::string& id) const { return VM::attach(host_, id); }
  /// All whose engine runs, oldest first.
  [[nodiscard]] std::vector<VMInfo> list() const { return VM::list(host_); }
  /// Ends the machine with this id, also one that another process owns. Error(NotFound) if there is none.
  void kill(const std::string& id) const { VM::kill(host_, id); }

 private:
  Host host_;
};

/// A host's images: Host::images().
class Images {
 public:
  /// Of this host.
  explicit Images(Host host) : host_{std::move(host)} {}

  /// Throws as Image::build().
  ImageInfo build(const ImageConfig& config) const { return Image::build(host_, config); }
  /// By name.
  [[nodiscard]] std::vector<ImageInfo> list() const { return Image::list(host_); }
  /// Error(NotFound) if there is none of that name; Error(Corrupt) if it is torn.
  [[nodiscard]] ImageInfo info(const std::string& name) const { return Image::info(host_, name); }
  /// Removes it, and its snapshots. Machines that run from it are not disturbed.
  void remove(const std::string& name) const { Image::remove(host_, name); }

 private:
  Host host_;
};

/// A host's saved machines: Host::snapshots().
class Snapshots {
 public:
  /// Of this host.
  explicit Snapshots(Host host) : host_{std::move(host)} {}

  /// Boots a machine, saves it and ends it: see Snapshot::create().
  Snapshot create(const VMConfig& config, const std::string& name = {}, bool replace = false) const {
    return Snapshot::create(host_, config, name, replace);
  }
  /// Error(NotFound) if there is none.
  [[nodiscard]] Snapshot open(const std::string& name) const { return Snapshot::open(host_, name); }
  /// By name; torn ones are listed as unusable.
  [[nodiscard]] std::vector<SnapshotInfo> list() const { return Snapshot::list(host_); }
  /// Removes it. Machines restored from it are not disturbed.
  void remove(const std::string& name) const { Snapshot::remove(host_, name); }

 private:
  Host host_;
};

/// A host's workspaces: Host::workspaces().
class Workspaces {
 public:
  /// Of this host.
  explicit Workspaces(Host host) : host_{std::move(host)} {}

  /// Error(AlreadyExists) if the name is taken.
  [[nodiscard]] Workspace create(const WorkspaceConfig& config) const { return Workspace::create(host_, config); }
  /// One that holds what is in a tar: see Workspace::create_from_tar().
  [[nodiscard]] Workspace create_from_tar(const WorkspaceConfig& config, int tar, std::stop_token stop = {}) const {
    return Workspace::create_from_tar(host_, config, tar, std::move(stop));
  }
  /// Error(NotFound) if there is none, Error(Corrupt) naming the file if its record is torn.
  [[nodiscard]] Workspace open(const std::string& name) const { return Workspace::open(host_, name); }
  /// By name; of broken ones WorkspaceInfo::problem says what is wrong.
  [[nodiscard]] std::vector<WorkspaceInfo> list() const { return Workspace::list(host_); }
  /// Removes it, also a broken one. Error(InvalidState) while somebody has it.
  void remove(const std::string& name) const { Workspace::remove(host_, name); }

 private:
  Host host_;
};

/// The host's side of NetworkMode::Nat: Host::network().
class HostNetwork {
 public:
  /// Of this host.
  explicit HostNetwork(Host host) : host_{std::move(host)} {}

  /// Changes nothing. Throws as Network::info().
  [[nodiscard]] NetworkInfo info() const { return Network::info(host_); }
  /// Makes bridge and firewall, if they are not there as they should be. Throws as Network::up().
  void up() const { Network::up(host_); }
  /// Removes both. False if there was nothing. Error(InvalidState) while machines are attached.
  bool down() const { return Network::down(host_); }
  /// Nat where it can be used, else None. Changes nothing.
  [[nodiscard]] NetworkChoice best_mode() const { return Network::best_mode(host_); }

 private:
  Host host_;
};

/// One agent, by its name. As a workspace's object it is a name and the host: copies are the same agent, and its
/// destruction changes nothing. Every member is AgentManager's of that name and throws as that.
class Agent {
 public:
  /// The agent called `name`, whether there is one or not.
  Agent(AgentManager agents, std::string name) : agents_{std::move(agents)}, name_{std::move(name)} {}

  /// Its name.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// What is known of it, quick. Error(NotFound) if there is no such agent.
  [[nodiscard]] AgentInfo info() const { return agents_.info(name_); }
  /// info(), with what the bot says of itself.
  AgentInfo status(std::chrono::milliseconds timeout = std::chrono::seconds{5}) {
    return agents_.status(name_, timeout);
  }
  /// The bot says goodbye, and the machine ends. No error if it does not run.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds{5}) { agents_.stop(name_, grace); }
  /// Ends it if it runs, and starts it with the settings it has.
  AgentInfo restart(std::stop_token stop = {}) { return agents_.restart(name_, std::move(stop)); }
  /// Forgets it; its workspace stays. Error(InvalidState) while it runs.
  void remove() { agents_.remove(name_); }
  /// A second agent from this one as it is now.
  Agent fork(ForkConfig config) {
    auto made = agents_.fork(name_, std::move(config));
    return {agents_, std::move(made.name)};
  }
  /// Saves it, under a name that AgentConfig::snapshot takes.
  SnapshotInfo snapshot(const std::string& snapshot = {}, bool replace = false, std::stop_token stop = {}) {
    return agents_.snapshot(name_, snapshot, replace, std::move(stop));
  }
  /// Other settings, without it leaving IRC.
  AgentInfo reload(const AgentSettings& settings) { return agents_.reload(name_, settings); }
  /// Stops its machine's CPUs.
  void pause() { agents_.pause(name_); }
  /// Resumes it.
  void resume() { agents_.resume(name_); }
  /// Becomes readable once its machine has ended.
  [[nodiscard]] AgentWatch watch() const { return agents_.watch(name_); }
  /// The last lines of what the bot wrote; 0: all that is kept.
  std::string logs(std::size_t lines = 0) { return agents_.logs(name_, lines); }
  /// Delivers what the bot writes from now on, after the last `lines`.
  void follow_logs(std::size_t lines, const OutputCallback& on_output, std::stop_token stop) {
    agents_.follow_logs(name_, lines, on_output, std::move(stop));
  }
  /// MEMORY.md of its workspace.
  std::string memory() { return agents_.memory(name_); }
  /// Runs a command in its machine, as `agent` in /workspace unless the options say otherwise.
  ExecResult exec(ExecOptions options) { return agents_.exec(name_, std::move(options)); }
  /// Runs a shell line, likewise.
  ExecResult exec(std::string line) { return exec(ExecOptions::shell(std::move(line))); }
  /// Starts a command, likewise.
  [[nodiscard]] Process spawn(ExecOptions options) { return agents_.spawn(name_, std::move(options)); }
  /// Logs in by SSH as user `agent`.
  [[nodiscard]] AgentShell ssh(ExecOptions options = {}) { return agents_.ssh(name_, std::move(options)); }
  /// A handle on its machine.
  [[nodiscard]] VM machine() const { return agents_.machine(name_); }

 private:
  AgentManager agents_;
  std::string name_;
};

/// A host's agents: Host::agents().
class Agents {
 public:
  /// Of this host.
  explicit Agents(const Host& host) : agents_{host} {}

  /// What agents are made from, by name.
  [[nodiscard]] std::vector<AgentTemplate> templates() const { return agents_.templates(); }
  /// Starts an agent. Throws as AgentManager::start(), which also says how the start went.
  [[nodiscard]] Agent start(AgentConfig config) {
    auto started = agents_.start(std::move(config));
    return {agents_, std::move(started.name)};
  }
  /// The agent of that name. Error(NotFound).
  [[nodiscard]] Agent open(const std::string& name) const { return {agents_, agents_.info(name).name}; }
  /// All, also stopped ones, by name. Quick: asks no guest.
  [[nodiscard]] std::vector<AgentInfo> list() const { return agents_.list(); }
  /// Compares what is recorded with what runs.
  ReconcileReport reconcile() { return agents_.reconcile(); }

 private:
  AgentManager agents_;
};

/// Runs a command in its own machine, which is gone afterwards.
inline ExecResult run(const Host& host, ExecOptions options, VMConfig config = {}) {
  return VM::run(host, std::move(config)).exec(std::move(options));
}

/// Runs a shell line, with the guest's /bin/sh -c, likewise.
inline ExecResult run(const Host& host, std::string line, VMConfig config = {}) {
  return run(host, ExecOptions::shell(std::move(line)), std::move(config));
}

}  // namespace fireclaw
