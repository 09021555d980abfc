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
  /// What it is like. It always lives on without its maker. Its scratch disk is kept while it is
  /// stopped; the rest of its root file system is memory, and new at each start. `snapshot` is restored at each start.
  /// The host name is the machine's name unless one is given.
  VMConfig machine;
  /// It is stopped this long after each start; 0: never.
  std::chrono::milliseconds ttl{0};
  /// It is paused when nobody has used it this long and no command runs in it; the next use resumes it. 0: never.
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
  /// The id of what runs for it; empty: it is stopped.
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
  /// The snapshot that it starts from; empty: none that has a name.
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
  /// What the engine has in the host's memory.
  std::uint64_t memory_bytes = 0;
  /// What the engine has used since the start, on all CPUs together.
  std::chrono::milliseconds cpu_time{0};
  /// What the machine has received and sent over its device on the bridge (NetworkMode::Nat).
  std::uint64_t received_bytes = 0;
  /// The other way.
  std::uint64_t sent_bytes = 0;
  /// How long each part of the start took; empty but for what create(), start() and fork() return.
  std::vector<Phase> phases;
};

/// What tend() did, by name.
struct TendReport {
  /// Their MachineConfig::ttl had passed.
  std::vector<std::string> stopped;
  /// Nobody had used them for MachineConfig::idle.
  std::vector<std::string> paused;
};

/// Host::machines(): machines with names, which outlive the process that starts them and can be stopped and started
/// again. VMs::attach() takes hold of one by its name, for commands and copies; its methods change the machine as these
/// here do. Members can be called from several threads, and several processes can use one home folder at once.
///
/// A name that cannot be one is Error(InvalidArgument), one that no machine has is Error(NotFound).
class FIRECLAW_API MachineManager {
 public:
  /// Makes a machine and starts it. Error(AlreadyExists) if there is one of that name; what VMs::run() throws. If it
  /// does not start there is none.
  MachineInfo create(const MachineConfig& config, const StartOptions& options = {}) const;
  /// Starts a machine that is stopped, and resumes one that is paused.
  MachineInfo start(const std::string& name, const StartOptions& options = {}) const;
  /// Ends it as VM::stop does; it can be started again. Nothing happens if it is stopped.
  void stop(const std::string& name, std::chrono::milliseconds grace = std::chrono::seconds{2}) const;
  /// Stops its CPUs. Error(InvalidState) if it is stopped.
  void pause(const std::string& name) const;
  /// Resumes it. Error(InvalidState) if it is stopped.
  void resume(const std::string& name) const;
  /// Removes a machine and its scratch disk; a workspace stays. Error(InvalidState) if it runs, unless `force`.
  void remove(const std::string& name, bool force = false) const;
  /// Gives it another name; its host name stays. Error(AlreadyExists) if that is taken.
  void rename(const std::string& name, const std::string& new_name) const;
  /// Starts another machine from the memory and the scratch disk of one that runs, which stands still for a moment; its
  /// commands are ended, services run on in both. The new one publishes no ports. Error(AlreadyExists) if the name is
  /// taken, Error(InvalidState) if the machine is stopped or has a workspace.
  MachineInfo fork(const std::string& name, const std::string& new_name, const StartOptions& options = {}) const;
  /// All, by name.
  [[nodiscard]] std::vector<MachineInfo> list() const;
  /// One of them.
  [[nodiscard]] MachineInfo info(const std::string& name) const;
  /// Stops machines whose time has passed and pauses those that nobody uses. A program that looks after machines calls
  /// it now and then; each command of the command line does.
  TendReport tend() const;

  struct Impl;

 private:
  explicit MachineManager(const Host& host);
  std::shared_ptr<Impl> impl_;
  friend class Host;
};

}  // namespace fireclaw
