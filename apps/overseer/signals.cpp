#include "signals.hpp"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>

#include <cerrno>
#include <csignal>
#include <system_error>
#include <utility>

namespace fireclaw::overseer {

Signals::Signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // Whoever starts programs may ignore it, and then nobody is told how a child ended.
  ::signal(SIGCHLD, SIG_DFL);
  fd_ = cli::Fd{::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK)};
  if (!fd_) throw std::system_error{errno, std::generic_category(), "signalfd"};
}

void Signals::attach(EventLoop& loop, std::function<void(int)> on_signal) {
  loop.watch(fd_.get(), POLLIN, [this, on_signal = std::move(on_signal)](short) {
    signalfd_siginfo info{};
    if (::read(fd_.get(), &info, sizeof info) != sizeof info) return;
    const int number = static_cast<int>(info.ssi_signo);
    // What tells of the parent's end comes once for each thread that it had.
    int at_parents_end = 0;
    ::prctl(PR_GET_PDEATHSIG, &at_parents_end);
    if (seen_ != 0 && number == at_parents_end) return;
    if (std::exchange(seen_, number) != 0) ::_exit(128 + number);
    on_signal(number);
  });
}

}  // namespace fireclaw::overseer
