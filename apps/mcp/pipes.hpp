#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

namespace fireclaw::mcp {

/// The program's standard streams, as a client's connection. What this process, or one that it starts, would write to
/// standard output by mistake goes to standard error from now on, and reads of standard input find nothing.
class Pipes {
 public:
  /// `stop` ends reading and writing.
  explicit Pipes(std::stop_token stop);
  Pipes(const Pipes&) = delete;
  Pipes& operator=(const Pipes&) = delete;
  ~Pipes();

  /// What the client has sent; empty at its end. Waits for something. The text is valid until the next call.
  std::string_view read();
  /// Writes a line in one piece. From any thread. What a client that is gone does not take is lost.
  void write_line(std::string line);
  /// Ends reading and writing, also where somebody waits.
  void end();

 private:
  /// False if reading and writing has ended.
  bool wait_for(int fd, short events) const;

  int in_;
  int out_;
  int ended_;
  std::string buffer_;
  std::mutex writing_;
  std::optional<std::stop_callback<std::function<void()>>> on_stop_;
};

}  // namespace fireclaw::mcp
