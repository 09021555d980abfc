#pragma once

#include <optional>
#include <string>

#include "vmm/driver.hpp"
#include "vmm/engine_process.hpp"
#include "vmm/qemu/argv.hpp"
#include "vmm/qemu/console.hpp"
#include "vmm/qemu/qmp.hpp"
#include "vmm/qemu/run_dir.hpp"
#include "vmm/qemu/snapshot.hpp"
#include "vmm/text_pipe.hpp"

namespace fireclaw::vmm::qemu {

struct InstanceParts {
  /// The driver's name.
  std::string engine;
  EngineProcess process;
  RunDir run_dir;
  /// nullopt for an adopted machine into whose process we may not look.
  std::optional<Console> console;
  /// The channel that was connected when this process started the machine; the first connect_guest() gets it.
  std::optional<GuestStream> channel;
  TextPipe log;
  /// Its stand-in while it is saved: see snapshot.hpp.
  Engine program;
  sys::Confinement confinement = sys::Confinement::None;
};

/// A machine that runs, or ran, in a QEMU process. Its control socket is connected for one call at a time, so that
/// several processes can use the machine by turns. Destruction ends QEMU if it was started with die_with_parent.
class QemuInstance final : public Instance {
 public:
  explicit QemuInstance(InstanceParts parts) : parts_{std::move(parts)} {}

  [[nodiscard]] RuntimeRecord record() const override;
  void pause(Deadline deadline) override;
  void resume(Deadline deadline) override;
  void snapshot(const SnapshotFiles& files, Deadline deadline, const std::stop_token& stop) override;
  std::chrono::nanoseconds snapshot_running(const SnapshotFiles& files, const std::function<void()>& copy_drives,
                                            Deadline deadline, const std::stop_token& stop) override;
  GuestStream connect_guest(Deadline deadline, const std::stop_token& stop) override;
  void kill() noexcept override { parts_.process.kill(); }
  void send_kill() noexcept override { parts_.process.send_kill(); }
  [[nodiscard]] bool freeze() noexcept override { return parts_.process.freeze(); }
  bool wait_exit(Deadline deadline, const std::stop_token& stop) override;
  [[nodiscard]] int exit_fd() const override { return parts_.process.pidfd(); }
  [[nodiscard]] std::string exit_reason() override;
  [[nodiscard]] std::string console_tail(std::size_t max_bytes) const override;

 private:
  [[nodiscard]] SavedMachine saved_machine() {
    return {parts_.process, parts_.run_dir, parts_.log, parts_.program, parts_.confinement};
  }
  template <typename F>
  void control(std::string_view what, const Wait& wait, F use);

  InstanceParts parts_;
};

}  // namespace fireclaw::vmm::qemu
