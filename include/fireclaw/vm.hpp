#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/copy.hpp"
#include "fireclaw/exec.hpp"
#include "fireclaw/export.hpp"
#include "fireclaw/file.hpp"
#include "fireclaw/network.hpp"
#include "fireclaw/service.hpp"

namespace fireclaw {

class Snapshot;

/// Whether a machine is restored or boots.
enum class StartMode {
  PreferSnapshot,   ///< restore the snapshot that fits; if none does, log that and boot
  Cold,             ///< boot
  RequireSnapshot,  ///< restore, or fail with Error(NotFound)
};

/// Describes the machine to create.
struct VMConfig {
  /// The image's name.
  std::string image = "busybox";
  /// Virtual CPUs, 1–32.
  unsigned cpus = 1;
  /// Memory in MiB, 32–1048576.
  unsigned memory_mib = 128;
  /// What the network device is connected to. Network::best_mode() says what is possible here.
  NetworkMode network = NetworkMode::None;
  /// What the machine can reach with NetworkMode::Nat.
  NatOptions nat;
  /// Whether it is restored or boots.
  StartMode start = StartMode::PreferSnapshot;
  /// The snapshot to restore. It decides image, CPUs, memory and whether there is a network device. `network` decides
  /// what that device is connected to; with NetworkMode::None it is not connected. Disks must have the sizes that the
  /// snapshot was made for. Empty: the snapshot that was made for this image, engine and machine.
  std::string snapshot;
  /// The guest's host name (RFC 1123 label); empty: "fc-" and the first digits of the id.
  std::string hostname;
  /// Leaves the machine running when the handle or this process ends; VMs::attach() finds it again. start() then waits
  /// for the guest, so that the machine has its identity and disks before VMs::attach() finds it.
  bool detached = false;
  /// The workspace whose disk is mounted at /workspace. No other machine can use it until this one ends. Empty:
  /// none.
  std::string workspace;
  /// Size in MiB of a disk that ends with the machine, 8 to 1048576; 0: none. It takes room on the host as the guest
  /// writes to it.
  unsigned scratch_mib = 0;
  /// Where the scratch disk is mounted, an absolute path. "/": everything that the guest writes to its root file system
  /// goes to this disk instead of memory. Such a machine always boots: Error(InvalidArgument) if a snapshot is asked
  /// for.
  std::string scratch_target = "/scratch";
  /// Owner of its top folder, a user id in the guest.
  std::uint32_t scratch_uid = 0;
  /// Group of its top folder, a group id in the guest.
  std::uint32_t scratch_gid = 0;
  /// Limit in MiB per second for each of its disks, the image included; reads and writes count together. Up to 1048576;
  /// 0: limits.disk_mib_per_second of config.json; without it, unlimited.
  unsigned disk_mib_per_second = 0;

