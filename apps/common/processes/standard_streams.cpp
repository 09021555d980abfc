#include "common/processes/standard_streams.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include <fmt/format.h>

#include "common/text/style.hpp"

namespace fireclaw::cli {
namespace {

constexpr int exit_unwritten = 125;

/// Whether standard output is a pipe or a socket whose other end is closed.
bool reader_is_gone() {
  pollfd output{STDOUT_FILENO, POLLOUT, 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

/// Why an earlier write failed: what the next one says. The output has a hole already. 0 if that can be written.
int error_of_next_write() { return ::write(STDOUT_FILENO, "\n", 1) < 0 ? errno : 0; }

}  // namespace

void open_standard_streams() {
  for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(number, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is this one: those below it are open.
    if (::open("/dev/null", number == STDIN_FILENO ? O_RDONLY : O_WRONLY) != number) ::_exit(exit_unwritten);
  }
}

int finish_output(std::string_view program, int status) {
  const bool failed_before = std::ferror(stdout) != 0;
  const bool flushed = std::fflush(stdout) == 0;
  int error = errno;
  if (flushed && !failed_before) return status;
  if (reader_is_gone()) return status == 0 ? exit_reader_gone : status;
  if (flushed) error = error_of_next_write();
  print_message(program, error == 0
                             ? std::string{"standard output could not be written in full"}
                             : fmt::format("write to standard output: {}", std::generic_category().message(error)));
  return status == 0 ? exit_unwritten : status;
}

}  // namespace fireclaw::cli
