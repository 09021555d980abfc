#pragma once

#include "machine.hpp"

namespace fireclaw::guestd {

/// guestd as an ordinary process, for tests and for trying things out: commands and copies are real, what would change
/// the machine itself is checked and left undone.
class ProcessMachine final : public Machine {
 public:
  wire::Hello hello() override;
  std::optional<wire::ExecFailed> spawn(const wire::Exec& request, Spawned& spawned) override;
  void signal_group(pid_t leader, int number) override;
  wire::Done configure(const wire::Configure& request) override;
  wire::Done set_clock(std::int64_t) override { return {}; }
  guest::Base files() override;
  wire::Done prepare_snapshot() override { return {}; }
  void shutdown(std::uint32_t) override { ending_ = true; }

  [[nodiscard]] bool ending() const { return ending_; }

 private:
  bool ending_ = false;
};

}  // namespace fireclaw::guestd
