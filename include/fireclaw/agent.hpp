#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/exec.hpp"
#include "fireclaw/export.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {

class Agent;
class Host;

/// What agents are made from: a file templates/NAME.json of the home folder, or one built into the library.
struct AgentTemplate {
  /// Its name: that of the file without ".json".
  std::string name;
  /// What it is for, one line.
  std::string description;
  /// The agent's name and IRC nick unless another is given.
  std::string nick;
  /// The model's name at the LLM server, e.g. "qwen2.5:7b".
  std::string model;
  /// The system prompt's first part.
  std::string persona;
  /// "mention": answers when addressed by nick. "all": every line. Anything else: also lines that begin with it.
  std::string trigger = "mention";
  /// Whether it may use tools (shell, files, containers, memory).
  bool tools = false;
  /// The IRC channels that it joins.
  std::vector<std::string> channels;
  /// The image that its machine runs.
  std::string image;
  /// Virtual CPUs, 1–32.
  unsigned cpus = 1;
  /// The machine's memory in MiB.
  unsigned memory_mib = 0;
  /// Size of the persistent workspace when it is made for the first time.
  std::uint64_t workspace_mib = 0;
  /// Size of the sparse disk under /home/agent, which lives as long as the machine.
  std::uint64_t scratch_mib = 0;
  /// The file it was read from; empty: it is built into the library.
  std::filesystem::path file;
};

/// New settings for an agent. Unset ones stay as they are.
struct AgentSettings {
  /// As AgentTemplate::model.
  std::optional<std::string> model;
  /// As AgentTemplate::persona.
  std::optional<std::string> persona;
  /// As AgentTemplate::trigger.
  std::optional<std::string> trigger;
  /// As AgentTemplate::tools.
  std::optional<bool> tools;

  /// Equal in all members.
  bool operator==(const AgentSettings&) const = default;
};

/// Describes the agent to start.
struct AgentConfig {
  /// The template's name.
  std::string template_name;
  /// The agent's name, IRC nick, and its workspace's name: 1–30 letters, digits, - _, beginning with a letter. Empty:
  /// the template's nick.
  std::string name;
  /// Settings that override the template's; kept until the agent is removed.
  AgentSettings settings;
  /// Virtual CPUs, 1–32, instead of the template's.
  std::optional<unsigned> cpus;
  /// Memory in MiB instead of the template's.
  std::optional<unsigned> memory_mib;
  /// Empty: nat where it can be used, else user.
  std::optional<NetworkMode> network;
  /// Whether the machine is restored or boots. The first start of an agent of this image, size and network makes a
  /// snapshot, in which the bot is loaded and waits for its configuration; later starts restore it.
  StartMode start = StartMode::PreferSnapshot;
  /// The agent continues when this process ends. Otherwise it ends with this process, or sooner: with the last copy of
  /// the AgentManager that started it and of the Agent handles from that manager.
  bool detached = true;
  /// The snapshot of an agent (Agent::snapshot()) to continue from: the new agent has its memory, processes, disks and
  /// settings, but its own name, address and machine id. Image, size and template are the snapshot's; `template_name`
  /// can then be empty. Empty: a new start.
  std::string snapshot;
  /// Its machine reaches only the gateway's services, and the servers of IRC and the LLM if these are elsewhere: as
  /// with the network "services" of a template. Destinations and ports of the template are ignored.
  /// Error(InvalidArgument) with a `network` that is not nat.
  bool services_only = false;

  /// Equal in all members.
  bool operator==(const AgentConfig&) const = default;
};

/// Describes the second agent of a fork.
struct ForkConfig {
  /// The new agent's name, IRC nick and workspace's name, as AgentConfig::name.
  std::string name;
  /// Settings that override the first one's.
  AgentSettings settings;
  /// As AgentConfig::detached.
  bool detached = true;

  /// Equal in all members.
  bool operator==(const ForkConfig&) const = default;
};

