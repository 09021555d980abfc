#include <algorithm>
#include <iterator>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "base/text.hpp"
#include "base/units.hpp"
#include "core/agents/copy.hpp"
#include "core/agents/guest.hpp"
#include "core/agents/impl.hpp"
#include "core/agents/machine.hpp"
#include "core/agents/outside.hpp"
#include "core/machines/snapshots.hpp"
#include "core/machines/workspace_disk.hpp"
#include "core/networks/destinations.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

/// Saving a machine of many GiB on a slow disk. The agent's lock is waited for longer than this and continuing take.
constexpr std::chrono::minutes copy_limit{3};
/// What an agent that is started again has to say goodbye.
constexpr std::chrono::milliseconds quit_limit{2000};

NatOptions nat_options(const core::ResolvedAgent& agent) {
  const auto& [record, from, network, elsewhere, bot_json] = agent;
  NatOptions options;
  options.services = GatewayServices::All;
  options.mib_per_second = static_cast<unsigned>(from.number("network_mib_per_second", 0));
  if (record.services_only) {
    // What it talks to lies beyond the gateway where config.json says so.
    std::ranges::copy_if(elsewhere, std::back_inserter(options.allow), core::is_destination);
    for (const auto& entry : core::allowed_list(record, from)) options.allow.push_back(entry);
    options.egress = options.allow.empty() ? Egress::None : Egress::Allowlist;
    return options;
  }
  options.allow_http = from.texts("allow_http");
  options.egress = egress_from_string(from.egress());
  options.allow = core::allowed_list(record, from);
  if (options.egress == Egress::None && !options.allow.empty()) options.egress = Egress::Allowlist;
  if (record.publishes) options.publish = from.texts("publish");
  return options;
}

/// Error(InvalidArgument) if they are to be had on another network than theirs.
bool chooses_services(const AgentConfig& config) {
  if (config.services_only && config.network.value_or(NetworkMode::Nat) != NetworkMode::Nat) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("the gateway's services are reached by the network nat, not {}",
                                                        to_string(*config.network))};
  }
  return config.services_only;
}

Error name_taken(const std::string& name) {
  return Error{ErrorCode::AlreadyExists,
               fmt::format("there is an agent '{0}' already; choose another name, or remove that one: fireclaw agent "
                           "remove {0}",
                           name)};
}

}  // namespace

VMConfig core::machine_of(const ResolvedAgent& agent, const AgentConfig& config) {
  const auto& [record, from, network, elsewhere, bot_json] = agent;
  auto vm = agent_machine(from);
  if (record.cpus) vm.cpus = *record.cpus;
  if (record.memory_mib) vm.memory_mib = *record.memory_mib;
  vm.network = network;
  vm.nat = nat_options(agent);
  vm.hostname = record.name;
  std::ranges::replace(vm.hostname, '_', '-');
  vm.workspace = record.name;
  vm.start = config.start;
  vm.detached = config.detached;
  return vm;
}

std::string core::removed_copy(const std::string& agent) {
  return fmt::format("agent '{}' was not copied in full from another one, so it is removed", agent);
}

std::string core::snapshot_name(const std::string& agent) {
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm time{};
  ::gmtime_r(&now, &time);
  return fmt::format("{}-{:04}{:02}{:02}-{:02}{:02}{:02}", agent, time.tm_year + 1900, time.tm_mon + 1, time.tm_mday,
                     time.tm_hour, time.tm_min, time.tm_sec);
}

bool AgentManager::Impl::ensure_workspace(const std::string& name, std::uint64_t size_mib) const {
  try {
    static_cast<void>(core::require_workspace(*host, name));
    return false;
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::NotFound) throw;
  }
  WorkspaceConfig config;
  config.name = name;
  config.size_mib = size_mib;
  handle.workspaces().create(config);
  return true;
}

