#include "state/records/agents.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/folder.hpp"

namespace fireclaw::state {
namespace {

AgentRecord read_file(const std::filesystem::path& path) {
  const auto value = json::Value::parse_file(path);
  auto record = json::read_record<AgentRecord>(value);
  if (record.name != path.stem().native()) value.at("name").fail("is not the file's name");
  return record;
}

}  // namespace

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
  return read_file(path);
}

void AgentStore::put(const AgentRecord& record) const {
  const auto path = file(record.name);
  sys::make_durable_directories(directory_);
  sys::write_file_atomic(path, json::record_text(record));
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
      records.push_back(read_file(path));
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::NotFound) logger_.warning(problem.what());
    }
  }
  std::ranges::sort(records, {}, &AgentRecord::name);
  return records;
}

}  // namespace fireclaw::state
