#include "crew/library_agents.hpp"

#include <algorithm>
#include <utility>

namespace fireclaw::overseer {
namespace {

class LibraryWatch final : public EndWatch {
 public:
  explicit LibraryWatch(AgentWatch watch) : watch_{std::move(watch)} {}
  [[nodiscard]] int fd() const override { return watch_.fd(); }

 private:
  AgentWatch watch_;
};

class LibraryAgents final : public Agents {
 public:
  explicit LibraryAgents(const Host& host) : host_{host}, manager_{host}, machines_{host} {}

  std::vector<AgentTemplate> templates() override { return manager_.templates(); }
  std::vector<AgentInfo> list() override { return manager_.list(); }
  AgentInfo info(const std::string& name) override { return manager_.info(name); }
  AgentInfo status(const std::string& name) override { return manager_.status(name); }
  AgentInfo start(const AgentConfig& config) override { return manager_.start(config); }
  AgentInfo fork(const std::string& name, const ForkConfig& config) override { return manager_.fork(name, config); }
  SnapshotInfo snapshot(const std::string& name, const std::string& snapshot, std::stop_token stop) override {
    return manager_.snapshot(name, snapshot, false, std::move(stop));
  }
  void stop(const std::string& name) override { manager_.stop(name); }
  AgentInfo restart(const std::string& name, std::stop_token stop) override {
    return manager_.restart(name, std::move(stop));
  }
  void remove(const std::string& name) override { manager_.remove(name); }
  AgentInfo reload(const std::string& name, const AgentSettings& settings) override {
    return manager_.reload(name, settings);
  }
  void pause(const std::string& name) override { manager_.pause(name); }
  void resume(const std::string& name) override { manager_.resume(name); }
  ReconcileReport reconcile() override { return manager_.reconcile(); }
  TendReport tend_machines() override { return machines_.tend(); }
  std::vector<std::string> upgrade(std::stop_token stop) override {
    if (!host_.is_set_up()) return {};
    UpgradeOptions options;
    options.stop = std::move(stop);
    return host_.upgrade(options).renewed;
  }
  std::vector<std::string> running_machines() override {
    std::vector<std::string> names;
    for (const auto& machine : machines_.list()) {
      if (machine.engine_pid != 0) names.push_back(machine.name);
    }
    return names;
  }
  void stop_machine(const std::string& name) override { machines_.stop(name); }
  std::unique_ptr<EndWatch> watch(const std::string& name) override {
    return std::make_unique<LibraryWatch>(manager_.watch(name));
  }
  std::string logs(const std::string& name, std::size_t lines) override { return manager_.logs(name, lines); }
  std::string memory(const std::string& name) override { return manager_.memory(name); }
  std::vector<NetworkRefusal> refusals(const std::string& name, std::size_t most) override {
    static_cast<void>(manager_.info(name));
    return NetworkRules::refusals(host_, name, most);
  }
  std::vector<std::string> allow(const std::string& name, const std::string& destination) override {
    static_cast<void>(manager_.info(name));
    return NetworkRules::allow(host_, name, destination);
  }
  std::vector<std::string> deny(const std::string& name, const std::string& destination) override {
    static_cast<void>(manager_.info(name));
    return NetworkRules::deny(host_, name, destination);
  }
  std::optional<GatewayAgent> llm_use(const std::string& name) override {
    const auto gateway = Gateway::info(host_);
    const auto found = std::ranges::find(gateway.agents, name, &GatewayAgent::name);
    return found == gateway.agents.end() ? std::nullopt : std::optional{*found};
  }
  bool keep_gateway() override { return Gateway::ensure(host_); }
  std::map<std::string, std::string> limits_reached() override {
    std::map<std::string, std::string> reached;
    for (const auto& agent : Gateway::info(host_).agents) {
      if (!agent.limit.empty()) reached.emplace(agent.name, agent.limit);
    }
    return reached;
  }

 private:
  Host host_;
  AgentManager manager_;
  MachineManager machines_;
};

}  // namespace

std::unique_ptr<Agents> library_agents(const Host& host) { return std::make_unique<LibraryAgents>(host); }

}  // namespace fireclaw::overseer
