#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>

namespace fireclaw::gateway {

/// Decides which request is served next if not all can be at once: agents take turns, and each one's requests keep
/// their order. So an agent that asks much delays only itself. Use from one thread.
class Turns {
 public:
  using Ticket = std::uint64_t;

  /// Adds a waiting request.
  void enter(const std::string& agent, Ticket ticket);
  /// The next request in turn, if fewer than `places` are served.
  std::optional<Ticket> next(std::size_t places);
  /// Call when a served request is done.
  void leave();
  /// False if it does not wait.
  bool withdraw(Ticket ticket);

  [[nodiscard]] std::size_t served() const { return served_; }
  [[nodiscard]] std::size_t waiting() const;

 private:
  std::map<std::string, std::deque<Ticket>> waiting_;
  /// The agents with waiting requests, in the order of their turns.
  std::deque<std::string> order_;
  std::size_t served_ = 0;
};

}  // namespace fireclaw::gateway
