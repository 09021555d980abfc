#pragma once

#include <cstddef>
#include <deque>
#include <string>
#include <vector>

#include "irc/pacing.hpp"

namespace fireclaw::overseer {

/// The lines that wait to be sent, at the server's pace. Three ranks: urgent lines go at once (PONG, QUIT,
/// registration), commands go before text, and the targets of text take turns, so that a long answer delays nobody
/// else's.
class IrcOutbox {
 public:
  explicit IrcOutbox(Pacer& pacer) : pacer_{pacer} {}

  void urgent(std::string line) { urgent_.push_back(std::move(line)); }
  void command(std::string line) { commands_.push_back(std::move(line)); }
  /// False if too much waits for this target already; the line is then dropped.
  bool text(const std::string& target, std::string line);
  /// Drops the text for a target.
  void forget(const std::string& target);

  /// The lines that may leave now.
  std::vector<std::string> take(TimePoint now, bool only_urgent);
  /// Whether anything waits for the pacer.
  [[nodiscard]] bool waits() const { return !commands_.empty() || !texts_.empty(); }
  [[nodiscard]] TimePoint ready_at(TimePoint now) const { return pacer_.ready_at(now); }

 private:
  struct Queue {
    std::string target;
    std::deque<std::string> lines;
  };

  Pacer& pacer_;
  std::deque<std::string> urgent_;
  std::deque<std::string> commands_;
  /// The next to speak is in front.
  std::deque<Queue> texts_;
};

}  // namespace fireclaw::overseer
