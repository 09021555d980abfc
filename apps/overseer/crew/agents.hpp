#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "fireclaw/agent.hpp"
#include "fireclaw/gateway.hpp"
#include "fireclaw/machine.hpp"

namespace fireclaw::overseer {

/// Notices the end of an agent's machine.
class EndWatch {
 public:
  virtual ~EndWatch() = default;
  /// For poll(2): readable once the machine has ended.
  [[nodiscard]] virtual int fd() const = 0;
};

/// The part of fireclaw::AgentManager and fireclaw::Agent that the overseer uses, with the same names. Called from
/// several threads at once; throws fireclaw::Error.
class Agents {
 public:
  virtual ~Agents() = default;

  virtual std::vector<AgentTemplate> templates() = 0;
  virtual std::vector<AgentInfo> list() = 0;
  virtual AgentInfo info(const std::string& name) = 0;
  virtual AgentInfo status(const std::string& name) = 0;
  virtual AgentInfo start(const AgentConfig& config, std::stop_token stop) = 0;
  virtual AgentInfo fork(const std::string& name, const ForkConfig& config, std::stop_token stop) = 0;
  virtual SnapshotInfo snapshot(const std::string& name, const std::string& snapshot, std::stop_token stop) = 0;
  virtual void stop(const std::string& name) = 0;
  virtual AgentInfo restart(const std::string& name, std::stop_token stop) = 0;
  virtual void remove(const std::string& name) = 0;
  virtual AgentInfo reload(const std::string& name, const AgentSettings& settings) = 0;
  virtual void pause(const std::string& name) = 0;
  virtual void resume(const std::string& name) = 0;
  virtual ReconcileReport reconcile() = 0;
  /// Stops and pauses machines with names whose time has come: MachineManager::tend().
  virtual TendReport tend_machines() = 0;
  /// Brings the home folder up to date: Host::upgrade(). Returns what was made again.
  virtual std::vector<std::string> upgrade(std::stop_token stop) = 0;
  virtual std::unique_ptr<EndWatch> watch(const std::string& name) = 0;
  virtual std::string logs(const std::string& name, std::size_t lines) = 0;
  virtual std::string memory(const std::string& name) = 0;
  /// An agent's part of fireclaw::Network.
  virtual std::vector<NetworkRefusal> refusals(const std::string& name, std::size_t most) = 0;
  virtual std::vector<std::string> allow(const std::string& name, const std::string& destination) = 0;
  virtual std::vector<std::string> deny(const std::string& name, const std::string& destination) = 0;
  /// Its use of LLMs; nullopt if there is no gateway that knows.
  virtual std::optional<GatewayAgent> llm_use(const std::string& name) = 0;
  /// Starts the gateway again if it was killed: true then.
  virtual bool keep_gateway() = 0;
  /// Agents whose last request to an LLM was refused by a limit, and the refusal.
  virtual std::map<std::string, std::string> limits_reached() = 0;
  /// Machines with names that run or are paused.
  virtual std::vector<std::string> running_machines() = 0;
  virtual void stop_machine(const std::string& name) = 0;
};

}  // namespace fireclaw::overseer
