#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>

#include "base/deadline.hpp"
#include "fireclaw/error.hpp"
#include "vmm/brief_pause.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::core::testing {

/// Passes every call on to another instance. Tests override the calls that they want to see or to fail.
class WrappedInstance : public vmm::Instance {
 public:
  explicit WrappedInstance(std::unique_ptr<vmm::Instance> real) : real_{std::move(real)} {}

  [[nodiscard]] vmm::RuntimeRecord record() const override { return real_->record(); }
  void pause(Deadline deadline) override { real_->pause(deadline); }
  void resume(Deadline deadline) override { real_->resume(deadline); }
  [[nodiscard]] bool resume_resets_streams() const override { return real_->resume_resets_streams(); }
  void snapshot(const vmm::SnapshotFiles& files, Deadline deadline, const std::stop_token& stop) override {
    real_->snapshot(files, deadline, stop);
  }
  std::chrono::nanoseconds snapshot_running(const vmm::SnapshotFiles& files, const std::function<void()>& copy_drives,
                                            Deadline deadline, const std::stop_token& stop) override {
    return real_->snapshot_running(files, copy_drives, deadline, stop);
  }
  vmm::GuestStream connect_guest(Deadline deadline, const std::stop_token& stop) override {
    return real_->connect_guest(deadline, stop);
  }
  void kill() noexcept override { real_->kill(); }
  void send_kill() noexcept override { real_->send_kill(); }
  [[nodiscard]] bool freeze() noexcept override { return real_->freeze(); }
  bool wait_exit(Deadline deadline, const std::stop_token& stop) override { return real_->wait_exit(deadline, stop); }
  [[nodiscard]] int exit_fd() const override { return real_->exit_fd(); }
  [[nodiscard]] std::string exit_reason() override { return real_->exit_reason(); }
  [[nodiscard]] std::string console_tail(std::size_t max_bytes) const override {
    return real_->console_tail(max_bytes);
  }

 private:
  std::unique_ptr<vmm::Instance> real_;
};

/// Its engine pauses it and does not resume it.
class StuckInstance final : public WrappedInstance {
 public:
  using WrappedInstance::WrappedInstance;

  void resume(Deadline) override { throw Error{ErrorCode::Timeout, "no answer"}; }
  std::chrono::nanoseconds snapshot_running(const vmm::SnapshotFiles&, const std::function<void()>&, Deadline deadline,
                                            const std::stop_token&) override {
    pause(deadline);
    throw vmm::StaysPaused{ErrorCode::Timeout, "the machine stays paused: no answer"};
  }
};

}  // namespace fireclaw::core::testing