  /// Equal in all members.
  bool operator==(const VMConfig&) const = default;
};

/// How to wait for a machine's start.
struct StartOptions {
  /// The longest time from VM::start() to the guest's greeting, then Error(Timeout).
  std::chrono::milliseconds timeout{60'000};
  /// Cancels waiting for the machine: Error(Cancelled).
  std::stop_token stop{};
};

/// What a machine is doing.
enum class VMState { Created, Running, Paused, Stopped };

/// "created", "running", "paused", "stopped".
FIRECLAW_API std::string_view to_string(VMState state) noexcept;

/// A finished part of a machine's start.
struct Phase {
  /// Which part: "spawn", "network", "guest", ...
  std::string name;
  /// By the host's steady clock.
  std::chrono::nanoseconds duration{0};
};

/// What is known of a machine.
struct VMInfo {
  /// 16 hexadecimal digits.
  std::string id;
  /// As of the call.
  VMState state = VMState::Created;
  /// The image's name.
  std::string image;
  /// "firecracker", "qemu-kvm", "qemu-tcg".
  std::string engine;
  /// Virtual CPUs.
  unsigned cpus = 1;
  /// Memory in MiB.
  unsigned memory_mib = 0;
  /// What its network device is connected to.
  NetworkMode network = NetworkMode::None;
  /// The machine's IPv4 address with NetworkMode::Nat, from start() on; otherwise empty.
  std::string address;
  /// Its host name.
  std::string hostname;
  /// The snapshot it was restored from; empty after a cold boot.
  std::string snapshot;
  /// It continues when the process that started it ends.
  bool detached = false;
  /// The name of its workspace; empty: none.
  std::string workspace;
  /// The agent that runs in it; empty: it was not started for one.
  std::string agent;
  /// The engine's process; 0 before start().
  std::int64_t engine_pid = 0;
  /// When it was created.
  std::chrono::system_clock::time_point created;
  /// How long each part of the start took.
  std::vector<Phase> phases;
};

/// A command that runs in a guest. Destruction without wait() ends it. send_signal() and resize() can be called from
/// any thread while another one is in wait().
class FIRECLAW_API Process {
 public:
  /// Takes the command over. The moved-from object may only be destroyed or assigned to.
  Process(Process&&) noexcept;
  /// The same, after ending the command that was here.
  Process& operator=(Process&&) noexcept;
  /// Ends the command if nobody has waited for it.
  ~Process();

  /// Feeds stdin, delivers output and waits for the end, as the ExecOptions of its start say. Call once.
  ExecResult wait();
  /// Sends a signal (1 to 64) to the command's process group. Does nothing if it has ended. Error(InvalidArgument) for
  /// another number.
  void send_signal(int number);
  /// Sets the terminal's size. Does nothing without a terminal.
  void resize(WindowSize size);

  struct Impl;

 private:
  explicit Process(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend class VM;
};

/// A microVM. Move-only. Members can be called from several threads; commands run side by side. In a process that was
/// forked from the one that made it, members throw Error(InvalidState) and destruction leaves the machine alone.
///
/// Destruction kills the engine unless the machine is detached; so does the end of this process, by any cause.
/// Destruction waits for the engine's end only if the engine holds what others could want: a workspace, a name.
class FIRECLAW_API VM {
 public:
  /// Takes the machine over. The moved-from object may only be destroyed or assigned to.
  VM(VM&&) noexcept;
  /// The same, after ending the machine that was here unless it is detached.
  VM& operator=(VM&&) noexcept;
  /// Ends the machine unless it is detached.
  ~VM();

  /// Restores or boots. Returns once the machine's CPUs run; the first command waits for the guest.
  void start();
  /// Waits for the guest's greeting. Error(Timeout) with the console's last lines if it does not come.
  void wait_ready(std::chrono::milliseconds timeout);

  /// Runs a command to its end. See ExecOptions and ExecResult.
  ExecResult exec(ExecOptions options);
  /// Runs a shell line, with the guest's /bin/sh -c.
  ExecResult exec(std::string line);
  /// Starts a command.
  [[nodiscard]] Process spawn(ExecOptions options);

  /// Copies a host file or folder into the guest, as cp -a does: an existing folder at `target` receives it under its
  /// own name, or only its content if `source` ends in "/.". Holes stay holes.
  CopyResult copy_in(const std::filesystem::path& source, const std::string& target, std::stop_token stop = {});
  /// The same, with options.
  CopyResult copy_in(const std::filesystem::path& source, const std::string& target, const CopyOptions& options);
  /// Copies a guest file or folder to the host, likewise. No matter what the guest sends, nothing is written outside
  /// `target`: links there are not followed, and a link at `target` itself is replaced. Set-user-id bits and those that
  /// the umask takes away are left out. An existing file stays whole until the new one replaces it.
  CopyResult copy_out(const std::string& source, const std::filesystem::path& target, std::stop_token stop = {});
  /// The same, with options.
  CopyResult copy_out(const std::string& source, const std::filesystem::path& target, const CopyOptions& options);

