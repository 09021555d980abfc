#pragma once

#include <chrono>
#include <initializer_list>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/files/fd.hpp"
#include "common/processes/child.hpp"

namespace fireclaw::cli {

/// The first of `fds` that is readable; nullopt if none is after `limit`. Error(Cancelled) after the stop.
std::optional<int> wait_readable(std::initializer_list<int> fds, std::optional<std::chrono::milliseconds> limit,
                                 const std::stop_token& stop);

/// A service that `up` runs: a program that says when it serves, as systemd's services do. What it warns of goes to
/// standard error. Destruction kills it.
class Part {
 public:
  /// Starts it. `name` stands before its warnings. Error(Io).
  Part(std::string name, std::vector<std::string> argv);
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part();

  /// Until it serves. Error(InvalidState) with what it said if it ends before; Error(Timeout), Error(Cancelled).
  void wait_ready(std::chrono::milliseconds limit, const std::stop_token& stop);
  /// Readable once it has ended.
  [[nodiscard]] int fd() const { return child_->fd(); }
  /// Waits for its end. What it complained of last, else how it ended.
  [[nodiscard]] std::string why_ended();
  /// SIGTERM; SIGKILL after `limit`. Nothing happens if it has ended.
  void end(std::chrono::milliseconds limit);

 private:
  void read_log();
  void take_line(std::string_view line);
  void stop_reading();

  std::string name_;
  Fd ready_;
  Fd log_;
  Fd wake_;
  std::optional<Child> child_;
  /// What it complained of last; the reader's until that has ended.
  std::string last_;
  std::thread reader_;
};

}  // namespace fireclaw::cli
