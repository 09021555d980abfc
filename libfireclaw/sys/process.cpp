#include "sys/process.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/launch.hpp"
#include "sys/poll.hpp"
#include "sys/stat_line.hpp"

namespace fireclaw::sys {
namespace {

// How the child ended, or nullopt if it still runs (only with WNOHANG).
std::optional<ExitStatus> reap(int pidfd, int flags) noexcept {
  siginfo_t info{};
  if (retry([&] { return ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED | flags); }) < 0) {
    // ECHILD: the host program ignores SIGCHLD or waits for children that are not its own; how it ended is lost.
    return ExitStatus{};
  }
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return ExitStatus{.code = info.si_status, .signal = 0};
  return ExitStatus{.code = std::nullopt, .signal = info.si_status};
}

}  // namespace

std::string ExitStatus::describe() const {
  if (code) return fmt::format("exited with status {}", *code);
  if (signal != 0) return fmt::format("was killed by signal {}", signal);
  return "ended, its status unknown";
}

Child::Child(ProcessId id, Fd pidfd) noexcept : id_{id}, pidfd_{std::move(pidfd)} {}

Child Child::spawn(const SpawnSpec& spec) {
  // The main thread lives as long as the process; every other one may end first.
  const bool lasting = ::gettid() == ::getpid();
  Launched launched = spec.die_with_parent && !lasting ? launch_from_lasting_thread(spec) : launch(spec);
  Child child{ProcessId{launched.pid, 0}, std::move(launched.pidfd)};
  const auto id = identify_even_ended(launched.pid);
  if (id) child.id_ = *id;
  return child;
}

Child::Child(Child&& other) noexcept
    : id_{other.id_},
      pidfd_{std::move(other.pidfd_)},
      owned_{std::exchange(other.owned_, false)},
      status_{other.status_} {}

Child& Child::operator=(Child&& other) noexcept {
  if (this != &other) {
    if (owned_) kill();
    id_ = other.id_;
    pidfd_ = std::move(other.pidfd_);
    owned_ = std::exchange(other.owned_, false);
    status_ = other.status_;
  }
  return *this;
}

Child::~Child() {
  if (owned_) kill();
}

void Child::signal(int number) noexcept {
  if (!status_) ::syscall(SYS_pidfd_send_signal, pidfd_.get(), number, nullptr, 0);
}

bool Child::stop() noexcept {
  signal(SIGSTOP);
  const auto deadline = Deadline::after(std::chrono::milliseconds{100});
  constexpr int no_fd = -1;
  try {
    for (;;) {
      siginfo_t info{};
      const auto pidfd = static_cast<id_t>(pidfd_.get());
      // Left to be seen again: who waits for the end.
      if (::waitid(P_PIDFD, pidfd, &info, WSTOPPED | WEXITED | WNOWAIT | WNOHANG) < 0 || info.si_pid != 0) return true;
      if (deadline.passed()) return false;
      (void)wait_fd(no_fd, 0, Deadline::after(std::chrono::microseconds{50}));
    }
  } catch (...) {
    return false;
  }
}

std::optional<ExitStatus> Child::wait(Deadline deadline, const std::stop_token& stop) {
  if (!status_) status_ = reap(pidfd_.get(), WNOHANG);
  if (!status_ && wait_fd(pidfd_.get(), POLLIN, deadline, stop) == WaitResult::Ready) status_ = reap(pidfd_.get(), 0);
  return status_;
}

ExitStatus Child::kill() noexcept {
  signal(SIGKILL);
  if (!status_) status_ = reap(pidfd_.get(), 0);
  return *status_;
}

ProcessId Child::detach() noexcept {
  owned_ = false;
  return id_;
}

std::optional<std::filesystem::path> find_program(const std::string& name,
                                                  const std::vector<std::filesystem::path>& search_path) {
  const auto is_program = [](const std::filesystem::path& path) {
    struct stat status;
    return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) && ::access(path.c_str(), X_OK) == 0;
  };
  if (name.find('/') != std::string::npos) {
    return is_program(name) ? std::optional<std::filesystem::path>{name} : std::nullopt;
  }
  if (name.empty()) return std::nullopt;
  for (const std::filesystem::path& folder : search_path) {
    std::filesystem::path candidate = folder / name;
    if (is_program(candidate)) return candidate;
  }
  return std::nullopt;
}

}  // namespace fireclaw::sys
