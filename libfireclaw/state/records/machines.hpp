#pragma once

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/logger.hpp"
#include "json/record.hpp"

namespace fireclaw::state {

/// machines/<name>.json: the configuration of a machine with a name, whether it runs or not. RunRecord::machine finds
/// the run for it.
struct MachineRecord {
  static constexpr unsigned schema = 1;

  std::string name;
  /// Identifies the machine under any name: 16 hexadecimal digits.
  std::string key;
  std::chrono::system_clock::time_point created;
  std::string image;
  unsigned cpus = 1;
  unsigned memory_mib = 0;
  std::string network;
  std::string egress;
  std::vector<std::string> allow;
  std::vector<std::string> allow_http;
  std::vector<std::string> publish;
  std::string services;
  /// The named snapshot that each start restores; empty: none.
  std::string snapshot;
  bool cold = false;
  /// Empty: its name.
  std::string hostname;
  std::string workspace;
  /// The size of its scratch disk, which is kept while it is stopped; 0: none.
  unsigned scratch_mib = 0;
  std::string scratch_target;
  /// 0: config.json's, as of each start.
  unsigned disk_mib_per_second = 0;
  unsigned network_mib_per_second = 0;
  std::chrono::milliseconds ttl{0};
  std::chrono::milliseconds idle{0};
  /// The last start; the epoch: none yet.
  std::chrono::system_clock::time_point started;
  /// It was paused because nobody used it: the next use resumes it.
  bool resumes_on_use = false;

  bool operator==(const MachineRecord&) const = default;
};

void describe(auto& field, json::Is<MachineRecord> auto& record) {
  field.schema(MachineRecord::schema);
  field("name", record.name);
  field("key", record.key);
  field("created_ms", record.created);
  field("image", record.image);
  field("cpus", record.cpus);
  field("memory_mib", record.memory_mib);
  field("network", record.network);
  field("egress", record.egress);
  field("allow", record.allow);
  field.rare("allow_http", record.allow_http, std::vector<std::string>{});
  field("publish", record.publish);
  field("services", record.services);
  field("snapshot", record.snapshot);
  field.rare("cold", record.cold, false);
  field("hostname", record.hostname);
  field("workspace", record.workspace);
  field("scratch_mib", record.scratch_mib);
  field("scratch_target", record.scratch_target);
  field.rare("disk_mib_per_second", record.disk_mib_per_second, 0U);
  field.rare("network_mib_per_second", record.network_mib_per_second, 0U);
  field("ttl_ms", record.ttl);
  field("idle_ms", record.idle);
  field("started_ms", record.started);
  field.rare("resumes_on_use", record.resumes_on_use, false);
}

/// Whether it can be a machine's name: that of a host (1 to 63 letters, digits, inner hyphens), and not an id.
bool is_machine_name(std::string_view text);

/// The records, a file each, and beside them the scratch disks. Any number of processes may use it; a process that
/// changes a machine holds its lock (Layout::lock("machine-<name>")).
class MachineStore {
 public:
  MachineStore(std::filesystem::path directory, Logger logger)
      : directory_{std::move(directory)}, logger_{std::move(logger)} {}

  /// Error(InvalidArgument) unless `name` is valid; Error(Corrupt) if its file is torn or foreign.
  [[nodiscard]] std::optional<MachineRecord> find(const std::string& name) const;
  void put(const MachineRecord& record) const;
  /// Removes its record and its scratch disk.
  void remove(const MachineRecord& record) const;
  /// The same machine under another name: the record is written under the new one before the old one goes.
  void rename(MachineRecord record, const std::string& name) const;
  /// All, by name; broken files are logged and left out.
  [[nodiscard]] std::vector<MachineRecord> list() const;
  /// The path of a machine's scratch disk.
  [[nodiscard]] std::filesystem::path scratch_disk(const std::string& key) const;
  /// Removes disks of machines that are gone, unless a record cannot be read. Returns the removed paths.
  std::vector<std::filesystem::path> remove_unused_disks() const;

 private:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const;
  std::filesystem::path directory_;
  Logger logger_;
};

}  // namespace fireclaw::state
