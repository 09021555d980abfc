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
  PreferSnapshot,   ///< restore the snapshot that fits; where none does, say so to the log and boot cold
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
  /// what that device leads to; with NetworkMode::None it leads nowhere. The disks must have the sizes that the
  /// snapshot was made for. Empty: the snapshot that was made for this image, engine and machine.
  std::string snapshot;
  /// The guest's host name (RFC 1123 label); empty: "fc-" and the first digits of the id.
  std::string hostname;
  /// Leaves the machine running when the handle or this process goes away; VMs::attach() finds it again. start()
  /// then waits for the guest, so that VMs::attach() finds no machine without identity or disks.
  bool detached = false;
  /// The workspace whose disk is mounted at /workspace. Until the machine ends, no other machine can have it. Empty:
  /// none.
  std::string workspace;
  /// Size in MiB of a disk that ends with the machine, 8 to 1048576; 0: none. It takes room on the host as it is
  /// written to.
  unsigned scratch_mib = 0;
  /// Where the scratch disk is mounted, an absolute path. "/": it is under the whole root file system, and takes what
  /// is written there instead of memory. Such a machine boots: no snapshot can be restored (Error(InvalidArgument) if
  /// one is asked for).
  std::string scratch_target = "/scratch";
  /// Owner of its top folder, a user id in the guest.
  std::uint32_t scratch_uid = 0;
  /// Group of its top folder, a group id in the guest.
  std::uint32_t scratch_gid = 0;
  /// The most MiB that each of its disks, the image included, reads and writes together in a second, up to 1048576; 0:
  /// limits.disk_mib_per_second of config.json; without it, unlimited.
  unsigned disk_mib_per_second = 0;

  /// Equal in all members.
  bool operator==(const VMConfig&) const = default;
};

