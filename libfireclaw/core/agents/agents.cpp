#include "core/agents/impl.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/agents/bot_config.hpp"
#include "core/agents/guest.hpp"
#include "core/agents/machine.hpp"
#include "core/agents/outside.hpp"
#include "core/machines/end_run.hpp"
#include "core/machines/resume_abandoned.hpp"
#include "core/networks/connection.hpp"
#include "core/workspaces/files.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "state/settings/config.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/usage.hpp"

namespace fireclaw {
namespace {

/// Another process may be starting, stopping or copying the agent.
constexpr std::chrono::minutes lock_limit{6};
constexpr std::size_t most_log_bytes = std::size_t{1} << 20;
constexpr std::chrono::seconds reload_limit{20};

AgentState to_state(const state::AgentRecord& record, const std::optional<state::RunRecord>& run) {
  const bool worker_lives = record.worker && sys::is_alive(*record.worker);
  switch (record.phase) {
    case state::AgentPhase::Starting: return worker_lives ? AgentState::Starting : AgentState::Crashed;
    case state::AgentPhase::Restarting:
      if (!run) return worker_lives ? AgentState::Starting : AgentState::Crashed;
      return run->paused ? AgentState::Paused : AgentState::Running;
    case state::AgentPhase::Stopping:
    case state::AgentPhase::Running:
      // An agent that was told to end is stopped, also before the process that told it has recorded that.
      if (!run) return record.phase == state::AgentPhase::Stopping ? AgentState::Stopped : AgentState::Crashed;
      return run->paused ? AgentState::Paused : AgentState::Running;
    case state::AgentPhase::Stopped: return AgentState::Stopped;
    case state::AgentPhase::Crashed: return AgentState::Crashed;
  }
  throw Error{ErrorCode::Internal, "unknown phase of an agent"};
}

std::string why_crashed(const state::AgentRecord& record) {
  if (!record.last_error.empty()) return record.last_error;
  if (record.copy != state::CopyStage::Whole) return "copying it from another agent was interrupted";
  if (record.phase == state::AgentPhase::Starting) return "its start was interrupted";
  if (record.phase == state::AgentPhase::Restarting) return "its restart was interrupted";
  return "its machine ended unexpectedly";
}

AgentTemplate to_public(const state::Template& from) {
  AgentTemplate out;
  out.name = from.name;
  out.description = from.text("description");
  out.nick = from.text("nick");
  out.model = from.text("model");
  out.persona = from.text("persona");
  out.trigger = from.text("trigger", "mention");
  out.tools = from.tools();
  out.channels = from.texts("channels");
  const auto machine = core::agent_machine(from);
  out.image = machine.image;
  out.cpus = machine.cpus;
  out.memory_mib = machine.memory_mib;
  out.scratch_mib = machine.scratch_mib;
  out.workspace_mib = from.number("workspace_mib", core::default_workspace_mib);
  out.file = from.file;
  return out;
}

/// The host as a guest on a network of this kind sees it.
std::string host_address(const state::Config& config, NetworkMode network) {
  if (network == NetworkMode::Nat) return state::make_network_policy(config.network).gateway.to_string();
  return std::string{core::user_network_host};
}

/// Whether a nick is what the bot takes when its own is taken. No other is believed: it might be a person's.
bool is_variant(std::string_view nick, std::string_view name) {
  constexpr std::size_t most_added = 6;
  return nick.starts_with(name) && nick.size() <= name.size() + most_added &&
         nick.find_first_not_of("_0123456789", name.size()) == std::string_view::npos;
}

}  // namespace

std::string core::last_lines(std::string text, std::size_t lines) {
  if (lines == 0) return text;
  auto at = text.size();
  if (at > 0 && text[at - 1] == '\n') --at;
  for (; lines > 0; --lines) {
    const auto newline = at == 0 ? std::string::npos : text.rfind('\n', at - 1);
    if (newline == std::string::npos) return text;
    at = newline;
  }
  return text.substr(at + 1);
}

void core::put(AgentInfo& info, const BotStatus& status) {
  info.online = status.online;
  if (status.online && is_variant(status.nick, info.name)) info.nick = status.nick;
  info.channels = status.channels;
  info.last_error = status.last_error;
  info.llm_errors = status.llm_errors;
}

void core::apply(state::AgentRecord& record, const AgentSettings& settings) {
  if (settings.model) record.model = settings.model;
  if (settings.persona) record.persona = settings.persona;
  if (settings.trigger) record.trigger = settings.trigger;
  if (settings.tools) record.tools = settings.tools;
}

// The end of a machine.

AgentWatch::AgentWatch(AgentWatch&& other) noexcept : fd_{std::exchange(other.fd_, -1)} {}
AgentWatch& AgentWatch::operator=(AgentWatch&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}
AgentWatch::~AgentWatch() {
  if (fd_ >= 0) ::close(fd_);
}
int AgentWatch::fd() const noexcept { return fd_; }
bool AgentWatch::ended() const { return wait(std::chrono::milliseconds{0}); }
bool AgentWatch::wait(std::chrono::milliseconds timeout, std::stop_token stop) const {
  return sys::wait_fd(fd_, POLLIN, Deadline::after(timeout), stop) == sys::WaitResult::Ready;
}

// What the manager knows.

AgentManager::Impl::Impl(const Host& of)
    : handle{of},
      host{Access::impl(of)},
      agents{host->layout.agents(), host->logger},
      templates{host->layout.templates(), host->logger} {}

AgentManager::Impl::Impl(const Impl& of, const core::SettledHost& settled)
    : handle{Access::host(settled.host)},
      host{settled.host},
      agents{of.agents},
      templates{of.templates},
      held_{of.held_} {}

sys::FileLock AgentManager::Impl::lock(const std::string& name) const {
  auto turn = sys::FileLock::acquire(host->layout.lock("agent-" + name), sys::FileLock::Mode::Exclusive,
                                     Deadline::after(lock_limit), fmt::format("agent '{}'", name));
  const auto record = agents.find(name);
  const auto run = record && !record->run.empty() ? host->runs.find(record->run) : std::nullopt;
  if (run) core::resume_abandoned(host, *run);
  return turn;
}

state::AgentRecord AgentManager::Impl::require(const std::string& name) const {
  auto record = agents.find(name);
  if (!record) throw Error{ErrorCode::NotFound, fmt::format("no agent '{}'; see: fireclaw agent list", name)};
  return std::move(*record);
}

std::optional<state::AgentRecord> AgentManager::Impl::find_whole(const std::string& name) {
  auto record = agents.find(name);
  if (!record || record->copy == state::CopyStage::Whole) return record;
  undo_copy(*record);
  return std::nullopt;
}

state::Template AgentManager::Impl::require_template(const std::string& name) const {
  auto found = templates.find(name);
  if (!found) {
    throw Error{ErrorCode::NotFound, fmt::format("no template '{}'; see: fireclaw agent templates", name)};
  }
  return std::move(*found);
}

std::optional<state::RunRecord> AgentManager::Impl::running(const state::AgentRecord& record) const {
  if (record.run.empty()) return std::nullopt;
  auto run = host->runs.find(record.run);
  if (run && core::is_abandoned(*run)) {
    core::try_resume_abandoned(host, *run);
    run = host->runs.find(record.run);
  }
  if (!run || !state::is_running(*run)) return std::nullopt;
  return run;
}

std::shared_ptr<VM::Impl> AgentManager::Impl::machine(const state::AgentRecord& record) {
  const auto run = running(record);
  if (!run) {
    throw Error{
        ErrorCode::InvalidState,
        fmt::format("agent '{}' is not running; start it with: fireclaw agent restart {}", record.name, record.name)};
  }
  auto own = held_->with([&](const auto& held) {
    const auto found = held.find(record.name);
    return found != held.end() && found->second->record.id == run->id ? found->second : nullptr;
  });
  return own ? own : std::make_shared<VM::Impl>(host, *run);
}

core::ResolvedAgent AgentManager::Impl::resolve(state::AgentRecord record, state::Template from,
                                                NetworkMode network) const {
  const auto config = host->config();
  state::GatewaySettings served;
  if (config.gateway && network == NetworkMode::Nat) served = state::read_gateway_settings(*config.gateway);
  const auto gateway = host_address(config, network);
  const bool web = network == NetworkMode::Nat && !record.services_only && !from.texts("allow_http").empty();
  auto proxy = web ? fmt::format("http://{}:{}", gateway, state::http_port) : std::string{};
  auto text = core::to_bot_json({record.name, from, config.irc, config.llm, std::move(served), record.model,
                                 record.persona, record.trigger, record.tools, gateway, std::move(proxy)});
  auto elsewhere =
      core::servers_elsewhere(core::read_needs(json::Value::parse(text, "the bot's configuration")), gateway);
  return {std::move(record), std::move(from), network, std::move(elsewhere), std::move(text)};
}

AgentInfo AgentManager::Impl::describe(const state::AgentRecord& record, const state::Template* known) const {
  AgentInfo info;
  info.name = record.name;
  info.template_name = record.template_name;
  info.nick = record.name;
  info.workspace = record.name;
  info.started = record.started;
  info.detached = record.detached;
  info.services_only = record.services_only;
  info.notice = record.notice;
  const auto run = running(record);
  info.state = to_state(record, run);
  if (info.state == AgentState::Crashed) info.last_error = why_crashed(record);
  if (info.state == AgentState::Stopped) info.last_error = record.last_error;
  try {
    const auto from = known != nullptr ? *known : require_template(record.template_name);
    info.model = record.model.value_or(from.text("model"));
    info.trigger = record.trigger.value_or(from.text("trigger", "mention"));
    info.tools = record.tools.value_or(from.tools());
    const auto machine = core::agent_machine(from);
    info.image = machine.image;
    info.cpus = record.cpus.value_or(machine.cpus);
    info.memory_mib = record.memory_mib.value_or(machine.memory_mib);
  } catch (const Error& problem) {
    if (info.last_error.empty()) info.last_error = problem.what();
  }
  if (!run) return info;
  info.vm = run->id;
  info.image = run->image;
  info.engine = run->engine;
  info.network = network_mode_from_string(run->network);
  if (run->nat) info.address = run->nat->address;
  info.cpus = run->cpus;
  info.memory_mib = run->memory_mib;
  info.engine_pid = run->process->pid;
  if (const auto usage = sys::usage_of(*run->process)) {
    info.memory_bytes = usage->resident_bytes;
    info.cpu_time = std::chrono::duration_cast<std::chrono::milliseconds>(usage->cpu_time);
  }
  return info;
}

AgentInfo AgentManager::Impl::ask(const state::AgentRecord& record, Deadline deadline) {
  auto info = describe(record);
  if (info.state != AgentState::Running) return info;
  try {
    core::put(info, core::bot_status(*machine(record), deadline));
  } catch (const Error& problem) {
    info.last_error = problem.what();
  }
  return info;
}

// Stopping and changing.

void AgentManager::Impl::clean_up(const state::AgentRecord& record) {
  held_->with([&](auto& held) { held.erase(record.name); });
  if (record.run.empty()) return;
  if (const auto run = host->runs.find(record.run)) core::end_run(*host, *run);
}

void AgentManager::Impl::undo_copy(const state::AgentRecord& record) {
  clean_up(record);
  if (record.copy == state::CopyStage::HasWorkspace &&
      std::filesystem::exists(host->workspaces.directory(record.name))) {
    handle.workspaces().remove(record.name);
  }
  agents.remove(record.name);
  host->logger.warning(core::removed_copy(record.name));
}

void AgentManager::Impl::end(state::AgentRecord record, state::AgentPhase phase, std::chrono::milliseconds grace) {
  if (running(record)) {
    record.phase = phase;
    record.worker = sys::current_process();
    agents.put(record);
    machine(record)->stop(grace);
  }
  clean_up(record);
}

void AgentManager::Impl::stop(const std::string& name, std::chrono::milliseconds grace) {
  const auto turn = lock(name);
  static_cast<void>(require(name));
  auto record = find_whole(name);
  if (!record) return;
  end(*record, state::AgentPhase::Stopping, grace);
  record->phase = state::AgentPhase::Stopped;
  record->worker.reset();
  record->run.clear();
  record->last_error.clear();
  agents.put(*record);
}

AgentInfo AgentManager::Impl::reload(const std::string& name, const AgentSettings& settings) {
  const auto turn = lock(name);
  auto record = require(name);
  core::apply(record, settings);
  const auto run = running(record);
  const auto network = network_mode_from_string(run ? run->network : record.network.value_or("user"));
  const auto agent = resolve(record, require_template(record.template_name), network);
  if (run) core::configure_agent(*machine(agent.record), agent.bot_json, Deadline::after(reload_limit));
  agents.put(agent.record);
  return describe(agent.record, &agent.from);
}

// The public classes.

AgentManager::AgentManager(const Host& host) : impl_{std::make_shared<Impl>(host)} {}

std::vector<AgentTemplate> AgentManager::templates() const {
  std::vector<AgentTemplate> all;
  for (const auto& from : impl_->templates.list()) all.push_back(to_public(from));
  return all;
}

AgentTemplate AgentManager::find_template(const std::string& name) const {
  return to_public(impl_->require_template(name));
}

Agent AgentManager::start(const AgentConfig& config, const AgentStartOptions& options) const {
  const core::SettledHost settled{*impl_->host};
  auto started = std::make_shared<const AgentInfo>(Impl{*impl_, settled}.start(config, options));
  return {impl_, started->name, started};
}

Agent AgentManager::open(const std::string& name) const { return {impl_, impl_->require(name).name}; }

std::vector<AgentInfo> AgentManager::list() const {
  std::vector<AgentInfo> all;
  for (const auto& record : impl_->agents.list()) all.push_back(impl_->describe(record));
  return all;
}

ReconcileReport AgentManager::reconcile() const { return impl_->reconcile(); }

Agent::Agent(std::shared_ptr<AgentManager::Impl> agents, std::string name, std::shared_ptr<const AgentInfo> started)
    : agents_{std::move(agents)}, name_{std::move(name)}, started_{std::move(started)} {}

AgentInfo Agent::info() const { return agents_->describe(agents_->require(name_)); }

AgentInfo Agent::start_info() const { return started_ ? *started_ : info(); }

AgentInfo Agent::status(std::chrono::milliseconds timeout) const {
  return agents_->ask(agents_->require(name_), Deadline::after(timeout));
}

void Agent::stop(std::chrono::milliseconds grace) const { agents_->stop(name_, grace); }

AgentInfo Agent::restart(const AgentStartOptions& options) const {
  const core::SettledHost settled{*agents_->host};
  return AgentManager::Impl{*agents_, settled}.restart(name_, options);
}

void Agent::remove() const {
  const auto turn = agents_->lock(name_);
  static_cast<void>(agents_->require(name_));
  const auto record = agents_->find_whole(name_);
  if (!record) return;
  if (agents_->running(*record)) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("agent '{}' runs; stop it first: fireclaw agent stop {}", name_, name_)};
  }
  agents_->clean_up(*record);
  agents_->agents.remove(name_);
}

