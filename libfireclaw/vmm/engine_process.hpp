#pragma once

#include <filesystem>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.hpp"
#include "sys/fd.hpp"
#include "sys/process.hpp"
#include "vmm/text_pipe.hpp"

namespace fireclaw::vmm {

/// An engine's process: a child of ours, or one that another process started. All members are safe from any thread.
/// Destruction kills a child that was started with die_with_parent and leaves any other alone.
class EngineProcess {
 public:
  /// Throws Error(Vmm) if it is killed before it runs, or the kernel cannot make it; else as sys::Child::spawn().
  static EngineProcess start(const sys::SpawnSpec& spec);
  /// nullopt if it is gone.
  static std::optional<EngineProcess> adopt(const sys::ProcessId& id);

  EngineProcess(EngineProcess&& other) noexcept;
  EngineProcess& operator=(EngineProcess&&) = delete;
  ~EngineProcess();

  [[nodiscard]] sys::ProcessId id() const noexcept { return id_; }
  /// Readable once it has ended.
  [[nodiscard]] int pidfd() const noexcept { return pidfd_.get(); }
  [[nodiscard]] bool ended() const;
  void kill() noexcept;
  /// SIGKILL, without waiting for the end.
  void send_kill() noexcept;
  /// Stops all of its threads until it is killed. False if that is not certain.
  [[nodiscard]] bool freeze() noexcept;
  /// "was killed by signal 9"; empty while it runs. A process that did not start it knows only that it ended.
  [[nodiscard]] std::string describe_end();

 private:
  EngineProcess(sys::ProcessId id, sys::Fd pidfd, std::optional<sys::Child> child, bool owned);

  sys::ProcessId id_;
  sys::Fd pidfd_;
  std::mutex mutex_;
  std::optional<sys::Child> child_;
  bool owned_;
};

/// The end of the engine's log, on one line; empty without a log.
std::string log_tail(const TextPipe* log);

/// Why the engine ended, "exited with status 1; log: ...", or empty while it runs.
std::string exit_reason(EngineProcess& process, const TextPipe* log);

}  // namespace fireclaw::vmm
