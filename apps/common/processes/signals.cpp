#include "common/processes/signals.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <system_error>
#include <utility>

namespace fireclaw::cli {
namespace {

sigset_t set_of(std::initializer_list<int> signals) {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : signals) sigaddset(&set, number);
  return set;
}

int check(int result, const char* what) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), what};
  return result;
}

void wake(int fd) {
  const std::uint64_t one = 1;
  // An eventfd takes eight bytes unless its counter is full, and then it is awake already.
  if (::write(fd, &one, sizeof one) != sizeof one) return;
}

/// Hands each signal that arrives to `handle` until `wake_fd` is set.
template <typename Handle>
void follow(int signal_fd, int wake_fd, Handle handle) {
  for (;;) {
    pollfd fds[] = {{signal_fd, POLLIN, 0}, {wake_fd, POLLIN, 0}};
    if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) break;
    if (fds[1].revents != 0) break;
    signalfd_siginfo info{};
    if (fds[0].revents != 0 && ::read(signal_fd, &info, sizeof info) == sizeof info) {
      handle(static_cast<int>(info.ssi_signo));
    }
  }
  ::close(signal_fd);
}

}  // namespace

Signals::Signals() : wake_fd_{check(::eventfd(0, EFD_CLOEXEC), "eventfd")} {
  const auto all = set_of({SIGINT, SIGTERM, SIGHUP, SIGWINCH});
  ::pthread_sigmask(SIG_BLOCK, &all, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  // Whoever starts programs may ignore it, and then nobody is told how a child ended.
  ::signal(SIGCHLD, SIG_DFL);
  const auto ending = set_of({SIGINT, SIGTERM, SIGHUP});
  const int signal_fd = check(::signalfd(-1, &ending, SFD_CLOEXEC), "signalfd");
  thread_ = std::thread{[this, signal_fd] { watch(signal_fd); }};
}

Signals::~Signals() {
  wake(wake_fd_);
  thread_.join();
  ::close(wake_fd_);
}

void Signals::watch(int signal_fd) {
  follow(signal_fd, wake_fd_, [this](int number) {
    if (signal_.exchange(number) != 0 && number == SIGINT) ::_exit(128 + SIGINT);
    source_.request_stop();
  });
}

ResizeWatch::ResizeWatch(std::function<void()> on_resize) : wake_fd_{check(::eventfd(0, EFD_CLOEXEC), "eventfd")} {
  const auto resize = set_of({SIGWINCH});
  const int signal_fd = check(::signalfd(-1, &resize, SFD_CLOEXEC), "signalfd");
  thread_ = std::thread{
      [this, signal_fd, on_resize = std::move(on_resize)] { follow(signal_fd, wake_fd_, [&](int) { on_resize(); }); }};
}

ResizeWatch::~ResizeWatch() {
  wake(wake_fd_);
  thread_.join();
  ::close(wake_fd_);
}

}  // namespace fireclaw::cli
