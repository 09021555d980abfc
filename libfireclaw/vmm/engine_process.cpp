#include "vmm/engine_process.hpp"

#include <poll.h>

#include <chrono>
#include <csignal>

#include "fireclaw/error.hpp"
#include "sys/poll.hpp"

namespace fireclaw::vmm {

namespace {

constexpr std::size_t log_tail_bytes = 1500;
/// Only a kernel that hangs keeps a killed process for so long.
constexpr std::chrono::seconds kill_limit{10};

bool is_readable(int fd) {
  return sys::wait_fd(fd, POLLIN, Deadline::after(std::chrono::nanoseconds{0})) == sys::WaitResult::Ready;
}

// An engine that is killed before it runs has failed as one that is killed a moment later.
sys::Child spawn(const sys::SpawnSpec& spec) {
  try {
    return sys::Child::spawn(spec);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Io) throw Error{ErrorCode::Vmm, error.what()};
    throw;
  }
}

}  // namespace

EngineProcess::EngineProcess(sys::ProcessId id, sys::Fd pidfd, std::optional<sys::Child> child, bool owned)
    : id_{id}, pidfd_{std::move(pidfd)}, child_{std::move(child)}, owned_{owned} {}

EngineProcess::EngineProcess(EngineProcess&& other) noexcept
    : id_{other.id_}, pidfd_{std::move(other.pidfd_)}, child_{std::move(other.child_)}, owned_{other.owned_} {
  other.child_.reset();
}

EngineProcess EngineProcess::start(const sys::SpawnSpec& spec) {
  auto child = spawn(spec);
  const auto id = child.id();
  // Its own descriptor: waits on it continue while another thread reaps the child.
  auto pidfd = sys::duplicate(child.pidfd());
  return EngineProcess{id, std::move(pidfd), std::move(child), spec.die_with_parent};
}

std::optional<EngineProcess> EngineProcess::adopt(const sys::ProcessId& id) {
  auto pidfd = sys::open_pidfd(id);
  if (!pidfd) return std::nullopt;
  return EngineProcess{id, std::move(*pidfd), std::nullopt, false};
}

EngineProcess::~EngineProcess() {
  if (!child_ || owned_) return;
  (void)child_->wait(Deadline::after(std::chrono::nanoseconds{0}));  // leaves no zombie if it has ended
  child_->detach();
}

bool EngineProcess::ended() const { return is_readable(pidfd_.get()); }

void EngineProcess::kill() noexcept {
  const std::scoped_lock lock{mutex_};
  if (child_) {
    child_->kill();
    return;
  }
  try {
    sys::send_signal(id_, SIGKILL);
    (void)sys::wait_fd(pidfd_.get(), POLLIN, Deadline::after(kill_limit));
  } catch (...) {
    // Out of descriptors or memory, and there is nobody to tell.
  }
}

void EngineProcess::send_kill() noexcept {
  const std::scoped_lock lock{mutex_};
  if (child_) return child_->signal(SIGKILL);
  try {
    sys::send_signal(id_, SIGKILL);
  } catch (...) {
    // As above.
  }
}

bool EngineProcess::freeze() noexcept {
  const std::scoped_lock lock{mutex_};
  return child_ && child_->stop();
}

std::string EngineProcess::describe_end() {
  if (!ended()) return {};
  const std::scoped_lock lock{mutex_};
  if (!child_) return "ended";
  const auto status = child_->wait(Deadline::never());
  return status ? status->describe() : "ended";
}

std::string log_tail(const TextPipe* log) {
  if (log == nullptr) return {};
  std::string line;
  for (const char c : log->tail(log_tail_bytes)) {
    if (c == '\n') {
      if (!line.empty() && !line.ends_with(" | ")) line += " | ";
    } else if (c != '\r') {
      line += c;
    }
  }
  if (line.ends_with(" | ")) line.resize(line.size() - 3);
  return line;
}

std::string exit_reason(EngineProcess& process, const TextPipe* log) {
  auto reason = process.describe_end();
  if (reason.empty()) return {};
  if (const auto text = log_tail(log); !text.empty()) reason += "; log: " + text;
  return reason;
}

}  // namespace fireclaw::vmm
