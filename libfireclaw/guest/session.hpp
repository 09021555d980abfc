#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/deadline.hpp"
#include "fireclaw/copy.hpp"
#include "fireclaw/exec.hpp"
#include "fireclaw/file.hpp"
#include "fireclaw/service.hpp"
#include "sys/fd.hpp"

namespace fireclaw::guest {

/// guestd's description of itself when a session opens.
struct GuestInfo {
  unsigned protocol = 0;
  std::string guestd_version;
  std::string kernel_release;
  /// Milliseconds since the guest kernel started, as the guest counts them.
  std::uint64_t uptime_ms = 0;
  /// wire::feature_files, ...
  std::uint32_t features = 0;
};

/// A disk for the guest to mount at `target`.
struct Mount {
  /// As the guest names it: "/dev/vdb".
  std::string device;
  /// Made if it is not there.
  std::string target;
  std::string type = "ext4";
  bool read_only = false;
  /// As mount -o takes them: "nosuid,nodev".
  std::string options;
};

/// The identity of a restored (or fresh) guest. Applied in one step, before the first command.
struct Identity {
  std::string hostname;
  /// 32 lower-case hexadecimal digits.
  std::string machine_id;
  /// Mixed into the guest kernel's generator, which is then reseeded.
  std::array<std::byte, 64> entropy{};
  /// The host's wall clock; the guest's is set to it. nullopt: at the moment of sending.
  std::optional<std::chrono::system_clock::time_point> time;
  struct Interface {
    std::string name = "eth0";
    /// "172.16.0.5/24"; empty: the interface is left down.
    std::string address;
    std::string gateway;
    std::string mac;
  };
  std::optional<Interface> interface;
  std::vector<std::string> nameservers;
  /// In this order; only when a session opens: configure() leaves them alone.
  std::vector<Mount> mounts;
};

class Process;
class FileWatch;
struct Opened;

/// The host's end of a connection to guestd. Owns the stream. Any number of threads may use it at once; commands
/// and copies run side by side on the one stream, each with its own flow control, so that a slow reader holds up
/// only its own command. Destruction closes the stream; guestd then ends what was started through it.
class Session {
 public:
  /// Takes over a fresh stream to guestd and greets it. With `identity`, guestd is configured in the same round
  /// trip, before anything else that this session asks for. `claim` is kept until the session ends.
  /// Error(Timeout) if there is no answer by `deadline`; Error(Guest) if it says garbage, hangs up or speaks
  /// another protocol version (naming both).
  static Session open(sys::Fd stream, std::optional<sys::Fd> claim, const std::optional<Identity>& identity,
                      Deadline deadline, const std::stop_token& stop = {});

  /// open() and start() in one round trip: the command is sent together with the greeting, and may have ended by the
  /// time this returns. For a guest that is up, such as a restored one: one that still boots would start the command
  /// with the time at which the boot began, which is corrected only a moment later. If it cannot be configured, the
  /// command is not run.
  static Opened open_and_start(sys::Fd stream, std::optional<sys::Fd> claim, const std::optional<Identity>& identity,
                               ExecOptions options, Deadline deadline, const std::stop_token& stop = {});

  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  [[nodiscard]] const GuestInfo& info() const;
  void configure(const Identity& identity, Deadline deadline);
  /// Starts a command; options.input, input_fd, timeout, stop and the callbacks are used by Process::wait().
  [[nodiscard]] Process start(ExecOptions options);
  /// start + wait.
  ExecResult exec(ExecOptions options);

  /// Copies a host file or folder (recursively, with modes, symbolic links, holes and times) to `target` in the guest.
  /// As cp -a does: an existing folder at `target` receives it under its own name. The deadline stands for the options'
  /// timeout; without an owner files are root's.
  CopyResult copy_in(const std::filesystem::path& source, const std::string& target, Deadline deadline,
                     const CopyOptions& options = {});
  /// Copies a guest file or folder to the host, with TreeWriter. Names from the guest that would leave `target` are
  /// refused (Error Guest).
  CopyResult copy_out(const std::string& source, const std::filesystem::path& target, Deadline deadline,
                      const CopyOptions& options = {});
  /// One small file, whole.
  void write_file(const std::string& path, std::string_view content, unsigned mode, Deadline deadline);
  std::string read_file(const std::string& path, std::size_t max_bytes, Deadline deadline);

