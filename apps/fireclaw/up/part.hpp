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

/// A service that `up` runs: a program that says when it serves, as systemd's services do. Its warnings go to
/// standard error. Destruction kills it.
class Part {
 public:
  /// Starts it. `name` stands before its warnings. Error(Io).
  Part(std::string name, std::vector<std::string> argv);
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  ~Part();

  /// Waits until it serves. Error(InvalidState) with its last message if it ends before; Error(Timeout),
  /// Error(Cancelled).
  void wait_ready(std::chrono::milliseconds limit, const std::stop_token& stop);
  /// Readable once it has ended.
  [[nodiscard]] int fd() const { return child_->fd(); }
  /// Waits for its end. Returns its last complaint, else how it ended.
  [[nodiscard]] std::string why_ended();
  /// Sends SIGTERM; SIGKILL after `limit`. Does nothing if it has ended.
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
  /// Its last complaint; belongs to the reader until that has ended.
  std::string last_;
  std::thread reader_;
};

}  // namespace fireclaw::cli
