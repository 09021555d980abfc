#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/sync.hpp"
#include "core/agents/copy.hpp"
#include "core/agents/guest.hpp"
#include "core/host/impl.hpp"
#include "core/machines/impl.hpp"
#include "fireclaw/agent.hpp"
#include "state/records/agents.hpp"
#include "state/settings/templates.hpp"
#include "sys/file.hpp"

namespace fireclaw {

namespace core {

/// What the bot says of itself.
void put(AgentInfo& info, const BotStatus& status);
/// The last `lines` of a text; all of it if `lines` is 0.
std::string last_lines(std::string text, std::size_t lines);
/// Settings that are given replace recorded ones.
void apply(state::AgentRecord& record, const AgentSettings& settings);

/// What is said of an agent whose copy ended half way.
std::string removed_copy(const std::string& agent);
/// "worker-20261122-143007"
std::string snapshot_name(const std::string& agent);

/// The template's list; empty with the network "services".
std::vector<std::string> template_list(const state::AgentRecord& record, const state::Template& from);
/// What an agent may reach outside: its template's list, changed by what was allowed and denied since. Entries with the
/// same meaning count as one.
std::vector<std::string> allowed_list(const state::AgentRecord& record, const state::Template& from);

/// The plan for an agent's start: its template, network and the bot's configuration. Each file is read once, before
/// anything is made; later edits count for the next start.
struct ResolvedAgent {
  state::AgentRecord record;
  state::Template from;
  NetworkMode network = NetworkMode::User;
  /// Its servers that are not at the gateway.
  std::vector<std::string> elsewhere;
  std::string bot_json;
};

/// The machine of an agent: its template's, with what was asked for beyond.
VMConfig machine_of(const ResolvedAgent& agent, const AgentConfig& config);

}  // namespace core

/// A process that changes an agent holds its lock from before it reads the record until it has written the new one. The
/// record announces a change before it is made, so reconcile() finds everything that a killed process leaves behind.
struct AgentManager::Impl {
  explicit Impl(const Host& of);
  /// The same agents for one operation, which sees one configuration.
  Impl(const Impl& of, const core::SettledHost& settled);

  AgentInfo start(const AgentConfig& config, const AgentStartOptions& options);
  AgentInfo fork(const std::string& name, const ForkConfig& fork, const AgentStartOptions& options);
  SnapshotInfo snapshot(const std::string& name, const std::string& wanted, bool replace, const std::stop_token& stop);
  void export_archive(const std::string& name, int fd, bool memory, const std::stop_token& stop);
  AgentImport import_archive(int fd, const AgentImportOptions& options);
  void stop(const std::string& name, std::chrono::milliseconds grace);
  AgentInfo restart(const std::string& name, const AgentStartOptions& options);
  AgentInfo reload(const std::string& name, const AgentSettings& settings);

  /// The agent's lock. Its holder finds no machine that is paused by a process that was killed.
  [[nodiscard]] sys::FileLock lock(const std::string& name) const;
  /// Error(NotFound) if there is no such agent.
  [[nodiscard]] state::AgentRecord require(const std::string& name) const;
  /// find(), for a caller with the agent's lock. A copy that was interrupted before it was whole is undone first.
  std::optional<state::AgentRecord> find_whole(const std::string& name);
  [[nodiscard]] state::Template require_template(const std::string& name) const;
  /// The record of the agent's machine, if its engine runs. A machine that a killed process left paused is
  /// resumed.
  [[nodiscard]] std::optional<state::RunRecord> running(const state::AgentRecord& record) const;
  /// Error(AlreadyExists) if there is an agent or a workspace of that name.
  void require_new(const std::string& name);
  /// A handle to the agent's machine. Error(InvalidState) unless it runs.
  std::shared_ptr<VM::Impl> machine(const state::AgentRecord& record);
  /// An agent on a network of this kind. Error(InvalidArgument) for settings that are impossible.
  [[nodiscard]] core::ResolvedAgent resolve(state::AgentRecord record, state::Template from, NetworkMode network) const;
  /// Plans an agent's start; Error if it cannot be started. Changes nothing.
  [[nodiscard]] core::ResolvedAgent plan(const std::string& name, const AgentConfig& config, state::Template from,
                                         const std::optional<state::AgentRecord>& before) const;
  /// `from`: its template, if that has been read already.
  [[nodiscard]] AgentInfo describe(const state::AgentRecord& record, const state::Template* from = nullptr) const;
  /// describe(), with what the bot says of itself.
  AgentInfo ask(const state::AgentRecord& record, Deadline deadline);
  /// Ends the agent's machine in order, if it runs, and cleans up. The record announces the end before.
  void end(state::AgentRecord record, state::AgentPhase phase, std::chrono::milliseconds grace);
  /// Ends the leftovers of the agent's machine and everything that was made for it.
  void clean_up(const state::AgentRecord& record);
  /// Removes an agent that was to be a copy of another one, and everything that it was given.
  void undo_copy(const state::AgentRecord& record);
  ReconcileReport reconcile();

  /// The same host twice: for the public classes, and its insides.
  Host handle;
  std::shared_ptr<Host::Impl> host;
  state::AgentStore agents;
  state::TemplateStore templates;

 private:
  /// Gives the copy that an agent continues from; none: it begins with only its workspace.
  using Origin = std::function<core::AgentCopy()>;
  /// start() from a snapshot.
  AgentInfo start_saved(const AgentConfig& config, const AgentStartOptions& options);
  /// The part of a start that is undone if it fails. The caller holds the agent's lock.
  void begin(core::ResolvedAgent& agent, const std::optional<state::AgentRecord>& before, const AgentConfig& config,
             const AgentStartOptions& options, const Origin& origin, std::vector<Phase>& phases);
  void launch(core::ResolvedAgent& agent, const AgentConfig& config, const AgentStartOptions& options,
              const core::AgentCopy* copy, std::vector<Phase>& phases);
  /// Warns of servers outside the machine that the agent needs and that do not answer.
  void warn_of_outside(const core::ResolvedAgent& agent) const;
  /// The part after it: waits for the agent to be on IRC.
  AgentInfo joined(const core::ResolvedAgent& agent, const AgentStartOptions& options, std::vector<Phase> phases);
  /// Error(AlreadyExists) if another agent has this name but for the case of its letters, which IRC does not tell
  /// apart.
  void require_own_nick(const std::string& name) const;
  /// Makes the agent's workspace unless it is there; true if it was made.
  bool ensure_workspace(const std::string& name, std::uint64_t size_mib) const;
  /// Puts back the record from before a failed start: an agent that was to run is then down, not stopped.
  void restore(const std::optional<state::AgentRecord>& before, const std::string& name,
               const std::string& failure) const;
  struct Asked;
  /// Asks all at once whether they answer.
  void ask_all(std::vector<Asked>& all);
  bool answers(const state::AgentRecord& record, Deadline deadline);
  /// Cleans up an agent that was found dead.
  void bury(state::AgentRecord record, ReconcileReport& report);

  /// Machines that end with the last object that shares this.
  using Held = Sync<std::map<std::string, std::shared_ptr<VM::Impl>>>;
  std::shared_ptr<Held> held_ = std::make_shared<Held>();
};

}  // namespace fireclaw