/// How to wait for an agent's start.
struct AgentStartOptions {
  /// The longest time from the call (of a fork: from the copy) until the guest is configured, then Error(Timeout).
  std::chrono::milliseconds timeout{120'000};
  /// How long to wait after that until the agent is on IRC. If it is not by then, AgentInfo::online is false, and the
  /// agent keeps trying. 0: do not wait.
  std::chrono::milliseconds join_timeout{60'000};
  /// Cancels the start, and the copy before it: Error(Cancelled), and all of it is undone.
  std::stop_token stop{};
};

/// Names for what AgentManager::import_archive() makes.
struct AgentImportOptions {
  /// A name for the agent instead of the archive's, as AgentConfig::name. It then publishes no ports of the host.
  std::string name;
  /// A name for its template; empty: the name in the archive.
  std::string template_name;
  /// Cancels the import: Error(Cancelled), and nothing of it remains.
  std::stop_token stop{};
};

/// What AgentManager::import_archive() made.
struct AgentImport {
  /// The agent's name.
  std::string agent;
  /// Its template's name. Its file was written if there was no such template here.
  std::string template_name;
  /// The snapshot with the archive's memory, for AgentConfig::snapshot; there is no agent yet then. Empty: the archive
  /// held no memory that fits here, and there is a stopped agent with its workspace.
  std::string snapshot;
  /// Why the archive's memory was left out; empty: it was not, or there was none.
  std::string memory_left_out;
};

/// An agent's state, as its records and its engine's process tell it.
enum class AgentState {
  Starting,
  Running,
  Paused,
  Stopped,
  Crashed,  ///< its machine ended although nobody stopped it
};

/// "starting", "running", "paused", "stopped", "crashed".
FIRECLAW_API std::string_view to_string(AgentState state) noexcept;

/// What is known of an agent.
struct AgentInfo {
  /// Its name, and that of its workspace unless another was given.
  std::string name;
  /// The template that it was started from.
  std::string template_name;
  /// As of the call.
  AgentState state = AgentState::Stopped;
  /// Its nick on IRC.
  std::string nick;
  /// The model it asks, its own settings included; likewise the next two.
  std::string model;
  /// When it answers; see AgentTemplate::trigger.
  std::string trigger;
  /// Whether it may use tools.
  bool tools = false;
  /// The name of its workspace.
  std::string workspace;
  /// The machine's id; empty while there is none.
  std::string vm;
  /// The image that its machine runs.
  std::string image;
  /// "firecracker", "qemu-kvm" or "qemu-tcg"; empty while there is no machine.
  std::string engine;
  /// What its machine's network device is connected to; None while there is no machine.
  NetworkMode network = NetworkMode::None;
  /// IPv4 address; empty if it has none.
  std::string address;
  /// Virtual CPUs of its machine.
  unsigned cpus = 0;
  /// Memory of its machine in MiB.
  unsigned memory_mib = 0;
  /// The engine's process; 0 while there is none.
  std::int64_t engine_pid = 0;
  /// When it was started the last time; the epoch if never.
  std::chrono::system_clock::time_point started;
  /// How long each part of the start took; only in what Agent::start_info() and
  /// Agent::restart() return.
  std::vector<Phase> phases;
  /// Whether the bot said, when it was last asked, that it is on IRC. A start and
  /// Agent::status() ask it.
  bool online = false;
  /// The IRC channels it is in, asked likewise.
  std::vector<std::string> channels;
  /// How many questions to its LLM failed since the bot started, asked likewise.
  std::uint64_t llm_errors = 0;
  /// Why it is not running or not well, in one line; empty if all is well.
  std::string last_error;
  /// What its last start did without, in one line: for instance, memory of a snapshot that no longer fits. Empty:
  /// nothing.
  std::string notice;
  /// Resident memory of the engine's process.
  std::uint64_t memory_bytes = 0;
  /// CPU time of the engine's process.
  std::chrono::milliseconds cpu_time{0};
  /// It continues without the process that started it (AgentConfig::detached). Otherwise it ends with that process.
  bool detached = true;
  /// Its machine reaches only the gateway's services (AgentConfig::services_only, or its template).
  bool services_only = false;
};

/// What AgentManager::reconcile() found and did.
struct ReconcileReport {
  /// Agents whose machine runs and answers, or is paused.
  std::vector<std::string> adopted;
  /// Agents that were found dead; the leftovers of their machines are removed.
  std::vector<std::string> crashed;
  /// Ids of agents' machines that no longer belong to an agent; they were ended.
  std::vector<std::string> orphans;
  /// Agents that another process is starting or stopping; left alone.
  std::vector<std::string> busy;
  /// Agents whose machine runs but did not answer within half a minute: it can be slow, stopped, or hang. Left alone;
  /// restart() ends it.
  std::vector<std::string> silent;
};

/// Becomes readable once an agent's machine has ended. Move-only; any thread.
class FIRECLAW_API AgentWatch {
 public:
  /// Takes the watch over. The moved-from object may only be destroyed or assigned to.
  AgentWatch(AgentWatch&&) noexcept;
  /// The same.
  AgentWatch& operator=(AgentWatch&&) noexcept;
  /// Stops watching; the agent continues.
  ~AgentWatch();
  /// For poll(2), POLLIN; owned by this object.
  [[nodiscard]] int fd() const noexcept;
  /// Whether the machine has ended; does not wait.
  [[nodiscard]] bool ended() const;
  /// Waits for the end. False if the machine had not ended after `timeout` or the stop.
  bool wait(std::chrono::milliseconds timeout, std::stop_token stop = {}) const;

 private:
  explicit AgentWatch(int fd) noexcept : fd_{fd} {}
  int fd_;
  friend class Agent;
};

/// A shell in an agent's machine, by SSH. Destruction ends it. resize() can be called while another thread waits.
class FIRECLAW_API AgentShell {
 public:
  /// Takes the shell over. The moved-from object may only be destroyed or assigned to.
  AgentShell(AgentShell&&) noexcept;
  /// The same, after ending the shell that was here.
  AgentShell& operator=(AgentShell&&) noexcept;
  /// Ends the shell if it has not ended.
  ~AgentShell();

  /// Feeds input, delivers output and waits for the end, as the ExecOptions say. Call once.
  ExecResult wait();
  /// Sets the terminal's size. Does nothing without a terminal.
  void resize(WindowSize size);

  struct Impl;

 private:
  explicit AgentShell(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend class Agent;
};

/// Host::agents(): the agents of a home folder. It shares the host, and owns the agents that are not detached. All
/// members of this class and of Agent can be called from any thread and from any number of processes at once:
/// operations on one agent take turns, those on different agents run side by side. If a process is killed while it
/// copies an agent, that agent stays paused until the next call that looks at it, which resumes it.
class FIRECLAW_API AgentManager {
 public:
  /// All, by name: the files of templates/, and the built-in ones that no file replaces. A broken file is logged and
  /// left out.
  [[nodiscard]] std::vector<AgentTemplate> templates() const;
  /// The one of that name. Error(NotFound), or Error(InvalidArgument) naming file and field.
  [[nodiscard]] AgentTemplate find_template(const std::string& name) const;

  /// Starts an agent: workspace (made if missing), machine, bot. A failure undoes all of it. A stopped agent of that
  /// name and template keeps its settings. Agent::start_info() says how the start went. Error(AlreadyExists) if the
  /// agent runs; Error(NotFound) for an unknown template or a missing image; Error(Timeout), Error(Vmm), Error(Guest)
  /// with what the machine said.
  [[nodiscard]] Agent start(const AgentConfig& config, const AgentStartOptions& options = {}) const;
  /// The agent of that name. Error(NotFound) if there is none.
  [[nodiscard]] Agent open(const std::string& name) const;
  /// All agents, stopped ones included, by name. Quick: asks no guest.
  [[nodiscard]] std::vector<AgentInfo> list() const;
  /// Compares the records with what runs: adopts agents that run, cleans up after dead ones, ends orphans. Asks all
  /// machines at once; one that does not answer is left alone.
  ReconcileReport reconcile() const;
  /// Makes an agent, or an agent's snapshot, from an archive of Agent::export_archive(), plain or compressed. Import
  /// memory only from people you trust: an engine runs it. A failure leaves nothing behind. Error(Corrupt) or
  /// Error(InvalidArgument) if the archive is damaged or holds anything else; Error(AlreadyExists) if an agent or a
  /// workspace of that name exists, or a different template of its template's name.
  AgentImport import_archive(int fd, const AgentImportOptions& options = {}) const;

  struct Impl;

 private:
  explicit AgentManager(const Host& host);
  std::shared_ptr<Impl> impl_;
  friend class Host;
};

/// One agent: its name and the AgentManager that it is from. Copies are the same agent. Destruction changes nothing,
/// unless it is the last object of that manager: then those of its agents that are not detached end. Each call of
/// Host::agents() gives another manager, which does not keep them. Members throw Error(NotFound) if the agent no longer
/// exists, except name(), and start_info() of an agent that was started or forked. A moved-from object can only be
/// destroyed or assigned to.
class FIRECLAW_API Agent {
 public:
  /// Its name.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// What is known of it. Quick, as AgentManager::list().
  [[nodiscard]] AgentInfo info() const;
  /// How the start went, for a handle that AgentManager::start() or fork() returned: info() at that moment, with
  /// phases and what the bot reported (online, channels, last_error). For a handle from open(): info().
  [[nodiscard]] AgentInfo start_info() const;
  /// info(), with what the bot reports now (online, channels, last_error).
  [[nodiscard]] AgentInfo status(std::chrono::milliseconds timeout = std::chrono::seconds{5}) const;

  /// Stops it: the bot leaves IRC, the guest unmounts its disks, the engine ends. After `grace` and ten seconds the
  /// engine is killed. Does nothing if the agent does not run.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds{5}) const;
  /// Stops it if it runs, and starts it with its settings. It is always detached afterwards. Returns what start_info()
  /// of a new handle would. If the start fails, last_error has the reason, and the agent is Crashed, or Stopped if it
  /// was stopped before. If its template or its settings cannot be used, it is not stopped.
  AgentInfo restart(const AgentStartOptions& options = {}) const;
  /// Removes the agent; its workspace stays. Error(InvalidState) while it runs.
  void remove() const;
  /// Gives it other settings; it stays on IRC. A stopped agent has them from its next start. Error(InvalidArgument) for
  /// an invalid setting; nothing is changed then.
  AgentInfo reload(const AgentSettings& settings) const;
  /// Pauses its machine, as VM::pause(). Error(InvalidState) if it does not run.
  void pause() const;
  /// Resumes it. Errors as for pause().
  void resume() const;

  /// Starts a second agent from this one as it is now. The second has a copy of the memory, processes, disks and
  /// workspace, the same template and settings, and its own name, address, host name, machine id and random numbers. It
  /// connects to IRC again, knows what was said, and answers only what it is asked after the fork. Open questions stay
  /// with the first agent, and so do the ports that the template publishes on the host. The first agent is paused for a
  /// moment (phase "pause" of the new one's start_info()) and stays on IRC. Commands that this process runs in it are
  /// ended (with Firecracker, those of every process). A failure undoes everything and leaves the first one as it was.
  /// Error(InvalidState) if this agent does not run or its image was built again since its start; Error(AlreadyExists)
  /// if an agent or a workspace of the new name exists; Error(Io) if there is too little room for the copy.
  [[nodiscard]] Agent fork(const ForkConfig& config, const AgentStartOptions& options = {}) const;
  /// Saves a running agent, as fork() copies it, as snapshot `snapshot` for AgentConfig::snapshot; empty: named by the
  /// agent and the time. Snapshots::list() and Snapshots::remove() know it. Throws as fork(); Error(AlreadyExists) if
  /// there is a snapshot of that name, unless `replace`; Error(Cancelled) after the stop, and the agent continues.
  SnapshotInfo snapshot(const std::string& snapshot = {}, bool replace = false, std::stop_token stop = {}) const;
  /// Writes the agent as an archive to a descriptor (it can be a pipe): settings, template, workspace, each with its
  /// SHA-256. Holes of the workspace are holes of the tar. Passwords and keys of the template are left out. A running
  /// agent stays on IRC: its guest writes everything to the workspace, and its machine is paused for the copy. With
  /// `memory` its state is saved too, as by snapshot(): Error(InvalidState) if it does not run. Error(Io) if there is
  /// too little room for the copy in the home folder.
  void export_archive(int fd, bool memory = false, std::stop_token stop = {}) const;

  /// Watches for its machine's end. Error(InvalidState) if it does not run.
  [[nodiscard]] AgentWatch watch() const;
  /// The last lines of the bot's log, also of a stopped agent. 0: all that is kept (two files of 256 KiB).
  [[nodiscard]] std::string logs(std::size_t lines = 0) const;
  /// Delivers the last `lines` of the log, then what the bot writes, until the stop or the machine's end.
  void follow_logs(std::size_t lines, const OutputCallback& on_output, std::stop_token stop) const;
  /// MEMORY.md of its workspace.
  [[nodiscard]] std::string memory() const;
  /// Runs a command in its machine; as `agent` in /workspace unless the options say otherwise.
  ExecResult exec(ExecOptions options) const;
  /// Runs a shell line, likewise.
  ExecResult exec(std::string line) const;
  /// Starts a command in its machine, likewise. Error(InvalidState) if the agent does not run.
  [[nodiscard]] Process spawn(ExecOptions options) const;
  /// Logs in by SSH as user `agent`, with the home folder's key and the host key that the guest itself named: starts
  /// the guest's SSH server if it does not run. Runs `options.argv`, or the login shell if that is empty. The machine
  /// must have an address (NetworkMode::Nat): Error(Unsupported) otherwise.
  [[nodiscard]] AgentShell ssh(ExecOptions options = {}) const;
  /// A handle to its machine, also when another process owns it; destruction does not end the machine.
  /// Error(InvalidState) if it does not run.
  [[nodiscard]] VM machine() const;

 private:
  Agent(std::shared_ptr<AgentManager::Impl> agents, std::string name, std::shared_ptr<const AgentInfo> started = {});
  std::shared_ptr<AgentManager::Impl> agents_;
  std::string name_;
  std::shared_ptr<const AgentInfo> started_;
  friend class AgentManager;
};

}  // namespace fireclaw
