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

/// machines/<name>.json: what a machine with a name is made of, whether it runs or not. A machine that runs for it is
/// found by RunRecord::machine.
struct MachineRecord {
  static constexpr unsigned schema = 1;

  std::string name;
  /// Which machine it is, whatever it is called: 16 hexadecimal digits.
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
  /// The snapshot that each start restores; empty: none that has a name.
  std::string snapshot;
  bool cold = false;
  /// Empty: its name.
  std::string hostname;
  std::string workspace;
  /// The size of its scratch disk, which is kept while it is stopped; 0: none.
  unsigned scratch_mib = 0;
  std::string scratch_target;
  /// 0: as config.json has it at each start.
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

/// The records, a file each, and beside them the scratch disks. Any number of processes may use it; those who change a
/// machine hold its lock (Layout::lock("machine-<name>")).
class MachineStore {
 public:
  MachineStore(std::filesystem::path directory, Logger logger)
      : directory_{std::move(directory)}, logger_{std::move(logger)} {}

  /// Error(InvalidArgument) unless `name` can be one; Error(Corrupt) if its file is torn or foreign.
  [[nodiscard]] std::optional<MachineRecord> find(const std::string& name) const;
  void put(const MachineRecord& record) const;
  /// Its record and its scratch disk.
  void remove(const MachineRecord& record) const;
  /// The same machine under another name: the record is written under the new one before the old one goes.
  void rename(MachineRecord record, const std::string& name) const;
  /// By name; broken files are reported to the log and left out.
  [[nodiscard]] std::vector<MachineRecord> list() const;
  /// Where a machine's scratch disk is, or will be.
  [[nodiscard]] std::filesystem::path scratch_disk(const std::string& key) const;
  /// Removes disks of machines that are gone. Returns what was removed; nothing is while a record cannot be read.
  std::vector<std::filesystem::path> remove_unused_disks() const;

 private:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const;
  std::filesystem::path directory_;
  Logger logger_;
};

}  // namespace fireclaw::state
