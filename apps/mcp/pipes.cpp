#include "pipes.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <iterator>
#include <system_error>
#include <utility>

namespace fireclaw::mcp {
namespace {

constexpr std::size_t read_size = 65536;

int check(int result, const char* what) {
  if (result < 0) throw std::system_error{errno, std::generic_category(), what};
  return result;
}

/// Ours alone; `number` becomes a copy of `instead`.
int take_over(int number, int instead) {
  const int ours = check(::fcntl(number, F_DUPFD_CLOEXEC, 3), "standard streams");
  check(::dup2(instead, number), "dup2");
  return ours;
}

int take_over_input() {
  const int nothing = check(::open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
  const int ours = take_over(STDIN_FILENO, nothing);
  ::close(nothing);
  return ours;
}

}  // namespace

Pipes::Pipes(std::stop_token stop)
    : in_{take_over_input()},
      out_{take_over(STDOUT_FILENO, STDERR_FILENO)},
      ended_{check(::eventfd(0, EFD_CLOEXEC), "eventfd")},
      buffer_(read_size, '\0') {
  on_stop_.emplace(std::move(stop), [this] { end(); });
}

Pipes::~Pipes() {
  on_stop_.reset();
  for (const int fd : {in_, out_, ended_}) ::close(fd);
}

void Pipes::end() {
  const std::uint64_t one = 1;
  // It takes eight bytes unless its counter is full, and then it is set already.
  if (::write(ended_, &one, sizeof one) != sizeof one) return;
}

bool Pipes::wait_for(int fd, short events) const {
  for (;;) {
    pollfd fds[] = {{ended_, POLLIN, 0}, {fd, events, 0}};
    if (::poll(fds, std::size(fds), -1) < 0 && errno != EINTR) return false;
    if (fds[0].revents != 0) return false;
    if (fds[1].revents != 0) return true;
  }
}

std::string_view Pipes::read() {
  while (wait_for(in_, POLLIN)) {
    const auto count = ::read(in_, buffer_.data(), buffer_.size());
    if (count >= 0) return {buffer_.data(), static_cast<std::size_t>(count)};
    if (errno != EINTR && errno != EAGAIN) break;
  }
  return {};
}

void Pipes::write_line(std::string line) {
  line += '\n';
  const std::scoped_lock lock{writing_};
  std::string_view rest = line;
  // A pipe that can be written to takes this much without blocking, so that the end is noticed while a client is slow.
  while (!rest.empty() && wait_for(out_, POLLOUT)) {
    const auto count = ::write(out_, rest.data(), std::min<std::size_t>(rest.size(), PIPE_BUF));
    if (count >= 0) {
      rest.remove_prefix(static_cast<std::size_t>(count));
    } else if (errno != EINTR && errno != EAGAIN) {
      // Nobody is there any more.
      return end();
    }
  }
}

}  // namespace fireclaw::mcp
