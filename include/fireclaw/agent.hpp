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

/// What agents are made from: a file templates/NAME.json of the home folder, or one that comes with the library.
struct AgentTemplate {
  /// What it is called: the file's name without ".json".
  std::string name;
  /// What it is for, one line.
  std::string description;
  /// The agent's name and IRC nick unless another is given.
  std::string nick;
  /// As the LLM server calls it, e.g. "qwen2.5:7b".
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
  /// The file it was read from; empty: it comes with the library.
  std::filesystem::path file;
};

/// New settings for an agent. What is left out stays as it is.
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
  /// Beyond the template; kept until the agent is removed.
  AgentSettings settings;
  /// Virtual CPUs, 1–32, instead of the template's.
  std::optional<unsigned> cpus;
  /// Memory in MiB instead of the template's.
  std::optional<unsigned> memory_mib;
  /// Empty: nat where it can be used, else user.
  std::optional<NetworkMode> network;
  /// Restoring starts agents of this image, size and network from the point where their bot waits to be told who it is;
  /// the first start makes that snapshot.
  StartMode start = StartMode::PreferSnapshot;
  /// Lives on when this process ends. Otherwise it ends with this process, or sooner: with the last copy of the
  /// AgentManager that started it and of the Agent handles from that manager.
  bool detached = true;
  /// The name of a snapshot of an agent (Agent::snapshot()): this one continues from it, with its memory,
  /// processes, disks and settings, under its own name, address and machine id. Image, size and template are the
  /// snapshot's; `template_name` may then be empty. Empty: a new start.
  std::string snapshot;
  /// Its machine reaches the gateway's services, and the servers of IRC and the LLM where they are elsewhere, and
  /// nothing else: as with the network "services" of a template. What its template allows and publishes does not count.
  /// Error(InvalidArgument) with a `network` that is not nat.
  bool services_only = false;

  /// Equal in all members.
  bool operator==(const AgentConfig&) const = default;
};

/// Describes the second agent of a fork.
struct ForkConfig {
  /// The new one's name, IRC nick and workspace's name, as AgentConfig::name.
  std::string name;
  /// Beyond the first one's.
  AgentSettings settings;
  /// As AgentConfig::detached.
  bool detached = true;

  /// Equal in all members.
  bool operator==(const ForkConfig&) const = default;
};