AgentInfo Agent::reload(const AgentSettings& settings) const {
  const core::SettledHost settled{*agents_->host};
  return AgentManager::Impl{*agents_, settled}.reload(name_, settings);
}

void Agent::pause() const {
  const auto turn = agents_->lock(name_);
  agents_->machine(agents_->require(name_))->pause(Deadline::after(reload_limit));
}

void Agent::resume() const {
  const auto turn = agents_->lock(name_);
  agents_->machine(agents_->require(name_))->resume(Deadline::after(reload_limit));
}

Agent Agent::fork(const ForkConfig& config, const AgentStartOptions& options) const {
  const core::SettledHost settled{*agents_->host};
  auto started = std::make_shared<const AgentInfo>(AgentManager::Impl{*agents_, settled}.fork(name_, config, options));
  return {agents_, started->name, started};
}

SnapshotInfo Agent::snapshot(const std::string& snapshot, bool replace, std::stop_token stop) const {
  return agents_->snapshot(name_, snapshot, replace, stop);
}

AgentWatch Agent::watch() const {
  const auto run = agents_->running(agents_->require(name_));
  auto ended = run ? sys::open_pidfd(*run->process) : std::nullopt;
  if (!ended) throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' is not running", name_)};
  return AgentWatch{ended->release()};
}

