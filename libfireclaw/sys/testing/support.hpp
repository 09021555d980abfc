#pragma once

#include <doctest/doctest.h>
#include <poll.h>

#include <array>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::sys::testing {

/// Long enough for anything that works, on a machine that is busy with other things.
inline Deadline patience() { return Deadline::after(std::chrono::seconds{30}); }

inline std::string read_line(int fd) {
  std::string line;
  for (;;) {
    std::array<std::byte, 1> byte;
    require_fd(fd, POLLIN, patience(), "waiting for a line");
    if (read_some(fd, byte) <= 0 || byte[0] == std::byte{'\n'}) return line;
    line += static_cast<char>(byte[0]);
  }
}

inline std::string read_to_end(int fd) {
  std::string text;
  for (;;) {
    std::array<std::byte, 4096> buffer;
    require_fd(fd, POLLIN, patience(), "waiting for output");
    const std::ptrdiff_t got = read_some(fd, buffer);
    if (got <= 0) return text;
    text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
  }
}

/// helper.cpp at work, its standard input and output at hand.
struct Helper {
  Child child;
  Fd input;
  Fd output;

  static SpawnSpec spec(std::vector<std::string> arguments) {
    SpawnSpec spec;
    spec.argv = std::move(arguments);
    spec.argv.insert(spec.argv.begin(), FIRECLAW_SYS_TEST_HELPER);
    // ThreadSanitizer refuses threads in a forked process unless told otherwise.
    spec.env = {"TSAN_OPTIONS=die_after_fork=0"};
    return spec;
  }

  static Helper start(std::vector<std::string> arguments) {
    Pipe in = make_pipe();
    Pipe out = make_pipe();
    SpawnSpec with_pipes = spec(std::move(arguments));
    with_pipes.fds = {{in.read.get(), 0}, {out.write.get(), 1}, {2, 2}};
    return Helper{Child::spawn(with_pipes), std::move(in.write), std::move(out.read)};
  }

  ExitStatus end() {
    { const Fd closed = std::move(input); }
    return child.wait(patience()).value();
  }
};

}  // namespace fireclaw::sys::testing