/// How an agent's start is waited for.
struct AgentStartOptions {
  /// From the call, or from the copy of a fork, to the guest's configuration, then Error(Timeout).
  std::chrono::milliseconds timeout{120'000};
  /// How long to wait for the agent to be on IRC after that. If it is not, the agent keeps running and trying, and
  /// AgentInfo::online is false. 0: do not wait.
  std::chrono::milliseconds join_timeout{60'000};
  /// Cancels the start, and the copy before it: Error(Cancelled), and what was done is undone.
  std::stop_token stop{};
};

/// What AgentManager::import_archive() makes of an archive.
struct AgentImportOptions {
  /// The agent's name instead of the archive's, as AgentConfig::name. Ports of the host stay the first one's then.
  std::string name;
  /// The template's name here; empty: its name in the archive.
  std::string template_name;
  /// Cancels the import: Error(Cancelled), and nothing of it is left.
  std::stop_token stop{};
};

/// What AgentManager::import_archive() made.
struct AgentImport {
  /// The agent's name.
  std::string agent;
  /// Its template. A file of that name was written if there was no such template here.
  std::string template_name;
  /// The archive held memory that fits here: it is this snapshot, which AgentConfig::snapshot takes. There is no agent
  /// yet then. Empty: there is an agent, stopped, with its workspace.
  std::string snapshot;
  /// Why memory that the archive held was left out; empty: it was not, or there was none.
  std::string memory_left_out;
};

/// What an agent is doing, as far as its records and its engine's process tell.
enum class AgentState {
  Starting,
  Running,
  Paused,
  Stopped,
  Crashed,  ///< its machine ended without being told to
};

/// "starting", "running", "paused", "stopped", "crashed".
FIRECLAW_API std::string_view to_string(AgentState state) noexcept;

/// What is known of an agent.
struct AgentInfo {
  /// Its name among agents, and that of its workspace unless another was given.
  std::string name;
  /// The template that it was started from.
  std::string template_name;
  /// As of the call.
  AgentState state = AgentState::Stopped;
  /// Its nick on IRC.
  std::string nick;
  /// The model it asks, with its own settings taken into account; likewise the next two.
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
  /// Whether the bot said, when it was last asked, that it is on IRC. Asked by a start and by
  /// Agent::status().
  bool online = false;
  /// The IRC channels it is in, asked likewise.
  std::vector<std::string> channels;
  /// How often its LLM failed it since the bot started, asked likewise.
  std::uint64_t llm_errors = 0;
  /// Why it is not running or not well, in one line; empty if all is well.
  std::string last_error;
  /// What its last start had to do without, in one line, as the saved memory of a snapshot that no longer fits; empty:
  /// nothing.
  std::string notice;
  /// Resident memory of the engine's process.
  std::uint64_t memory_bytes = 0;
  /// CPU time of the engine's process.
  std::chrono::milliseconds cpu_time{0};
  /// Lives on without the process that started it (AgentConfig::detached). Otherwise it ends with that process.
  bool detached = true;
  /// Its machine reaches the gateway's services alone (AgentConfig::services_only, or its template).
  bool services_only = false;
};

/// What AgentManager::reconcile() found and did.
struct ReconcileReport {
  /// Agents whose machine runs and answers, or is paused.
  std::vector<std::string> adopted;
  /// Agents that were found dead; what was left of their machines is removed.
  std::vector<std::string> crashed;
  /// Ids of agents' machines that no longer belong to an agent; they were ended.
  std::vector<std::string> orphans;
  /// Agents that another process is starting or stopping at this moment; left alone.
  std::vector<std::string> busy;
  /// Agents whose machine runs but did not answer within half a minute: it may be slow, stopped, or hang. Left alone;
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
  /// False if it had not ended after `timeout` or the stop.
  bool wait(std::chrono::milliseconds timeout, std::stop_token stop = {}) const;

 private:
  explicit AgentWatch(int fd) noexcept : fd_{fd} {}
  int fd_;
  friend class Agent;
};

/// A shell in an agent's machine, by SSH. Destruction ends it. resize() may be called while another thread waits.
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
  /// Tells the terminal's new size; nothing happens without a terminal.
  void resize(WindowSize size);

  struct Impl;

 private:
  explicit AgentShell(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend class Agent;
};

/// Host::agents(): the agents of a home folder. Holds nothing but the host, and agents that are not detached. All
/// members of this class and of Agent may be called from any thread and from any number of processes at once:
/// operations on one agent take turns, those on different agents run side by side. An agent that is paused because the
/// process that copied it was killed is resumed by the next call that looks at it.
class FIRECLAW_API AgentManager {
 public:
  /// By name: the files of templates/ and the built-in ones that no file replaces. A broken file is reported to the log
  /// and left out.
  [[nodiscard]] std::vector<AgentTemplate> templates() const;
  /// The one of that name. Error(NotFound), or Error(InvalidArgument) naming file and field.
  [[nodiscard]] AgentTemplate find_template(const std::string& name) const;

  /// Starts an agent: workspace (made if missing), machine, bot. A failure undoes all that was done.
  /// Error(AlreadyExists) if it runs; NotFound for an unknown template or a missing image; Error(Timeout), Vmm, Guest
  /// with what the machine said. A stopped agent of that name and template keeps the settings that it had.
  /// Agent::start_info() says how the start went.
  [[nodiscard]] Agent start(const AgentConfig& config, const AgentStartOptions& options = {}) const;
  /// The agent of that name. Error(NotFound) if there is none.
  [[nodiscard]] Agent open(const std::string& name) const;
  /// All agents, also stopped ones, by name. Quick: asks no guest.
  [[nodiscard]] std::vector<AgentInfo> list() const;
  /// Compares what is recorded with what runs: adopts, cleans, ends orphans. Asks all machines at once; one that does
  /// not answer is never ended for that.
  ReconcileReport reconcile() const;
  /// Makes what an archive (Agent::export_archive()), plain or compressed, holds. Error(Corrupt) or
  /// Error(InvalidArgument) for one that is damaged or holds anything else; Error(AlreadyExists) if there is an agent
  /// or a workspace of the name, or another template of its template's. A failure leaves nothing behind. Memory is what
  /// an engine runs: import it only from people you trust.
  AgentImport import_archive(int fd, const AgentImportOptions& options = {}) const;

  struct Impl;

 private:
  explicit AgentManager(const Host& host);
  std::shared_ptr<Impl> impl_;
  friend class Host;
};

/// One agent: its name and the AgentManager that it is from. Copies are the same agent. Destruction changes nothing,
/// unless it lets the last copy of that manager go: agents that it started and that are not detached end then. Another
/// manager, as each Host::agents() gives, does not keep them. Members throw Error(NotFound) if the agent is no longer
/// there, but for name(), and start_info() of an agent that was started or forked. A moved-from object can only be
/// destroyed or assigned to.
class FIRECLAW_API Agent {
 public:
  /// Its name.
  [[nodiscard]] const std::string& name() const { return name_; }
  /// What is known of it, quick as AgentManager::list().
  [[nodiscard]] AgentInfo info() const;
  /// What AgentManager::start() or fork() found when it returned this handle: info() with phases, and what the bot then
  /// said of itself (online, channels, last_error). Of an agent that open() returned: info().
  [[nodiscard]] AgentInfo start_info() const;
  /// info(), with what the bot says of itself now (online, channels, last_error).
  [[nodiscard]] AgentInfo status(std::chrono::milliseconds timeout = std::chrono::seconds{5}) const;

  /// The bot says goodbye, the guest unmounts, the engine ends; by force once `grace` and ten seconds have passed. No
  /// error if it does not run.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds{5}) const;
  /// Stops it if it runs, and starts it with the settings it has. Returns what start_info() of a new handle would. It
  /// is detached then, also if it was not. An agent that was to run and could not be started again is Crashed, with the
  /// reason in last_error; one whose template or settings cannot be used is not stopped at all.
  AgentInfo restart(const AgentStartOptions& options = {}) const;
  /// Forgets it; its workspace stays. Error(InvalidState) while it runs.
  void remove() const;
  /// Gives it other settings without it leaving IRC, or, if it is stopped, for its next start. Error(InvalidArgument)
  /// for a setting that cannot be, and then nothing is changed.
  AgentInfo reload(const AgentSettings& settings) const;
  /// Pauses its machine, as VM::pause(). Error(InvalidState) if it does not run.
  void pause() const;
  /// Resumes it. Errors as for pause().
  void resume() const;

  /// Starts a second agent from this one as it is now: with its memory and processes, a copy of its disks and
  /// workspace, its template and settings; and with its own name, address, host name, machine id and random numbers. It
  /// connects to IRC again, knows what was said, and answers what it is asked from then on. What the first one was
  /// asked stays with the first, and so do the ports of the host that the template publishes. The first one is paused
  /// for a moment (phase "pause" of the new one's start_info()), and stays on IRC. Error(InvalidState) if this one does
  /// not run or its image was built again since it was started; Error(AlreadyExists) if there is an agent or a
  /// workspace of the new name; Error(Io) if there is too little room for the copy. A failure undoes all that was done,
  /// and leaves the first one as it was. Commands that this process runs in the first one are ended (with Firecracker,
  /// those of every process).
  [[nodiscard]] Agent fork(const ForkConfig& config, const AgentStartOptions& options = {}) const;
  /// Saves a running agent, as fork() copies it, under a name that AgentConfig::snapshot takes; it is one of
  /// Snapshots::list(), and removed by Snapshots::remove(). Empty: the agent's name and the time. Throws as fork();
  /// Error(AlreadyExists) if there is a snapshot of that name, unless `replace`. `stop` cancels it: Error(Cancelled),
  /// and the agent continues.
  SnapshotInfo snapshot(const std::string& snapshot = {}, bool replace = false, std::stop_token stop = {}) const;
  /// Writes the agent as an archive to a descriptor (it can be a pipe): settings, template, workspace, each with its
  /// SHA-256. The tar has holes where the workspace has them. The machine of an agent that runs is paused while its
  /// workspace is copied, after its guest has written everything to it; the agent stays on IRC. With `memory` its state
  /// is saved too, as by snapshot(): Error(InvalidState) if it does not run. Passwords and keys of its template are
  /// left out. Error(Io) if there is too little room for the copy in the home folder.
  void export_archive(int fd, bool memory = false, std::stop_token stop = {}) const;

  /// What tells of its machine's end. Error(InvalidState) if it does not run.
  [[nodiscard]] AgentWatch watch() const;
  /// The last lines of what the bot wrote, also of a stopped agent. 0: all that is kept (two files of 256 KiB).
  [[nodiscard]] std::string logs(std::size_t lines = 0) const;
  /// Delivers what the bot writes from now on, after the last `lines`, until the stop or the machine's end.
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
  /// A handle on its machine, also when another process owns it; destruction does not end it. Error(InvalidState) if it
  /// does not run.
  [[nodiscard]] VM machine() const;

 private:
  Agent(std::shared_ptr<AgentManager::Impl> agents, std::string name, std::shared_ptr<const AgentInfo> started = {});
  std::shared_ptr<AgentManager::Impl> agents_;
  std::string name_;
  std::shared_ptr<const AgentInfo> started_;
  friend class AgentManager;
};

}  // namespace fireclaw
