#include "crew/library_agents.hpp"

#include <algorithm>
#include <utility>

#include "fireclaw/collections.hpp"

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
  explicit LibraryAgents(const Host& host) : host_{host}, agents_{host.agents()}, machines_{host.machines()} {}

  std::vector<AgentTemplate> templates() override { return agents_.templates(); }
  std::vector<AgentInfo> list() override { return agents_.list(); }
  AgentInfo info(const std::string& name) override { return agents_.open(name).info(); }
  AgentInfo status(const std::string& name) override { return agents_.open(name).status(); }
  AgentInfo start(const AgentConfig& config, std::stop_token stop) override {
    return agents_.start(config, {.stop = std::move(stop)}).start_info();
  }
  AgentInfo fork(const std::string& name, const ForkConfig& config, std::stop_token stop) override {
    return agents_.open(name).fork(config, {.stop = std::move(stop)}).start_info();
  }
  SnapshotInfo snapshot(const std::string& name, const std::string& snapshot, std::stop_token stop) override {
    return agents_.open(name).snapshot(snapshot, false, std::move(stop));
  }
  void stop(const std::string& name) override { agents_.open(name).stop(); }
  AgentInfo restart(const std::string& name, std::stop_token stop) override {
    return agents_.open(name).restart({.stop = std::move(stop)});
  }
  void remove(const std::string& name) override { agents_.open(name).remove(); }
  AgentInfo reload(const std::string& name, const AgentSettings& settings) override {
    return agents_.open(name).reload(settings);
  }
  void pause(const std::string& name) override { agents_.open(name).pause(); }
  void resume(const std::string& name) override { agents_.open(name).resume(); }
  ReconcileReport reconcile() override { return agents_.reconcile(); }
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
    return std::make_unique<LibraryWatch>(agents_.open(name).watch());
  }
  std::string logs(const std::string& name, std::size_t lines) override { return agents_.open(name).logs(lines); }
  std::string memory(const std::string& name) override { return agents_.open(name).memory(); }
  std::vector<NetworkRefusal> refusals(const std::string& name, std::size_t most) override {
    static_cast<void>(agents_.open(name));
    return host_.network().refusals(name, most);
  }
  std::vector<std::string> allow(const std::string& name, const std::string& destination) override {
    static_cast<void>(agents_.open(name));
    return host_.network().allow(name, destination);
  }
  std::vector<std::string> deny(const std::string& name, const std::string& destination) override {
    static_cast<void>(agents_.open(name));
    return host_.network().deny(name, destination);
  }
  std::optional<GatewayAgent> llm_use(const std::string& name) override {
    const auto gateway = host_.gateway().info();
    const auto found = std::ranges::find(gateway.agents, name, &GatewayAgent::name);
    return found == gateway.agents.end() ? std::nullopt : std::optional{*found};
  }
  bool keep_gateway() override { return host_.gateway().ensure(); }
  std::map<std::string, std::string> limits_reached() override {
    std::map<std::string, std::string> reached;
    for (const auto& agent : host_.gateway().info().agents) {
      if (!agent.limit.empty()) reached.emplace(agent.name, agent.limit);
    }
    return reached;
  }

 private:
  Host host_;
  AgentManager agents_;
  MachineManager machines_;
};

}  // namespace

std::unique_ptr<Agents> library_agents(const Host& host) { return std::make_unique<LibraryAgents>(host); }

}  // namespace fireclaw::overseer