  // With the rights of a user, as FileOptions says. No answer is larger than what was asked for: a guest that sends
  // more is Error(Guest). Error(Unsupported) if the guestd in the guest is too old.
  std::string read_file(const std::string& path, const FileOptions& options);
  FileInfo write_file(const std::string& path, std::string_view content, const FileOptions& options);
  std::vector<FileInfo> list_directory(const std::string& path, const FileOptions& options);
  FileInfo stat(const std::string& path, const FileOptions& options);
  void remove(const std::string& path, const FileOptions& options);
  void make_directory(const std::string& path, const FileOptions& options);

  /// Mounts a disk, for which guestd waits a while. It first forgets an earlier disk of that name. A disk that is
  /// mounted already is left as it is. If it fails, this session runs no commands. Error(InvalidState) if another disk
  /// is mounted there.
  void mount(const Mount& mount, Deadline deadline);
  /// Error(InvalidState) while something in the guest uses it; Error(NotFound) if nothing is mounted there by mount().
  void unmount(const std::string& target, Deadline deadline);

  /// Starts a service. Error(AlreadyExists) if one of its name runs; Error(NotFound) if there is no such program.
  void service_start(const ServiceOptions& options, Deadline deadline);
  /// Sends a signal to its process only, not to its group. Error(NotFound) if there is none, Error(InvalidState) if it
  /// is not running.
  void service_signal(const std::string& name, int number, Deadline deadline);
  /// Sends SIGTERM to its process group, SIGKILL after `grace`; returns once it has ended. It stays listed.
  void service_stop(const std::string& name, std::chrono::milliseconds grace, Deadline deadline);
  /// By name.
  std::vector<ServiceInfo> services(Deadline deadline);

  /// Watches a file for changes from now on: it may be made, written, or replaced. Its folder must exist.
  [[nodiscard]] FileWatch watch_file(const std::string& path, Deadline deadline);

  /// Flushes file systems and drops caches that a snapshot does not need; guestd then expects a new greeting, be it
  /// from this machine's host or a clone's. The session is over afterwards.
  void prepare_snapshot(Deadline deadline);
  /// Asks guestd to end everything, sync, unmount and end the machine. Returns when guestd has said that it will.
  void shutdown(std::chrono::milliseconds grace, Deadline deadline);
  /// Sets the guest's clock to the host's.
  void set_clock(Deadline deadline);
  /// Round trip.
  void ping(Deadline deadline);
  /// guestd's steps for this session since its greeting, and how long each took. Empty if it does not say.
  std::vector<std::pair<std::string, std::chrono::nanoseconds>> steps(Deadline deadline);

  struct Impl;

 private:
  explicit Session(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// A command running in the guest. Destruction without wait() ends it. All members except wait() can be called from
/// any thread while another waits.
class Process {
 public:
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  /// Feeds stdin, delivers output and waits for the end, as ExecOptions says.
  ExecResult wait();
  void send_signal(int number);
  void resize(WindowSize size);

  struct Impl;

 private:
  explicit Process(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
  friend class Session;
};

/// Waits for a file in the guest to change. Changes since Session::watch_file() returned count too. Valid as long as
/// its session. Use from one thread at a time.
class FileWatch {
 public:
  FileWatch(FileWatch&&) noexcept;
  FileWatch& operator=(FileWatch&&) noexcept;
  ~FileWatch();

  /// Returns after the first change. Error(Timeout), Error(Cancelled); Error(Guest) if the guest is gone.
  void wait(Deadline deadline, const std::stop_token& stop = {});

  struct Impl;

 private:
  explicit FileWatch(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
  friend class Session;
};

/// The result of open_and_start(). The process ends with the session.
struct Opened {
  Session session;
  Process process;
};

}  // namespace fireclaw::guest