/// How a machine's start is waited for.
struct StartOptions {
  /// The longest time from VM::start() to the guest's greeting, then Error(Timeout).
  std::chrono::milliseconds timeout{60'000};
  /// Cancels calls that wait for the machine: Error(Cancelled).
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
  /// It lives on when the process that started it ends.
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

/// A command that runs in a guest. Destruction without wait() ends it. send_signal() and resize() may be called from
/// any thread while another waits.
class FIRECLAW_API Process {
 public:
  /// Takes the command over. The moved-from object may only be destroyed or assigned to.
  Process(Process&&) noexcept;
  /// The same, after ending the command that was here.
  Process& operator=(Process&&) noexcept;
  /// Ends the command if nobody has waited for it.
  ~Process();

  /// Feeds stdin, delivers output and waits for the end, as the ExecOptions it was started with say. Call once.
  ExecResult wait();
  /// Sends a signal (1 to 64) to the command's process group; nothing happens if it has ended. Error(InvalidArgument)
  /// for another number.
  void send_signal(int number);
  /// Tells the terminal's new size; nothing happens without a terminal.
  void resize(WindowSize size);

  struct Impl;

 private:
  explicit Process(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend class VM;
};

/// A microVM. Move-only. Members may be called from several threads; commands run side by side. In a process that was
/// forked from the one that made it, members throw Error(InvalidState) and destruction leaves the machine alone.
///
/// Destruction, and the end of this process by any cause, kill the engine unless the machine is detached. Destruction
/// waits for the engine's end only if others could want what it holds: a workspace, an address, a name.
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
  /// own name, or what is in it if `source` ends in "/.". Holes stay holes.
  CopyResult copy_in(const std::filesystem::path& source, const std::string& target, std::stop_token stop = {});
  /// With more to say.
  CopyResult copy_in(const std::filesystem::path& source, const std::string& target, const CopyOptions& options);
  /// Copies a guest file or folder to the host, likewise. No matter what the guest says, nothing is written outside
  /// `target`: no link is followed there, one at `target` itself is replaced, and set-user-id bits and what the umask
  /// takes away are left out. A file that is replaced is whole until the new one is.
  CopyResult copy_out(const std::string& source, const std::filesystem::path& target, std::stop_token stop = {});
  /// With more to say.
  CopyResult copy_out(const std::string& source, const std::filesystem::path& target, const CopyOptions& options);

  // Single files, by absolute paths in the guest. See FileOptions for whose rights are used. Error(NotFound),
  // Error(PermissionDenied), Error(AlreadyExists) as the guest's kernel has it; Error(InvalidArgument) if the path is
  // of another kind than the call is for; Error(Unsupported) if the image was built by an older version.

  /// A file's content, any bytes. Error(NotFound), Error(PermissionDenied); Error(InvalidArgument) if it is not a file,
  /// or too large.
  [[nodiscard]] std::string read_file(const std::string& path, const FileOptions& options = {});
  /// Writes a file: links are followed, and one that is there keeps its owner and mode. The content is written beside
  /// it and renamed, so that a failure (a full disk) leaves what was there. Where that cannot be (a file with several
  /// names, a folder that nothing can be made in) the content goes in its place, once there is room for it.
  FileInfo write_file(const std::string& path, std::string_view content, const FileOptions& options = {});
  /// What is in a folder, by name; without "." and "..".
  [[nodiscard]] std::vector<FileInfo> list_directory(const std::string& path, const FileOptions& options = {});
  /// What is at a path. Error(NotFound) if nothing is.
  [[nodiscard]] FileInfo stat(const std::string& path, const FileOptions& options = {});
  /// Removes a file, a link or an empty folder. Error(InvalidState) for a folder that is not empty, unless
  /// FileOptions::recursive.
  void remove(const std::string& path, const FileOptions& options = {});
  /// Makes a folder. Error(AlreadyExists) if it is there, unless FileOptions::parents.
  void make_directory(const std::string& path, const FileOptions& options = {});

  /// Starts a service, which then belongs to the guest: see ServiceOptions. Error(AlreadyExists) if one of its name
  /// runs; one that has ended is replaced. Error(NotFound) if the guest has no such program.
  void start_service(ServiceOptions options);
  /// Sends a signal to the service's own process. Error(NotFound) if there is no such service, Error(InvalidState) if
  /// it is not running.
  void signal_service(const std::string& name, int number);
  /// SIGTERM to the service's process group, SIGKILL after the grace. Returns once it has ended.
  void stop_service(const std::string& name, std::chrono::milliseconds grace = std::chrono::seconds{10});
  /// All that were started, by name, also those that have ended.
  [[nodiscard]] std::vector<ServiceInfo> services();

  /// What the guest has done since this process first spoke to it, by the guest's clock: who it is, the first command's
  /// start, first output and end. Asks the guest. Empty if its image is of an earlier build.
  [[nodiscard]] std::vector<Phase> guest_phases();

  /// Pauses the machine: stops its CPUs. A paused one stays paused. Error(InvalidState) if it has not been started or
  /// has ended.
  void pause();
  /// Resumes a paused machine. One that runs keeps running. Error(InvalidState) if it has not been started or has
  /// ended.
  void resume();
  /// Ends the machine in order: services get SIGTERM, then all other processes, after `grace` SIGKILL; file systems are
  /// synced; then the engine ends. If that takes longer than `grace` and five seconds, the engine is killed.
  void stop(std::chrono::milliseconds grace = std::chrono::seconds{2});
  /// Ends the engine at once and waits for its end. No error if it has ended.
  void kill();

  /// Saves the machine as snapshot `name`; the machine continues. Commands that run are ended first. Services continue,
  /// here and in restored machines. Error(AlreadyExists) if the name is taken, Error(InvalidState) if the machine has a
  /// workspace or a scratch disk: a snapshot does not hold what is on them.
  Snapshot snapshot(const std::string& name);

  /// The last part of what the guest wrote to its console.
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
