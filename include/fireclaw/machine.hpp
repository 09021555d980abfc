#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "fireclaw/export.hpp"
#include "fireclaw/network.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {

class Host;

/// The configuration of a machine with a name.
struct MachineConfig {
  /// 1 to 63 letters, digits and inner hyphens; not 16 hexadecimal digits, which are an id.
  std::string name;
  /// The machine's configuration. It always outlives the process that made it. Its scratch disk is kept while it is
  /// stopped; the rest of its root file system is memory, and new at each start. `snapshot` is restored at each start.
  /// The host name is the machine's name unless one is given.
  VMConfig machine;
  /// The machine is stopped this long after each start; 0: never.
  std::chrono::milliseconds ttl{0};
  /// The machine is paused after this long without use or running command; the next use resumes it. 0: never.
  std::chrono::milliseconds idle{0};

  /// Equal in all members.
  bool operator==(const MachineConfig&) const = default;
};

/// What is known of a machine with a name.
struct MachineInfo {
  /// As MachineConfig::name.
  std::string name;
  /// Running, Paused or Stopped.
  VMState state = VMState::Stopped;
  /// The id of the running machine; empty: it is stopped.
  std::string id;
  /// The image's name.
  std::string image;
  /// Virtual CPUs.
  unsigned cpus = 1;
  /// In MiB.
  unsigned memory_mib = 0;
  /// What its network device is connected to.
  NetworkMode network = NetworkMode::None;
  /// Its IPv4 address with NetworkMode::Nat; empty: it is stopped, or has none.
  std::string address;
  /// Ports to publish, as NatOptions::publish.
  std::vector<std::string> publish;
  /// Its host name.
  std::string hostname;
  /// The name of its workspace; empty: none.
  std::string workspace;
  /// The size of its scratch disk in MiB; 0: none.
  unsigned scratch_mib = 0;
  /// Where that is mounted.
  std::string scratch_target;
  /// What the scratch disk takes on the host.
  std::uint64_t scratch_bytes = 0;
  /// The named snapshot that it starts from; empty: none.
  std::string snapshot;
  /// "firecracker", "qemu-kvm", "qemu-tcg"; empty: it is stopped.
  std::string engine;
  /// The engine's process; 0: it is stopped.
  std::int64_t engine_pid = 0;
  /// When it was created.
  std::chrono::system_clock::time_point created;
  /// The last start; the epoch: it was never started.
  std::chrono::system_clock::time_point started;
  /// As MachineConfig::ttl.
  std::chrono::milliseconds ttl{0};
  /// As MachineConfig::idle.
  std::chrono::milliseconds idle{0};
  /// Resident memory of the engine's process.
  std::uint64_t memory_bytes = 0;
  /// CPU time of the engine's process since the start, all CPUs together.
  std::chrono::milliseconds cpu_time{0};
  /// Bytes that the machine has received over its device on the bridge (NetworkMode::Nat).
  std::uint64_t received_bytes = 0;
  /// Bytes that it has sent over it.
  std::uint64_t sent_bytes = 0;
  /// How long each part of the start took; only create(), start() and fork() fill it in.
  std::vector<Phase> phases;
};

/// What tend() did, by name.
struct TendReport {
  /// Machines whose MachineConfig::ttl had passed.
  std::vector<std::string> stopped;
  /// Machines that nobody had used for MachineConfig::idle.
  std::vector<std::string> paused;
};

/// Host::machines(): machines with names, which outlive the process that starts them and can be stopped and started
/// again. VMs::attach() gives a handle to one by its name, for commands and copies; a stop or a pause by that handle
/// counts as one here. Members can be called from several threads, and several processes can use one home folder.
///
/// Error(InvalidArgument) for a name that is not allowed, Error(NotFound) for one that no machine has.
class FIRECLAW_API MachineManager {
 public:
  /// Makes a machine and starts it. If it does not start, it is removed again. Error(AlreadyExists) if there is one of
  /// that name; what VMs::run() throws.
  MachineInfo create(const MachineConfig& config, const StartOptions& options = {}) const;
  /// Starts a stopped machine; resumes a paused one.
  MachineInfo start(const std::string& name, const StartOptions& options = {}) const;
  /// Ends it as VM::stop does; it can be started again. Does nothing if it is stopped.
  void stop(const std::string& name, std::chrono::milliseconds grace = std::chrono::seconds{2}) const;
  /// Pauses it: stops its CPUs. Error(InvalidState) if it is stopped.
  void pause(const std::string& name) const;
  /// Resumes it. Error(InvalidState) if it is stopped.
  void resume(const std::string& name) const;
  /// Removes a machine and its scratch disk; a workspace stays. Error(InvalidState) if it runs, unless `force`.
  void remove(const std::string& name, bool force = false) const;
  /// Gives it another name; its host name stays. Error(AlreadyExists) if that is taken.
  void rename(const std::string& name, const std::string& new_name) const;
  /// Starts another machine from the memory and the scratch disk of a running one. The first is paused for a moment and
  /// its commands are ended; services continue in both. The new one publishes no ports. Error(AlreadyExists) if the
  /// name is taken, Error(InvalidState) if the machine is stopped or has a workspace.
  MachineInfo fork(const std::string& name, const std::string& new_name, const StartOptions& options = {}) const;
  /// All, by name.
  [[nodiscard]] std::vector<MachineInfo> list() const;
  /// The one of that name.
  [[nodiscard]] MachineInfo info(const std::string& name) const;
  /// Stops machines whose `ttl` has passed and pauses those that are idle. A program that looks after machines calls it
  /// now and then; every command of the command line does.
  TendReport tend() const;

  struct Impl;

 private:
  explicit MachineManager(const Host& host);
  std::shared_ptr<Impl> impl_;
  friend class Host;
};

}  // namespace fireclaw
