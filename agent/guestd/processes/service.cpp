#include "processes/service.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

using wire::Restart;
using wire::ServiceState;

/// What is moved into the log in one go, so that a service that never stops writing does not hold up the rest.
constexpr int pieces_at_once = 8;
constexpr std::size_t piece_bytes = std::size_t{32} << 10;
/// A pipe holds 1 MiB at most, unless an administrator allows more.
constexpr int most_times_at_end = 4;

wire::Exec to_command(const wire::ServiceStart& request) {
  wire::Exec command;
  command.argv = request.argv;
  command.env = request.env;
  command.cwd = request.cwd;
  command.user = request.user;
  return command;
}

}  // namespace

Service::Service(Loop& loop, Machine& machine, const wire::ServiceStart& request, std::uint64_t number)
    : loop_{loop},
      machine_{machine},
      name_{request.name},
      number_{number},
      command_{to_command(request)},
      policy_{request.restart},
      backoff_first_ms_{request.backoff_first_ms},
      backoff_longest_ms_{request.backoff_longest_ms},
      log_{machine.files(), request.log, request.log_limit},
      backoff_ms_{backoff_first_ms_} {}

Service::~Service() {
  if (pid_ > 0) machine_.signal_group(pid_, SIGKILL);
  if (output_.open()) loop_.unwatch(output_.get(), *this);
}

wire::Done Service::begin() {
  if (!log_.open()) {
    const int error = errno;
    return {error, cat({"cannot open the log of service '", name_, "': ", error_text(error)})};
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) {
    const int error = errno;
    return {error, cat({"cannot open a pipe: ", error_text(error)})};
  }
  output_.reset(ends[0]);
  input_.reset(ends[1]);
  // Ours only: a service that finds its own end non-blocking would lose output, or end.
  fcntl(output_.get(), F_SETFL, O_NONBLOCK);
  wire::Done done;
  if (!launch(done)) return done;
  loop_.watch(output_.get(), *this);
  return {};
}

bool Service::launch(wire::Done& done) {
  pid_t pid = 0;
  if (const std::optional<wire::ExecFailed> failed = machine_.spawn_service(command_, input_.get(), pid)) {
    done = {failed->error != 0 ? failed->error : EINVAL, failed->message};
    return false;
  }
  pid_ = pid;
  state_ = ServiceState::Running;
  started_ms_ = now_ms();
  due_ms_ = -1;
  problem_.clear();
  return true;
}

void Service::back_off() {
  state_ = ServiceState::BackingOff;
  due_ms_ = now_ms() + backoff_ms_;
  backoff_ms_ = std::min(backoff_ms_ * 2, backoff_longest_ms_);
}

void Service::restart() {
  ++restarts_;
  wire::Done done;
  if (launch(done)) return;
  problem_ = done.message.substr(0, wire::max_service_problem_bytes);
  log_.write(cat({"[guestd: cannot start again: ", problem_, "]\n"}));
  back_off();
}

void Service::ended(int status) {
  // Before the next one starts: of two that write the same files, or listen on the same port, one must be gone.
  machine_.signal_group(pid_, SIGKILL);
  // Nobody hears of its end before what it has written is in the log.
  readable_ = true;
  for (int times = 0; readable_ && times < most_times_at_end; ++times) move_output();
  pid_ = 0;
  due_ms_ = -1;
  signal_ = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  code_ = signal_ != 0 ? 128 + signal_ : WEXITSTATUS(status);
  const bool failed = code_ != 0;
  if (stopping_) {
    state_ = ServiceState::Stopped;
  } else if (policy_ == Restart::Always || (policy_ == Restart::OnFailure && failed)) {
    if (now_ms() - started_ms_ >= backoff_longest_ms_) backoff_ms_ = backoff_first_ms_;
    back_off();
  } else {
    state_ = failed ? ServiceState::Failed : ServiceState::Stopped;
  }
}

void Service::stop(std::uint32_t grace_ms) {
  if (pid_ <= 0) {
    if (state_ == ServiceState::BackingOff) state_ = ServiceState::Stopped;
    due_ms_ = -1;
    return;
  }
  const std::int64_t kill_at = now_ms() + grace_ms;
  if (!stopping_) {
    stopping_ = true;
    machine_.signal_group(pid_, SIGTERM);
    // One that is stopped in the other sense would never see it.
    machine_.signal_group(pid_, SIGCONT);
    due_ms_ = kill_at;
  } else if (!killed_) {
    due_ms_ = std::min(due_ms_, kill_at);
  }
}

wire::ServiceStatus Service::status() const {
  wire::ServiceStatus status;
  status.name = name_;
  status.state = state_;
  status.pid = static_cast<std::uint32_t>(pid_);
  status.restarts = restarts_;
  status.code = code_;
  status.signal = signal_;
  status.started_ms = static_cast<std::uint64_t>(started_ms_);
  status.problem = problem_;
  return status;
}

std::int64_t Service::deadline() const { return readable_ ? 0 : due_ms_; }

void Service::tick() {
  move_output();
  if (due_ms_ < 0 || now_ms() < due_ms_) return;
  if (state_ == ServiceState::BackingOff) return restart();
  if (stopping_ && !killed_ && pid_ > 0) {
    killed_ = true;
    due_ms_ = -1;
    machine_.signal_group(pid_, SIGKILL);
  }
}

void Service::move_output() {
  if (!output_.open()) return;
  static std::array<char, piece_bytes> piece;
  for (int count = 0; readable_ && count < pieces_at_once; ++count) {
    const ssize_t got = read(output_.get(), piece.data(), piece.size());
    if (got > 0) {
      log_.write({piece.data(), static_cast<std::size_t>(got)});
    } else if (got == 0 || errno != EINTR) {
      readable_ = false;
    }
  }
}

}  // namespace fireclaw::guestd
