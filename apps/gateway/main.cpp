#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <ctime>
#include <exception>
#include <string>
#include <string_view>

#include <fmt/format.h>

#include "common/processes/signals.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/gateway.hpp"
#include "fireclaw/host.hpp"

namespace {

constexpr int exit_failure = 125;

/// A line of the log, which standard error is.
void write_line(std::string_view message) {
  const auto now = std::time(nullptr);
  std::tm time{};
  ::gmtime_r(&now, &time);
  auto line = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z {}", time.tm_year + 1900, time.tm_mon + 1, time.tm_mday,
                          time.tm_hour, time.tm_min, time.tm_sec, message);
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < ' ' || c == '\x7f') c = '?';
  }
  line += '\n';
  // Nobody is left to be told if this fails.
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

/// A connection to IRC takes six descriptors: those of both sides, and what libcurl waits with.
void allow_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  // With fewer it serves fewer.
  static_cast<void>(::setrlimit(RLIMIT_NOFILE, &limit));
}

}  // namespace

/// gateway HOME: is the gateway of a home folder. What it works with is inherited; see fireclaw::Gateway::serve().
int main(int argc, char** argv) {
  using namespace fireclaw;
  if (argc != 2 || ::isatty(STDERR_FILENO) != 0) {
    write_line("is started by the network of fireclaw; see: fireclaw gateway --help");
    return exit_failure;
  }
  // By this name the overseer knows a program through which others speak.
  ::prctl(PR_SET_NAME, "fireclaw-gateway");
  // TLS is written to sockets by a library that knows no other way to be spared the signal.
  std::signal(SIGPIPE, SIG_IGN);
  allow_descriptors();
  const cli::Signals signals;
  try {
    HostOptions options;
    options.home = argv[1];
    options.log = [](LogLevel level, std::string_view message) {
      if (level >= LogLevel::Info) write_line(message);
    };
    Host::open(std::move(options)).gateway().serve(true, signals.token());
    return 0;
  } catch (const std::exception& problem) {
    write_line(problem.what());
    return exit_failure;
  }
}
