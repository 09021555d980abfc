#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/files/fd.hpp"
#include "crew/agents.hpp"

namespace fireclaw::overseer {

/// Agents without machines, by the library's rules: what is recorded is a file in a folder, a machine is a process that
/// does nothing and lives on when this one ends. Safe from several threads.
///
/// Templates: worker, quick and muse start at once, muse under a nick of muse_; slow takes `slow`, which a stop cuts
/// short; broken never starts, and frail only once; sickly ends by itself as soon as it has started; shy does not get
/// on IRC and writes nothing down; chatty says of itself all that a guest can, and is the one that asks an LLM and that
/// was refused something. A file "slow-to-answer" in the folder makes reconcile() take as long; a file "gateway-killed"
/// is a gateway to be started again; "gateway-limits" has agents that have reached a limit; a file "old" is what an
/// earlier version left.
class FakeAgents final : public Agents {
 public:
  explicit FakeAgents(std::filesystem::path folder, std::chrono::milliseconds slow = std::chrono::seconds{3});

  std::vector<AgentTemplate> templates() override;
  std::vector<AgentInfo> list() override;
  AgentInfo info(const std::string& name) override;
  AgentInfo status(const std::string& name) override;
  AgentInfo start(const AgentConfig& config, std::stop_token stop) override;
  AgentInfo fork(const std::string& name, const ForkConfig& config, std::stop_token stop) override;
  SnapshotInfo snapshot(const std::string& name, const std::string& snapshot, std::stop_token stop) override;
  void stop(const std::string& name) override;
  AgentInfo restart(const std::string& name, std::stop_token stop) override;
  void remove(const std::string& name) override;
  AgentInfo reload(const std::string& name, const AgentSettings& settings) override;
  void pause(const std::string& name) override;
  void resume(const std::string& name) override;
  ReconcileReport reconcile() override;
  TendReport tend_machines() override { return {}; }
  std::vector<std::string> upgrade(std::stop_token stop) override;
  std::vector<std::string> running_machines() override { return {}; }
  void stop_machine(const std::string& /*name*/) override {}
  std::unique_ptr<EndWatch> watch(const std::string& name) override;
  std::string logs(const std::string& name, std::size_t lines) override;
  std::string memory(const std::string& name) override;
  std::vector<NetworkRefusal> refusals(const std::string& name, std::size_t most) override;
  std::vector<std::string> allow(const std::string& name, const std::string& destination) override;
  std::vector<std::string> deny(const std::string& name, const std::string& destination) override;
  std::optional<GatewayAgent> llm_use(const std::string& name) override;
  bool keep_gateway() override;
  std::map<std::string, std::string> limits_reached() override;

  /// Ends an agent's machine as a crash would.
  void crash(const std::string& name);
  /// Whether an agent looks as if some other process were still starting it.
  void show_starting(const std::string& name, bool starting);
  /// What was asked for, in order: "start worker", "stop worker", ...
  std::vector<std::string> calls();

 private:
  struct Record {
    std::string template_name;
    std::string model;
    std::string persona;
    /// "running", "paused", "stopped"
    std::string phase;
    std::int64_t pid = 0;
    std::int64_t started = 0;
    bool detached = true;
    /// Why it is down.
    std::string error;
  };

  [[nodiscard]] std::filesystem::path path_of(const std::string& name) const;
  Record load(const std::string& name);
  void save(const std::string& name, const Record& record);
  AgentInfo describe(const std::string& name, const Record& record);
  bool lives(std::int64_t pid);
  void kill(std::int64_t pid);

  std::filesystem::path folder_;
  std::chrono::milliseconds slow_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<std::string> calls_;
  std::set<std::string> starting_;
  /// What each may reach.
  std::map<std::string, std::vector<std::string>> allowed_;
  /// Agents that somebody changes at the moment: two at once must not happen.
  std::map<std::string, int> changing_;
  struct Change;
};

}  // namespace fireclaw::overseer
