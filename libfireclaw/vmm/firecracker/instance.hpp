#pragma once

#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include "vmm/driver.hpp"
#include "vmm/engine_process.hpp"
#include "vmm/firecracker/api.hpp"
#include "vmm/firecracker/version.hpp"
#include "vmm/firecracker/vsock.hpp"
#include "vmm/text_pipe.hpp"

namespace fireclaw::vmm::firecracker {

/// How a machine came to run, which decides how its guest is reached first.
enum class Origin {
  Booted,    ///< cold, by this process: guestd dials out when it is ready
  Restored,  ///< from a snapshot, by this process: guestd listens, and its connections have just been reset
  Adopted,   ///< started by another process: guestd listens
};

struct InstanceParts {
  RuntimeRecord record;
  Version version;
  Origin origin;
  EngineProcess process;
  Api api;
  std::optional<TextPipe> console;
  std::optional<TextPipe> log;
  /// Where guestd's first connection arrives (Origin::Booted).
  std::optional<sys::Fd> ready_listener;
  bool owned = false;
  /// Started::ended_watch
  std::optional<sys::Fd> ended_watch;
};

/// A machine that runs, or ran, in a Firecracker process.
class FirecrackerInstance final : public Instance {
 public:
  explicit FirecrackerInstance(InstanceParts parts) : parts_{std::move(parts)} {}
  ~FirecrackerInstance() override;

  /// Checks that the process is of the version that the requests were made for, and sends them.
  void begin(std::span<const http::Request> requests, const std::string& version, const StartOptions& options);

  [[nodiscard]] RuntimeRecord record() const override { return parts_.record; }
  void pause(Deadline deadline) override;
  void resume(Deadline deadline) override;
  [[nodiscard]] bool resume_resets_streams() const override { return waits_for_reset_after_resume(parts_.version); }
  void snapshot(const SnapshotFiles& files, Deadline deadline, const std::stop_token& stop) override;
  std::chrono::nanoseconds snapshot_running(const SnapshotFiles& files, const std::function<void()>& copy_drives,
                                            Deadline deadline, const std::stop_token& stop) override;
  GuestStream connect_guest(Deadline deadline, const std::stop_token& stop) override;
  void kill() noexcept override;
  void send_kill() noexcept override { parts_.process.send_kill(); }
  [[nodiscard]] bool freeze() noexcept override { return parts_.process.freeze(); }
  bool wait_exit(Deadline deadline, const std::stop_token& stop) override;
  [[nodiscard]] int exit_fd() const override { return parts_.process.pidfd(); }
  [[nodiscard]] std::string exit_reason() override;
  [[nodiscard]] std::string console_tail(std::size_t max_bytes) const override;

 private:
  /// One request. If the connection fails because the engine ended, that is the error, with the reason.
  std::string call(const http::Request& request, Deadline deadline, const std::stop_token& stop = {});
  void announce_reset(Deadline deadline);
  void require_savable(const SnapshotFiles& files) const;
  /// Saves a paused machine. `once_taken` is called when Firecracker has written everything.
  void save(const SnapshotFiles& files, Deadline deadline, const std::stop_token& stop,
            const std::function<void()>& once_taken);
  [[nodiscard]] const TextPipe* log() const { return parts_.log ? &*parts_.log : nullptr; }
  [[nodiscard]] std::filesystem::path path(std::string_view name) const { return parts_.record.run_dir / name; }

  InstanceParts parts_;
  /// Whether the machine's state was saved since it was last running, which resets the guest's connections.
  bool state_saved_ = false;
  bool first_connection_ = true;
};

/// What made a call fail. A process closes its connections a moment before it counts as ended.
enum class Lost { Nothing, Connection };
/// After a failure: throws the reason for the engine's end, if it has ended, or ends within that moment.
void throw_if_ended(EngineProcess& process, const TextPipe* log, Lost lost);
/// The sockets that an engine leaves behind.
void remove_sockets(const std::filesystem::path& run_dir) noexcept;

}  // namespace fireclaw::vmm::firecracker
