#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/logger.hpp"
#include "json/record.hpp"
#include "sys/process.hpp"

namespace fireclaw::state {

/// The phase of an agent's life. Written before the step that it names, so that a reader knows what the step may have
/// left. Restarting: its machine ends, and a start follows.
enum class AgentPhase { Starting, Running, Restarting, Stopping, Stopped, Crashed };

std::string_view to_string(AgentPhase phase) noexcept;

/// How much of an agent's copy exists. Until the first one's memory runs under the new name it is not an agent: it has
/// nothing to start again from.
enum class CopyStage { Whole, Begun, HasWorkspace };

std::string_view to_string(CopyStage stage) noexcept;

/// agents/<name>.json: an agent's settings beyond its template, its phase, and its machine.
struct AgentRecord {
  static constexpr unsigned schema = 1;

  std::string name;
  std::string template_name;
  /// Settings that override the template, given at the start or later.
  std::optional<std::string> model;
  std::optional<std::string> persona;
  std::optional<std::string> trigger;
  std::optional<bool> tools;
  std::optional<unsigned> cpus;
  std::optional<unsigned> memory_mib;
  /// Destinations beyond the template's "allow", and entries of that list which this agent must not reach.
  std::vector<std::string> allowed;
  std::vector<std::string> denied;
  /// "nat" or "user".
  std::optional<std::string> network;
  /// With "nat": as a template's "services": the machine reaches only the gateway's ports and its servers.
  bool services_only = false;
  bool detached = true;
  /// Publishes its template's ports. A copy under another name leaves them to the first one.
  bool publishes = true;

  AgentPhase phase = AgentPhase::Stopped;
  CopyStage copy = CopyStage::Whole;
  /// The process that is starting or stopping it.
  std::optional<sys::ProcessId> worker;
  /// The machine's run id; empty: none.
  std::string run;
  std::chrono::system_clock::time_point started;
  /// Why it is not running; one line.
  std::string last_error;
  /// What its last start did without, one line; empty: nothing.
  std::string notice;

  bool operator==(const AgentRecord&) const = default;
};

void describe(auto& field, json::Is<AgentRecord> auto& record) {
  using enum AgentPhase;
  field.schema(AgentRecord::schema);
  field("name", record.name);
  field("template", record.template_name);
  field("model", record.model);
  field("persona", record.persona);
  field("trigger", record.trigger);
  field("tools", record.tools);
  field("cpus", record.cpus);
  field("memory_mib", record.memory_mib);
  field.rare("allowed", record.allowed, {});
  field.rare("denied", record.denied, {});
  field("network", record.network);
  field.rare("services_only", record.services_only, false);
  field("detached", record.detached);
  field.rare("publishes", record.publishes, true);
  field.choice("phase", record.phase, std::array{Starting, Running, Restarting, Stopping, Stopped, Crashed},
               "unknown phase of an agent");
  field.rare_choice("copy", record.copy, CopyStage::Whole,
                    std::array{CopyStage::Whole, CopyStage::Begun, CopyStage::HasWorkspace}, "unknown stage of a copy");
  field("worker", record.worker);
  field("run", record.run);
  field("started_ms", record.started);
  field("last_error", record.last_error);
  field.rare("notice", record.notice, std::string{});
}

/// The agents' records, a file each. Any number of processes may use it; a process that changes an agent holds its lock
/// (Layout::lock("agent-<name>")).
class AgentStore {
 public:
  AgentStore(std::filesystem::path directory, Logger logger)
      : directory_{std::move(directory)}, logger_{std::move(logger)} {}

  /// Error(InvalidArgument) unless `name` is valid; Error(Corrupt) if its file is torn or foreign.
  [[nodiscard]] std::optional<AgentRecord> find(const std::string& name) const;
  void put(const AgentRecord& record) const;
  void remove(const std::string& name) const;
  /// All, by name; broken files are logged and left out.
  [[nodiscard]] std::vector<AgentRecord> list() const;

 private:
  [[nodiscard]] std::filesystem::path file(const std::string& name) const;
  std::filesystem::path directory_;
  Logger logger_;
};

}  // namespace fireclaw::state
