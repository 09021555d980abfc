#include "state/agents.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "state/bot_fields.hpp"
#include "state/record_parts.hpp"
#include "sys/file.hpp"

namespace fireclaw::state {
namespace {

constexpr std::array phases{AgentPhase::Starting, AgentPhase::Running, AgentPhase::Restarting,
                            AgentPhase::Stopping, AgentPhase::Stopped, AgentPhase::Crashed};

constexpr std::array copy_stages{CopyStage::Whole, CopyStage::Begun, CopyStage::HasWorkspace};

AgentPhase read_phase(const json::Value& value) {
  for (const auto phase : phases) {
    if (to_string(phase) == value.as_string()) return phase;
  }
  value.fail("unknown phase of an agent");
}

CopyStage read_copy_stage(const json::Value& value) {
  for (const auto stage : copy_stages) {
    if (to_string(stage) == value.as_string()) return stage;
  }
  value.fail("unknown stage of a copy");
}

template <typename T>
void write_optional(json::Writer& out, std::string_view name, const std::optional<T>& value) {
  if (value) out.field(name, *value);
}

std::optional<std::string> read_text(const json::Value& value, std::string_view name) {
  const auto found = value.find(name);
  return found ? std::optional{found->as_string()} : std::nullopt;
}

std::optional<unsigned> read_unsigned(const json::Value& value, std::string_view name) {
  const auto found = value.find(name);
  return found ? std::optional{static_cast<unsigned>(found->as_uint())} : std::nullopt;
}

AgentRecord read_record(const std::filesystem::path& path) {
  const auto value = json::Value::parse_file(path);
  auto record = read_agent(value);
  if (record.name != path.stem().native()) value.at("name").fail("is not the file's name");
  return record;
}

}  // namespace

void write_agent(json::Writer& out, const AgentRecord& record) {
  out.begin_object();
  out.field("schema", AgentRecord::schema);
  out.field("name", record.name);
  out.field("template", record.template_name);
  write_optional(out, "model", record.model);
  write_optional(out, "persona", record.persona);
  write_optional(out, "trigger", record.trigger);
  write_optional(out, "tools", record.tools);
  write_optional(out, "cpus", record.cpus);
  write_optional(out, "memory_mib", record.memory_mib);
  write_optional(out, "network", record.network);
  out.field("detached", record.detached);
  if (!record.publishes) out.field("publishes", false);
  out.field("phase", to_string(record.phase));
  if (record.copy != CopyStage::Whole) out.field("copy", to_string(record.copy));
  if (record.worker) write_process(out, "worker", *record.worker);
  out.field("run", record.run);
  write_time(out, "started_ms", record.started);
  out.field("last_error", record.last_error);
  out.end_object();
}

AgentRecord read_agent(const json::Value& value) {
  check_schema(value, AgentRecord::schema);
  AgentRecord record;
  record.name = value.at("name").as_string();
  record.template_name = value.at("template").as_string();
  record.model = read_text(value, "model");
  record.persona = read_text(value, "persona");
  record.trigger = read_text(value, "trigger");
  if (const auto tools = value.find("tools")) record.tools = tools->as_bool();
  record.cpus = read_unsigned(value, "cpus");
  record.memory_mib = read_unsigned(value, "memory_mib");
  record.network = read_text(value, "network");
  record.detached = value.at("detached").as_bool();
  if (const auto publishes = value.find("publishes")) record.publishes = publishes->as_bool();
  record.phase = read_phase(value.at("phase"));
  if (const auto copy = value.find("copy")) record.copy = read_copy_stage(*copy);
  if (const auto worker = value.find("worker")) record.worker = read_process(*worker);
  record.run = value.at("run").as_string();
  record.started = read_time(value.at("started_ms"));
  record.last_error = value.at("last_error").as_string();
  return record;
}

std::string_view to_string(AgentPhase phase) noexcept {
  switch (phase) {
    case AgentPhase::Starting: return "starting";
    case AgentPhase::Running: return "running";
    case AgentPhase::Restarting: return "restarting";
    case AgentPhase::Stopping: return "stopping";
    case AgentPhase::Stopped: return "stopped";
    case AgentPhase::Crashed: return "crashed";
  }
  return "unknown";
}

std::string_view to_string(CopyStage stage) noexcept {
  switch (stage) {
    case CopyStage::Whole: return "whole";
    case CopyStage::Begun: return "begun";
    case CopyStage::HasWorkspace: return "has workspace";
  }
  return "unknown";
}

std::filesystem::path AgentStore::file(const std::string& name) const {
  if (!is_agent_name(name)) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("'{}' cannot be an agent's name: use 1 to 30 letters, digits, - or _, beginning with a letter "
                    "and not ending in -",
                    name)};
  }
  return directory_ / (name + ".json");
}

std::optional<AgentRecord> AgentStore::find(const std::string& name) const {
  const auto path = file(name);
  if (!std::filesystem::exists(path)) return std::nullopt;
  return read_record(path);
}

void AgentStore::put(const AgentRecord& record) const {
  const auto path = file(record.name);
  sys::make_directories(directory_);
  json::Writer out{json::Writer::Style::Pretty};
  write_agent(out, record);
  sys::write_file_atomic(path, out.take());
}

void AgentStore::remove(const std::string& name) const {
  std::filesystem::remove(file(name));
  sys::sync_directory(directory_);
}

std::vector<AgentRecord> AgentStore::list() const {
  std::vector<AgentRecord> records;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    const auto& path = entry.path();
    if (path.extension() != ".json" || !is_agent_name(path.stem().native())) continue;
    try {
      records.push_back(read_record(path));
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::NotFound) logger_.warning(problem.what());
    }
  }
  std::ranges::sort(records, {}, &AgentRecord::name);
  return records;
}

}  // namespace fireclaw::state
