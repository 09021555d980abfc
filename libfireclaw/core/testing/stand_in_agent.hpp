#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/agents/impl.hpp"
#include "core/machines/impl.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/workspace.hpp"

namespace fireclaw::core::testing {

/// Starts a machine on the stand-in that is the agent "ada" of the template "worker", with its record as a starter
/// leaves it.
inline std::unique_ptr<VM::Impl> start_agent(const std::shared_ptr<Host::Impl>& host, AgentManager::Impl& agents,
                                             const std::optional<std::string>& network = {}) {
  WorkspaceConfig disk;
  disk.name = "ada";
  Access::host(host).workspaces().create(disk);
  VMConfig config;
  config.network = NetworkMode::None;
  config.memory_mib = 128;
  config.workspace = "ada";
  auto made = std::make_unique<VM::Impl>(host, config);
  made->start();
  made->note([](state::RunRecord& now) { now.agent = "ada"; });
  state::AgentRecord record;
  record.name = "ada";
  record.template_name = "worker";
  record.network = network;
  record.phase = state::AgentPhase::Running;
  record.run = made->record.id;
  agents.agents.put(record);
  return made;
}

/// Lets destruction end the agent's machine, as any other.
inline void disown(const std::unique_ptr<VM::Impl>& machine) {
  if (machine) machine->note([](state::RunRecord& now) { now.agent.clear(); });
}

}  // namespace fireclaw::core::testing
