#include "init_machine.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

#include "identity.hpp"
#include "introduce.hpp"
#include "loop.hpp"
#include "processes/spawn.hpp"
#include "processes/users.hpp"
#include "restored.hpp"
#include "server.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// How long processes that were killed may take to disappear (one may be in the middle of a write to a disk).
constexpr std::int64_t killed_patience_ms = 2000;
constexpr std::int64_t least_notice_ms = 500;

wire::ExecFailed shutting_down() { return {wire::ExecFailure::BadRequest, ESHUTDOWN, "the guest is shutting down"}; }

}  // namespace

wire::Hello InitMachine::hello() { return introduce(); }

std::optional<wire::ExecFailed> InitMachine::spawn(const wire::Exec& request, Spawned& spawned) {
  if (ending_ != Ending::No) return shutting_down();
  return spawn_command(request, spawned);
}

std::optional<wire::ExecFailed> InitMachine::spawn_service(const wire::Exec& request, int output, pid_t& pid) {
  return guestd::spawn_service(request, output, pid);
}

std::optional<wire::ExecFailed> InitMachine::spawn_file_call(const wire::FileCall& call, Spawned& spawned) {
  if (ending_ != Ending::No) return shutting_down();
  return guestd::spawn_file_call(call, spawned);
}

void InitMachine::signal_group(pid_t leader, int number) { kill(-leader, number); }

void InitMachine::signal_process(pid_t pid, int number) { kill(pid, number); }

wire::Done InitMachine::configure(const wire::Configure& request, Steps& steps) {
  wire::Done answer = apply_identity(request, steps);
  host_time_.told();
  spare_memory_.told();
  if (wire::Done renewed = renew_generation(); answer.error == 0) answer = std::move(renewed);
  steps.done("generation");
  // A machine that is told who it is after it was saved is a clone.
  if (std::exchange(saved_, false)) start_restored_hooks(services_);
  return answer;
}

wire::Done InitMachine::set_clock(std::int64_t time_ns) {
  host_time_.told();
  return guestd::set_clock(time_ns);
}

guest::Base InitMachine::files() { return {AT_FDCWD, false}; }

std::optional<guest::Failure> InitMachine::find_owner(std::string_view user, guest::TreeWriter::Owner& owner) {
  return look_up_owner(user, owner);
}

wire::Done InitMachine::mount(const wire::Mount& request) {
  wire::Done answer = disks_.mount(request);
  if (answer.error == 0) services_.reopen_logs();
  return answer;
}

wire::Done InitMachine::unmount(const wire::Unmount& request) {
  // A log that is on the disk would keep it from being unmounted.
  services_.reopen_logs();
  return disks_.unmount(request);
}

wire::Done InitMachine::prepare_snapshot() {
  warm_up_identity();
  sync();
  malloc_trim(0);
  saved_ = true;
  return {};
}

void InitMachine::shutdown(std::uint32_t grace_ms) {
  if (ending_ != Ending::No) return;
  ending_ = Ending::Services;
  others_until_ = now_ms() + grace_ms;
  // Those that would not end are killed by then: Services sees to it.
  deadline_ = others_until_ + killed_patience_ms;
  services_.shut_down(grace_ms);
  advance();
}

void InitMachine::ask_others() {
  ending_ = Ending::Others;
  // Also when services have used up the time, others get a little of their own.
  deadline_ = std::max(others_until_, now_ms() + least_notice_ms);
  kill(-1, SIGTERM);
  kill(-1, SIGCONT);
}

void InitMachine::advance() {
  if (ending_ == Ending::No) {
    // One moment for both, so that one look of theirs is not two.
    const std::int64_t now = now_ms();
    host_time_.tick(now);
    return spare_memory_.tick(now, host_time_.deadline());
  }
  if (Server::childless()) finish();
  if (ending_ == Ending::Services) {
    if (services_.idle() || now_ms() >= deadline_) ask_others();
    return;
  }
  if (now_ms() < deadline_) return;
  if (ending_ == Ending::Killed) finish();
  ending_ = Ending::Killed;
  deadline_ = now_ms() + killed_patience_ms;
  kill(-1, SIGKILL);
}

void InitMachine::finish() {
  services_.end();
  disks_.finish();
  sync();
  // Read-only again, a disk is marked as clean and needs no recovery the next time.
  for (const OwnedFd& disk : boot_disks_)
    if (fchdir(disk.get()) < 0 || ::mount(nullptr, ".", nullptr, MS_REMOUNT | MS_RDONLY, nullptr) < 0)
      log({"a disk could not be made read-only: ", error_text(errno)});
  reboot(RB_AUTOBOOT);
  _exit(1);
}

}  // namespace fireclaw::guestd
