#include "irc/outbox.hpp"

#include <algorithm>
#include <utility>

namespace fireclaw::overseer {
namespace {

constexpr std::size_t most_lines_a_target = 100;
constexpr std::size_t most_targets = 50;

}  // namespace

bool IrcOutbox::text(const std::string& target, std::string line) {
  auto found = std::ranges::find(texts_, target, &Queue::target);
  if (found == texts_.end()) {
    if (texts_.size() == most_targets) return false;
    found = texts_.insert(texts_.end(), Queue{target, {}});
  }
  if (found->lines.size() == most_lines_a_target) return false;
  found->lines.push_back(std::move(line));
  return true;
}

void IrcOutbox::forget(const std::string& target) {
  std::erase_if(texts_, [&](const Queue& queue) { return queue.target == target; });
}

std::vector<std::string> IrcOutbox::take(TimePoint now, bool only_urgent) {
  std::vector<std::string> lines;
  for (auto& line : urgent_) {
    pacer_.charge(now);
    lines.push_back(std::move(line));
  }
  urgent_.clear();
  while (!only_urgent && waits() && pacer_.take(now)) {
    if (!commands_.empty()) {
      lines.push_back(std::move(commands_.front()));
      commands_.pop_front();
      continue;
    }
    auto queue = std::move(texts_.front());
    texts_.pop_front();
    lines.push_back(std::move(queue.lines.front()));
    queue.lines.pop_front();
    if (!queue.lines.empty()) texts_.push_back(std::move(queue));
  }
  return lines;
}

}  // namespace fireclaw::overseer