std::string Agent::logs(std::size_t lines) const {
  // For both parts of the log.
  const auto files = core::open_files(agents_->host, agents_->require(name_).name, "reading the log", {});
  std::string text;
  // The older part first; it is there once the log has been rotated.
  for (const std::string_view part : {".1", ""}) {
    try {
      text += files->read_file(fmt::format("{}{}", core::agent_log, part), most_log_bytes);
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::NotFound) throw;
    }
  }
  return core::last_lines(std::move(text), lines);
}

void Agent::follow_logs(std::size_t lines, const OutputCallback& on_output, std::stop_token stop) const {
  ExecOptions tail;
  tail.argv = {"tail", "-n", std::to_string(lines), "-F", fmt::format("{}/{}", core::agent_workspace, core::agent_log)};
  tail.user = "root";
  tail.stop = std::move(stop);
  tail.on_stdout = on_output;
  tail.on_stderr = [](std::string_view) {};
  try {
    agents_->machine(agents_->require(name_))->start_command(std::move(tail)).wait();
  } catch (const Error& problem) {
    // The machine's end is the end of what can be followed.
    if (problem.code() != ErrorCode::Guest || agents_->running(agents_->require(name_))) throw;
  }
}

std::string Agent::memory() const {
  return agents_->handle.workspaces().open(agents_->require(name_).name).read_file("MEMORY.md");
}

ExecResult Agent::exec(ExecOptions options) const { return spawn(std::move(options)).wait(); }

ExecResult Agent::exec(std::string line) const { return exec(ExecOptions::shell(std::move(line))); }

Process Agent::spawn(ExecOptions options) const {
  if (options.user.empty()) options.user = core::agent_user;
  if (options.cwd.empty()) options.cwd = core::agent_workspace;
  return machine().spawn(std::move(options));
}

VM Agent::machine() const { return Access::vm(agents_->machine(agents_->require(name_))); }

}  // namespace fireclaw