void AgentManager::Impl::launch(core::ResolvedAgent& agent, const AgentConfig& config, const AgentStartOptions& options,
                                const core::AgentCopy* copy, std::vector<Phase>& phases) {
  const auto deadline = Deadline::after(options.timeout);
  const StartOptions waiting{options.timeout, options.stop};
  auto& record = agent.record;
  auto vm = core::machine_of(agent, config);
  core::Purpose purpose;
  if (copy != nullptr) vm.scratch_mib = static_cast<unsigned>(copy->record.agent->scratch_bytes / mib);
  const bool continues = copy != nullptr && copy->misfit.empty();
  if (continues) {
    purpose.continues = copy->continuation();
    purpose.prepared = copy->record.key.prepared;
  } else {
    if (copy != nullptr) {
      vm.image = copy->record.image;
      vm.cpus = copy->record.key.cpus;
      vm.memory_mib = copy->record.key.memory_mib;
      record.notice =
          fmt::format("it has lost the memory that was saved, and started again from its disks: {}", copy->misfit);
      host->logger.warning(fmt::format("agent '{}': {}", record.name, record.notice));
    }
    purpose = core::agent_purpose(deadline, options.stop);
    if (vm.start == StartMode::PreferSnapshot) core::ensure_agent_snapshot(host, vm, purpose, waiting);
    if (copy != nullptr && vm.scratch_mib != 0) purpose.scratch_from = copy->disks.scratch;
  }
  purpose.agent = record.name;

  const auto began = std::chrono::steady_clock::now();
  auto machine = std::make_shared<VM::Impl>(host, vm, purpose, waiting);
  record.run = machine->record.id;
  agents.put(record);
  ScopeGuard undo{[&] { machine->kill(); }};
  machine->start();
  if (continues) {
    core::rename_agent(*machine, agent.bot_json, deadline, options.stop);
  } else {
    core::configure_agent(*machine, agent.bot_json, deadline);
  }
  phases.insert(phases.end(), machine->phases.begin(), machine->phases.end());
  phases.push_back({"start", std::chrono::steady_clock::now() - began});
  record.phase = state::AgentPhase::Running;
  record.copy = state::CopyStage::Whole;
  record.worker.reset();
  record.started = std::chrono::system_clock::now();
  agents.put(record);
  undo.release();
  if (!config.detached) {
    held_->with([&](auto& held) { held.insert_or_assign(record.name, machine); });
  }
}

void AgentManager::Impl::restore(const std::optional<state::AgentRecord>& before, const std::string& name,
                                 const std::string& failure) const {
  if (!before) return agents.remove(name);
  auto after = *before;
  after.run.clear();
  after.worker.reset();
  const bool was_ended = after.phase == state::AgentPhase::Stopped || after.phase == state::AgentPhase::Stopping;
  after.phase = was_ended ? state::AgentPhase::Stopped : state::AgentPhase::Crashed;
  after.last_error = failure;
  agents.put(after);
}

void AgentManager::Impl::begin(core::ResolvedAgent& agent, const std::optional<state::AgentRecord>& before,
                               const AgentConfig& config, const AgentStartOptions& options, const Origin& origin,
                               std::vector<Phase>& phases) {
  auto& record = agent.record;
  record.detached = config.detached;
  record.run.clear();
  record.last_error.clear();
  record.notice.clear();
  record.phase = state::AgentPhase::Starting;
  record.copy = origin ? state::CopyStage::Begun : state::CopyStage::Whole;
  record.worker = sys::current_process();

  std::string failure = "its start failed";
  Rollback undo;
  undo.push([&] { restore(before, record.name, failure); });
  agents.put(record);
  try {
    std::optional<core::AgentCopy> copy;
    bool made = true;
    if (origin) {
      copy.emplace(origin());
      core::give_workspace(*host, *copy, record.name);
      // A machine that boots claims it as any other.
      if (!copy->misfit.empty()) copy->workspace.reset();
      record.copy = state::CopyStage::HasWorkspace;
    } else {
      made = ensure_workspace(record.name, agent.from.number("workspace_mib", core::default_workspace_mib));
    }
    if (made) undo.push([&] { handle.workspaces().remove(record.name); });
    if (copy) agents.put(record);
    launch(agent, config, options, copy ? &*copy : nullptr, phases);
  } catch (Error& problem) {
    problem.add_context(fmt::format("start agent '{}'", record.name));
    failure = problem.what();
    throw;
  }
  undo.commit();
}

void AgentManager::Impl::warn_of_outside(const core::ResolvedAgent& agent) const {
  try {
    const auto needs = core::read_needs(json::Value::parse(agent.bot_json, "the bot's configuration"));
    for (const auto& trouble : core::find_outside_trouble(*host, needs, agent.record.name)) {
      host->logger.warning(fmt::format("{}; fix it with: {}", trouble.problem, trouble.remedy));
    }
  } catch (const Error& problem) {
    host->logger.debug(problem.what());
  }
}

