#include "vmm/qemu/instance.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <utility>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"
#include "vmm/qemu/start.hpp"

namespace fireclaw::vmm::qemu {

RuntimeRecord QemuInstance::record() const { return {parts_.engine, parts_.process.id(), parts_.run_dir.path}; }

// Runs use(QmpClient&, Wait) with the control socket. If that fails because QEMU has ended, the error says so.
template <typename F>
void QemuInstance::control(std::string_view what, const Wait& wait, F use) {
  throw_if_ended(parts_.process, &parts_.log, false);
  const auto lock =
      sys::FileLock::acquire(parts_.run_dir.qmp_lock(), sys::FileLock::Mode::Exclusive, wait.deadline, what);
  QmpClient qmp{sys::unix_connect(parts_.run_dir.qmp_socket())};
  try {
    use(qmp);
  } catch (Error& error) {
    if (error.code() == ErrorCode::Vmm) throw_if_ended(parts_.process, &parts_.log, qmp.closed());
    error.add_context(std::string{what});
    throw;
  }
}

void QemuInstance::pause(Deadline deadline) {
  const Wait wait{deadline, {}};
  control("pause the machine", wait, [&](QmpClient& qmp) { qmp.execute("stop", {}, wait); });
}

void QemuInstance::resume(Deadline deadline) {
  const Wait wait{deadline, {}};
  control("resume the machine", wait, [&](QmpClient& qmp) { resume_machine(qmp, wait); });
}

void QemuInstance::snapshot(const SnapshotFiles& files, Deadline deadline, const std::stop_token& stop) {
  const Wait wait{deadline, stop};
  control("save the machine", wait, [&](QmpClient& qmp) { save_machine(qmp, saved_machine(), files, wait); });
}

std::chrono::nanoseconds QemuInstance::snapshot_running(const SnapshotFiles& files,
                                                        const std::function<void()>& copy_drives, Deadline deadline,
                                                        const std::stop_token& stop) {
  const Wait wait{deadline, stop};
  std::chrono::nanoseconds paused_for{0};
  control("save the running machine", wait,
          [&](QmpClient& qmp) { paused_for = save_running_machine(qmp, saved_machine(), files, copy_drives, wait); });
  return paused_for;
}

GuestStream QemuInstance::connect_guest(Deadline deadline, const std::stop_token& stop) {
  if (parts_.channel) {
    auto channel = std::move(*parts_.channel);
    parts_.channel.reset();
    return channel;
  }
  throw_if_ended(parts_.process, &parts_.log, false);
  return connect_free_channel(parts_.run_dir, {deadline, stop});
}

bool QemuInstance::wait_exit(Deadline deadline, const std::stop_token& stop) {
  switch (sys::wait_fd(parts_.process.pidfd(), POLLIN, deadline, stop)) {
    case sys::WaitResult::Ready:
      (void)parts_.process.describe_end();  // reaps it
      return true;
    case sys::WaitResult::Timeout:
    case sys::WaitResult::Stopped: return false;
  }
  return false;
}

std::string QemuInstance::exit_reason() { return vmm::exit_reason(parts_.process, &parts_.log); }

std::string QemuInstance::console_tail(std::size_t max_bytes) const {
  return parts_.console ? parts_.console->tail(max_bytes) : std::string{};
}

}  // namespace fireclaw::vmm::qemu