  // Single files, by absolute paths in the guest, with the rights of FileOptions::user. Error(NotFound),
  // Error(PermissionDenied), Error(AlreadyExists) as the guest's kernel reports them; Error(InvalidArgument) if what
  // the path names is of the wrong kind; Error(Unsupported) if the image was built by an older version.

  /// Reads a file's content, any bytes. Error(NotFound), Error(PermissionDenied); Error(InvalidArgument) if it is not a
  /// file, or too large.
  [[nodiscard]] std::string read_file(const std::string& path, const FileOptions& options = {});
  /// Writes a file. Links are followed; an existing file keeps its owner and mode. The content goes to a new
  /// file, which then replaces the old one: a failure (a full disk) leaves the old content. Where that is impossible (a
  /// file with several names, a folder in which nothing can be made) the file is overwritten, once there is room for
  /// the content.
  FileInfo write_file(const std::string& path, std::string_view content, const FileOptions& options = {});
  /// Lists a folder, sorted by name; without "." and "..".
  [[nodiscard]] std::vector<FileInfo> list_directory(const std::string& path, const FileOptions& options = {});
  /// Describes what is at a path. Error(NotFound) if there is nothing.
  [[nodiscard]] FileInfo stat(const std::string& path, const FileOptions& options = {});
  /// Removes a file, a link or an empty folder. Error(InvalidState) for a folder that is not empty, unless
  /// FileOptions::recursive.
  void remove(const std::string& path, const FileOptions& options = {});
  /// Makes a folder. Error(AlreadyExists) if it is there, unless FileOptions::parents.
  void make_directory(const std::string& path, const FileOptions& options = {});

  /// Starts a service, which then belongs to the guest: see ServiceOptions. Error(AlreadyExists) if a service of that
  /// name runs; an ended one is replaced. Error(NotFound) if the guest has no such program.
  void start_service(ServiceOptions options);
  /// Sends a signal to the service's own process. Error(NotFound) if there is no such service, Error(InvalidState) if
  /// it is not running.
  void signal_service(const std::string& name, int number);
  /// Sends SIGTERM to the service's process group, SIGKILL after `grace`. Returns once it has ended.
  void stop_service(const std::string& name, std::chrono::milliseconds grace = std::chrono::seconds{10});
  /// All services that were started, by name, ended ones included.
  [[nodiscard]] std::vector<ServiceInfo> services();

  /// Asks the guest for its steps since this process first spoke to it, by the guest's clock: taking its identity, then
  /// the first command's start, first output and end. Empty if its image is of an earlier build.
  [[nodiscard]] std::vector<Phase> guest_phases();

  /// Pauses the machine: stops its CPUs. Does nothing if it is paused. Error(InvalidState) if it has not been started
  /// or has ended.
  void pause();
  /// Resumes a paused machine. Does nothing if it runs. Error(InvalidState) if it has not been started or has
  /// ended.
  void resume();
  /// Ends the machine in order: services get SIGTERM, then all other processes, after `grace` SIGKILL; file systems are
  /// synced; then the engine ends. If that takes longer than `grace` and five seconds, the engine is killed.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds{2});
  /// Ends the engine at once and waits for its end. No error if it has ended.
  void kill();

  /// Saves the machine as snapshot `name`; the machine continues. Running commands are ended first. Services continue,
  /// here and in restored machines. Error(AlreadyExists) if the name is taken, Error(InvalidState) if the machine has a
  /// workspace or a scratch disk, whose content a snapshot does not hold.
  Snapshot snapshot(const std::string& name);

  /// The end of the guest's console output.
  [[nodiscard]] std::string console_log(std::size_t max_bytes = 65536) const;
  /// What is known of it now.
  [[nodiscard]] VMInfo info() const;

  struct Impl;

 private:
  explicit VM(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
  friend struct Access;
};

}  // namespace fireclaw