AgentInfo AgentManager::Impl::joined(const core::ResolvedAgent& agent, const AgentStartOptions& options,
                                     std::vector<Phase> phases) {
  auto info = describe(agent.record, &agent.from);
  if (options.join_timeout.count() != 0) {
    const auto began = std::chrono::steady_clock::now();
    try {
      core::put(info, core::await_online(*machine(agent.record), Deadline::after(options.join_timeout), options.stop));
    } catch (const Error& problem) {
      info.last_error = problem.what();
    }
    phases.push_back({"join", std::chrono::steady_clock::now() - began});
    warn_of_outside(agent);
  }
  info.phases = std::move(phases);
  return info;
}

core::ResolvedAgent AgentManager::Impl::plan(const std::string& name, const AgentConfig& config, state::Template from,
                                             const std::optional<state::AgentRecord>& before) const {
  if (const auto image = core::agent_machine(from).image; image == core::default_image && !host->images.find(image)) {
    throw Error{ErrorCode::NotFound,
                fmt::format("the image '{}', which agents run in, is not there; build it with: fireclaw setup --agents",
                            image)};
  }
  state::AgentRecord record;
  if (before && before->template_name == config.template_name) record = *before;
  record.name = name;
  record.template_name = config.template_name;
  core::apply(record, config.settings);
  if (config.cpus) record.cpus = config.cpus;
  if (config.memory_mib) record.memory_mib = config.memory_mib;
  auto wanted = from.text("network");
  record.services_only = chooses_services(config) || (wanted == state::services_network && !config.network);
  if (record.services_only || wanted == state::services_network) wanted.clear();
  const bool chosen = config.network || !wanted.empty();
  const auto best = chosen ? NetworkChoice{} : handle.network().best_mode();
  const auto network = config.network.value_or(wanted.empty() ? best.mode : network_mode_from_string(wanted));
  if (network == NetworkMode::None) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("an agent needs a network to reach IRC and its LLM: {}",
                            chosen ? "use nat or user"
                                   : best.reason + "; or name QEMU's, which reaches this host's own "
                                                   "network: --net user")};
  }
  record.network = std::string{to_string(network)};
  return resolve(std::move(record), std::move(from), network);
}

AgentInfo AgentManager::Impl::start(const AgentConfig& config, const AgentStartOptions& options) {
  if (!config.snapshot.empty()) return start_saved(config, options);
  const auto from = require_template(config.template_name);
  const auto name = config.name.empty() ? from.text("nick") : config.name;
  static_cast<void>(agents.find(name));  // refuses what cannot be a name
  std::optional<core::ResolvedAgent> agent;
  std::vector<Phase> phases;
  {
    const auto turn = lock(name);
    const auto before = find_whole(name);
    if (before && running(*before)) {
      throw Error{ErrorCode::AlreadyExists,
                  fmt::format("agent '{}' runs already; give another one its own name with --name, or: fireclaw agent "
                              "restart {}",
                              name, name)};
    }
    before ? clean_up(*before) : require_own_nick(name);
    agent = plan(name, config, from, before);
    begin(*agent, before, config, options, {}, phases);
  }
  return joined(*agent, options, std::move(phases));
}

AgentInfo AgentManager::Impl::restart(const std::string& name, const AgentStartOptions& options) {
  AgentConfig config;
  config.name = name;
  std::optional<core::ResolvedAgent> agent;
  std::vector<Phase> phases;
  {
    // One turn for both: in between it is neither stopped nor down, and nobody takes it for that.
    const auto turn = lock(name);
    static_cast<void>(require(name));
    const auto before = find_whole(name);
    if (!before) throw Error{ErrorCode::NotFound, core::removed_copy(name)};
    config.template_name = before->template_name;
    config.services_only = before->services_only;
    if (before->network && !before->services_only) config.network = network_mode_from_string(*before->network);
    // What cannot be started is not ended either.
    agent = plan(name, config, require_template(before->template_name), before);
    end(*before, state::AgentPhase::Restarting, quit_limit);
    begin(*agent, before, config, options, {}, phases);
  }
  return joined(*agent, options, std::move(phases));
}

void AgentManager::Impl::require_own_nick(const std::string& name) const {
  for (const auto& other : agents.list()) {
    if (other.name == name || to_lower(other.name) != to_lower(name)) continue;
    throw Error{ErrorCode::AlreadyExists,
                fmt::format("there is an agent '{}' already, and on IRC '{}' is the same name; choose another one",
                            other.name, name)};
  }
}

