#pragma once

#include <algorithm>
#include <cstdint>

#include "boot/boot.hpp"
#include "boot/disks.hpp"
#include "host_time.hpp"
#include "machine.hpp"
#include "processes/services.hpp"
#include "spare_memory.hpp"

namespace fireclaw::guestd {

/// The machine of which guestd is process 1.
class InitMachine final : public Machine {
 public:
  InitMachine(Loop& loop, DiskMounts boot_disks) : services_{loop, *this}, boot_disks_{std::move(boot_disks)} {}

  wire::Hello hello() override;
  std::optional<wire::ExecFailed> spawn(const wire::Exec& request, Spawned& spawned) override;
  std::optional<wire::ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid) override;
  std::optional<wire::ExecFailed> spawn_file_call(const wire::FileCall& call, Spawned& spawned) override;
  void signal_group(pid_t leader, int number) override;
  void signal_process(pid_t pid, int number) override;
  Services& services() override { return services_; }
  wire::Done configure(const wire::Configure& request, Steps& steps) override;
  wire::Done set_clock(std::int64_t time_ns) override;
  guest::Base files() override;
  std::optional<guest::Failure> find_owner(std::string_view user, guest::TreeWriter::Owner& owner) override;
  wire::Done mount(const wire::Mount& request) override;
  wire::Done unmount(const wire::Unmount& request) override;
  wire::Done prepare_snapshot() override;
  void shutdown(std::uint32_t grace_ms) override;

  /// When advance() wants to be called, in now_ms() time.
  [[nodiscard]] std::int64_t deadline() const {
    return ending_ == Ending::No ? std::min(host_time_.deadline(), spare_memory_.deadline()) : deadline_;
  }
  /// Keeps the clock, gives memory back, or takes the next step of a shutdown once it is due: services first, then all
  /// others, then the machine.
  void advance();

 private:
  enum class Ending { No, Services, Others, Killed };

  [[noreturn]] void finish();

  void ask_others();

  Services services_;
  DiskMounts boot_disks_;
  Disks disks_;
  HostTime host_time_;
  SpareMemory spare_memory_;
  /// It was prepared for a snapshot, and has not got an identity since.
  bool saved_ = false;
  Ending ending_ = Ending::No;
  std::int64_t deadline_ = -1;
  std::int64_t others_until_ = -1;
};

}  // namespace fireclaw::guestd
