#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "common/files/fd.hpp"

namespace fireclaw::cli {

/// How to start a program beside this one.
struct ChildOptions {
  /// The program's path and its arguments.
  std::vector<std::string> argv;
  /// "NAME=value", beside this process's environment.
  std::vector<std::string> environment;
  /// Where its standard output and error go; -1: where this process's do.
  int output = -1;
  /// Ctrl-C on the terminal then reaches only this process.
  bool own_group = false;
};

/// A program that this process has started. It gets SIGTERM when the thread that made this object ends.
class Child {
 public:
  /// Error(Io).
  explicit Child(const ChildOptions& options);
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  /// Kills it if nobody has waited for its end.
  ~Child();

  /// Readable once it has ended.
  [[nodiscard]] int fd() const { return ended_.get(); }
  /// Sends a signal; does nothing if it was waited for.
  void signal(int number) const;
  /// Waits for its end. Returns waitpid(2)'s status; 0 the second time.
  int wait();

 private:
  pid_t pid_;
  Fd ended_;
};

/// Runs a program, found by PATH, and returns what it writes to its standard output. Error(Io) if it cannot be started
/// or fails.
std::string output_of(std::vector<std::string> argv);

/// "status 1", "signal 9": of what Child::wait() returned.
std::string describe_end(int status);

}  // namespace fireclaw::cli