void AgentManager::Impl::require_new(const std::string& name) {
  if (find_whole(name)) throw name_taken(name);
  require_own_nick(name);
  core::require_no_workspace(*host, name);
}

AgentInfo AgentManager::Impl::start_saved(const AgentConfig& config, const AgentStartOptions& options) {
  auto copy = core::open_copy(*host, config.snapshot);
  auto record = copy.record.agent->agent;
  if (!config.template_name.empty() && config.template_name != record.template_name) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("snapshot '{}' is of an agent of template '{}', not '{}'",
                                                        config.snapshot, record.template_name, config.template_name)};
  }
  if (config.cpus || config.memory_mib || config.start == StartMode::Cold) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("an agent continues from snapshot '{}' with the machine that it had: neither its CPUs nor its "
                    "memory can be chosen, and it cannot boot",
                    config.snapshot)};
  }
  if (!config.name.empty() && config.name != record.name) {
    record.name = config.name;
    record.publishes = false;
  }
  static_cast<void>(agents.find(record.name));  // refuses what cannot be a name
  core::apply(record, config.settings);
  const bool services_only = chooses_services(config);
  if (config.network || services_only) {
    record.network = std::string{to_string(config.network.value_or(NetworkMode::Nat))};
    record.services_only = services_only;
  }
  const auto network = network_mode_from_string(*record.network);
  if (network == NetworkMode::None) {
    throw Error{ErrorCode::InvalidArgument, "an agent needs a network to reach IRC and its LLM: use nat or user"};
  }
  std::optional<core::ResolvedAgent> agent;
  std::vector<Phase> phases;
  {
    const auto turn = lock(record.name);
    require_new(record.name);
    agent = resolve(record, require_template(record.template_name), network);
    begin(
        *agent, std::nullopt, config, options, [&] { return std::move(copy); }, phases);
  }
  return joined(*agent, options, std::move(phases));
}

AgentInfo AgentManager::Impl::fork(const std::string& name, const ForkConfig& fork, const AgentStartOptions& options) {
  static_cast<void>(agents.find(fork.name));  // refuses what cannot be a name
  if (fork.name == name) throw name_taken(name);
  AgentConfig config;
  config.detached = fork.detached;
  std::optional<core::ResolvedAgent> agent;
  std::vector<Phase> phases;
  {
    // Both, and always in the same order: two forks the other way round must not wait for each other.
    std::optional<sys::FileLock> one{lock(std::min(name, fork.name))};
    std::optional<sys::FileLock> other{lock(std::max(name, fork.name))};
    auto& lock_of_first = name < fork.name ? one : other;
    const auto first = require(name);
    require_new(fork.name);
    auto source = machine(first);
    auto record = first;
    record.name = fork.name;
    record.publishes = false;
    record.started = {};
    core::apply(record, fork.settings);
    agent = resolve(record, require_template(record.template_name), network_mode_from_string(*record.network));
    const auto copied = [&] {
      const auto began = std::chrono::steady_clock::now();
      auto copy = core::copy_agent(*source, first, "fork-" + fork.name, Deadline::after(copy_limit), options.stop);
      lock_of_first.reset();
      source.reset();
      phases.push_back({"copy", std::chrono::steady_clock::now() - began});
      phases.push_back({"pause", copy.paused_for});
      return copy;
    };
    begin(*agent, std::nullopt, config, options, copied, phases);
  }
  return joined(*agent, options, std::move(phases));
}

SnapshotInfo AgentManager::Impl::snapshot(const std::string& name, const std::string& wanted, bool replace,
                                          const std::stop_token& stop) {
  const auto snapshot = wanted.empty() ? core::snapshot_name(name) : wanted;
  image::check_name(snapshot, "a snapshot");
  const auto turn = lock(name);
  const auto record = require(name);
  const auto source = machine(record);
  const auto refuse_taken = [&] {
    if (!replace && host->snapshots.find(snapshot)) {
      throw Error{
          ErrorCode::AlreadyExists,
          fmt::format("there is a snapshot named '{0}'; remove it with: fireclaw snapshot remove {0}", snapshot)};
    }
  };
  refuse_taken();
  auto copy = core::copy_agent(*source, record, snapshot, Deadline::after(copy_limit), stop);
  refuse_taken();
  const auto published = host->snapshots.publish(std::move(*copy.draft), std::move(copy.record), replace);
  return core::describe(*host, published);
}

}  // namespace fireclaw
