#include "server.hpp"

#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <utility>

namespace fireclaw::guestd {

namespace {

/// As wait() would give it.
int wait_status(const siginfo_t& information) {
  return information.si_code == CLD_EXITED ? (information.si_status & 0xFF) << 8 : information.si_status & 0x7F;
}

}  // namespace

Server::Server(Loop& loop, Services& services) : loop_{loop}, services_{services} {
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &ignore, nullptr);
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGCHLD);
  sigprocmask(SIG_BLOCK, &wanted, nullptr);
  signals_.reset(signalfd(-1, &wanted, SFD_NONBLOCK | SFD_CLOEXEC));
  loop_.watch(signals_.get(), *this);
}

Server::~Server() { loop_.unwatch(signals_.get(), *this); }

void Server::add(Machine& machine, OwnedFd fd, Connection::Kind kind) {
  connections_.push_back(std::make_unique<Connection>(machine, loop_, std::move(fd), kind));
}

void Server::ready(std::uint32_t) {
  signalfd_siginfo information[8];
  while (read(signals_.get(), information, sizeof information) > 0) {
  }
  child_ended_ = true;
}

void Server::reap() {
  child_ended_ = false;
  for (;;) {
    siginfo_t information{};
    if (waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) < 0 || information.si_pid == 0) return;
    const pid_t pid = information.si_pid;
    const int status = wait_status(information);
    const auto knows = [&](const auto& connection) { return connection->session().child_ended(pid, status); };
    [[maybe_unused]] const bool known =
        services_.child_ended(pid, status) || std::any_of(connections_.begin(), connections_.end(), knows);
    waitpid(pid, nullptr, WNOHANG);
  }
}

bool Server::childless() {
  siginfo_t information{};
  return waitid(P_ALL, 0, &information, WEXITED | WNOHANG | WNOWAIT) < 0 && errno == ECHILD;
}

void Server::service() {
  for (auto& connection : connections_) {
    connection->session().tick();
    connection->service();
  }
  std::erase_if(connections_, [](const auto& connection) { return connection->closed(); });
}

void Server::run_once(std::int64_t deadline) {
  const auto not_after = [&](std::int64_t wanted) {
    if (wanted >= 0 && (deadline < 0 || wanted < deadline)) deadline = wanted;
  };
  for (auto& connection : connections_) not_after(connection->session().deadline());
  not_after(services_.deadline());
  const std::int64_t wait = deadline < 0 ? -1 : std::clamp<std::int64_t>(deadline - now_ms(), 0, 60000);
  loop_.run_once(static_cast<int>(wait));
  if (child_ended_) reap();
  services_.tick();
  service();
}

}  // namespace fireclaw::guestd
