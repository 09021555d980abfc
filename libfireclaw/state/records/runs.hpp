#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/logger.hpp"
#include "sys/process.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::state {

/// A machine's place in the host's network, as texts of net's types: enough to open the firewall for it again, and to
/// undo everything that was made for it.
struct RunNetwork {
  std::string address;
  std::string tap;
  std::string egress;
  std::vector<std::string> allow;
  /// Destinations by name, which the gateway opens when the machine asks for them.
  std::vector<std::string> allow_names;
  std::vector<std::string> publish;
  /// Whether it may use all of the gateway's services, and its name server.
  bool services = false;
  bool names = true;
  /// The process that keeps the tap's network namespace; nullopt: it is the host's own.
  std::optional<sys::ProcessId> anchor;
  /// Limit for what it sends and receives together; 0: none.
  unsigned mib_per_second = 0;
  /// Web servers by name to which the gateway's HTTP proxy connects it, and the proxy's URL.
  std::vector<std::string> allow_http = {};
  std::string http_proxy = {};

  bool operator==(const RunNetwork&) const = default;
};

/// One machine, as runs/<id>/run.json tells other processes.
struct RunRecord {
  static constexpr unsigned schema = 1;

  std::string id;
  /// The process that made it. While it lives, only it ends the machine.
  sys::ProcessId owner;
  /// Continues without its owner.
  bool detached = false;
  std::string image;
  /// The build of it; empty in records of earlier versions.
  std::string image_digest;
  std::string snapshot;
  std::string hostname;
  unsigned cpus = 1;
  unsigned memory_mib = 0;
  /// Has a network device.
  bool nic = false;
  std::string network;
  std::chrono::system_clock::time_point created;
  /// The name of the workspace that it has; empty: none.
  std::string workspace;
  /// The size of its scratch disk; 0: none.
  unsigned scratch_mib = 0;
  /// The name of the agent that it runs; empty: it was not started for one.
  std::string agent;
  /// The name of the machine that it runs for (MachineRecord); empty: it has only its id.
  std::string machine;
  /// "firecracker", "qemu-kvm", ...
  std::string engine;
  /// The identity that its snapshots are bound to (SnapshotKey); empty in records of earlier versions.
  std::string engine_identity;
  bool paused = false;
  /// The process that is copying it; the machine can be paused for that.
  std::optional<sys::ProcessId> copier;
  /// It is or was paused, and its guest's clock has not been set since.
  bool clock_late = false;
  /// The guest has its identity and its disks: others may use it.
  bool configured = false;
  /// The folder of its engine's cgroup; empty: it has none of its own.
  std::string cgroup;
  /// The engine's process once it has been started.
  std::optional<sys::ProcessId> process;
  /// For machines with the network "nat", from the moment they have an address.
  std::optional<RunNetwork> nat;

  bool operator==(const RunRecord&) const = default;
};

/// Whether `text` has the form of an id: 16 hexadecimal digits.
bool is_run_id(std::string_view text);

/// Whether the record's machine may be ended and its folder removed: its owner is gone, and the machine is not
/// detached, or has ended by itself, or never got so far that another process could use it.
bool is_garbage(const RunRecord& record);
/// Whether its engine runs.
bool is_running(const RunRecord& record);

/// The machines' folders. Records are not synced to disk: after a power failure no machine runs, and a folder
/// without a whole record is removed as garbage. Any number of processes may use it at once.
class RunStore {
 public:
  RunStore(std::filesystem::path directory, Logger logger);

  /// Creates runs/<id> with its record in one step. If the record's id is empty, a new one is chosen. Returns the
  /// record with its id.
  RunRecord create(RunRecord record) const;
  /// Applies `change` to the present record, and writes it; processes take turns to change a record. Nothing is
  /// written if `change` throws. Returns the new record. Error(NotFound) if it is gone.
  RunRecord change(const std::string& id, const std::function<void(RunRecord&)>& change) const;
  [[nodiscard]] std::filesystem::path directory(const std::string& id) const { return directory_ / id; }
  /// The record's file. Each change replaces it by another.
  [[nodiscard]] std::filesystem::path record_file(const std::string& id) const { return directory(id) / "run.json"; }
  /// The engine's own folder in it. Files that the engine must not write are beside it: the record, the disks.
  [[nodiscard]] std::filesystem::path engine_directory(const std::string& id) const { return directory(id) / "engine"; }
  /// All whole records, oldest first; others are logged and left out.
  [[nodiscard]] std::vector<RunRecord> list() const;
  /// Error(InvalidArgument) unless `id` is valid.
  [[nodiscard]] std::optional<RunRecord> find(const std::string& id) const;
  void remove(const std::string& id) const;
  /// Removes the leftovers of an interrupted create(). Returns the removed paths.
  std::vector<std::filesystem::path> remove_unfinished() const;
  /// Removes folders whose record is missing or empty, as after a power failure. Returns the removed paths.
  std::vector<std::filesystem::path> remove_broken() const;

 private:
  std::filesystem::path directory_;
  Logger logger_;
};

}  // namespace fireclaw::state
