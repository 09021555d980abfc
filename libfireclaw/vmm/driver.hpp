#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "base/deadline.hpp"
#include "sys/fd.hpp"
#include "sys/process.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::vmm {

struct Capabilities {
  bool user_network = false;
  /// Takes vmm::NoBackend.
  bool unconnected_nics = false;
  /// Takes a tap as a descriptor (without virtio-net headers); otherwise by its name.
  bool tap_descriptors = false;
  bool snapshots = true;
  unsigned max_vcpus = 1;
  /// Kernel kinds it can boot.
  bool elf_mmio = false;
  bool bzimage_mmio = false;
  bool pci = false;
};

/// Enough to find a running machine again from another process; written to the run's record.
struct RuntimeRecord {
  /// Driver::name() of the driver that made it.
  std::string engine;
  sys::ProcessId process;
  std::filesystem::path run_dir;

  bool operator==(const RuntimeRecord&) const = default;
};

/// A byte stream to guestd, owned; closing it frees the channel for others.
struct GuestStream {
  sys::Fd stream;
  /// Held as long as the stream is used, if channels are few (a lock on the channel's name).
  std::optional<sys::Fd> claim;
};

/// Called with the name of each finished phase ("spawn", "load", ...) and how long it took.
using PhaseCallback = std::function<void(std::string_view phase, std::chrono::nanoseconds duration)>;

struct StartOptions {
  Deadline deadline = Deadline::never();
  std::stop_token stop;
  PhaseCallback on_phase;
  /// Makes the taps that an engine opens by their names. The driver calls it once the engine's process has been
  /// started, to use the time until that answers; not for engines that take descriptors
  /// (Capabilities::tap_descriptors).
  std::function<void()> make_taps = nullptr;
};

/// One machine's engine process. Owns it if it was launched with die_with_parent (destruction then kills it);
/// otherwise destruction leaves it running. Calls are serialised by the caller, except kill(), send_kill(), process()
/// and console_tail(), which are safe from any thread.
class Instance {
 public:
  virtual ~Instance() = default;

  [[nodiscard]] virtual RuntimeRecord record() const = 0;
  virtual void pause(Deadline deadline) = 0;
  virtual void resume(Deadline deadline) = 0;
  /// Whether streams to the guest that were open before a pause are dead after resume(); connect_guest() again then.
  [[nodiscard]] virtual bool resume_resets_streams() const { return false; }
  /// Writes a full snapshot. The machine is paused before and stays paused. Files must not exist; on failure none
  /// is left.
  virtual void snapshot(const SnapshotFiles& files, Deadline deadline, const std::stop_token& stop = {}) = 0;
  /// The same for a running machine, which continues: it is paused only until the contents of its memory are fixed.
  /// `copy_drives` is called once meanwhile: the content of its writable drives then belongs to the snapshot. The
  /// machine also continues if this or `copy_drives` throws, unless this throws StaysPaused. Returns how long it was
  /// paused.
  virtual std::chrono::nanoseconds snapshot_running(const SnapshotFiles& files,
                                                    const std::function<void()>& copy_drives, Deadline deadline,
                                                    const std::stop_token& stop = {}) = 0;
  /// A connection to guestd. After a cold start it may return before the guest has booted (bytes wait) or once the
  /// guest has dialled out; either way without polling.
  virtual GuestStream connect_guest(Deadline deadline, const std::stop_token& stop = {}) = 0;
  /// Ends the engine at once (SIGKILL) and reaps it; no error if it is gone already.
  virtual void kill() noexcept = 0;
  /// The same without waiting: the engine executes nothing more, and is still being taken down.
  virtual void send_kill() noexcept = 0;
  /// Call before send_kill(): from here on the engine executes nothing. False if that is not certain.
  [[nodiscard]] virtual bool freeze() noexcept = 0;
  /// Waits for the engine process to end; false if it still runs at the deadline. After a guest's own shutdown the
  /// process ends by itself.
  virtual bool wait_exit(Deadline deadline, const std::stop_token& stop = {}) = 0;
  /// Readable once the engine has ended.
  [[nodiscard]] virtual int exit_fd() const = 0;
  /// Why the engine ended, in words ("was killed by signal 9; log: ..."), or empty while it runs.
  [[nodiscard]] virtual std::string exit_reason() = 0;
  /// The end of the guest's console output.
  [[nodiscard]] virtual std::string console_tail(std::size_t max_bytes) const = 0;
};

/// One engine with one accelerator. Stateless; safe from any thread.
class Driver {
 public:
  virtual ~Driver() = default;

  /// "qemu-kvm", "qemu-tcg", "firecracker".
  [[nodiscard]] virtual std::string name() const = 0;
  /// What a snapshot depends on beside image and machine: engine version, accelerator, CPU model.
  [[nodiscard]] virtual std::string snapshot_identity() const = 0;
  [[nodiscard]] virtual Capabilities capabilities() const = 0;
  /// Boots a machine. Returns once its CPUs run.
  virtual std::unique_ptr<Instance> launch(const LaunchSpec& spec, const StartOptions& options) = 0;
  /// Restores a machine from `files`. Its spec must be equal to the saved machine's except id, run_dir, tap names and
  /// the paths of writable drives. Returns once its CPUs run.
  virtual std::unique_ptr<Instance> restore(const LaunchSpec& spec, const SnapshotFiles& files,
                                            const StartOptions& options) = 0;
  /// Attaches to a machine that another process started. nullptr if it is gone. The instance does not own it.
  virtual std::unique_ptr<Instance> adopt(const RuntimeRecord& record) = 0;
};

}  // namespace fireclaw::vmm
