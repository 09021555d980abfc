#include "gateway/llm/turns.hpp"

#include <algorithm>

namespace fireclaw::gateway {

void Turns::enter(const std::string& agent, Ticket ticket) {
  auto& line = waiting_[agent];
  if (line.empty()) order_.push_back(agent);
  line.push_back(ticket);
}

std::optional<Turns::Ticket> Turns::next(std::size_t places) {
  if (served_ >= places || order_.empty()) return std::nullopt;
  const auto agent = std::move(order_.front());
  order_.pop_front();
  const auto found = waiting_.find(agent);
  const auto ticket = found->second.front();
  found->second.pop_front();
  if (found->second.empty()) {
    waiting_.erase(found);
  } else {
    order_.push_back(agent);
  }
  ++served_;
  return ticket;
}

void Turns::leave() { --served_; }

bool Turns::withdraw(Ticket ticket) {
  for (auto entry = waiting_.begin(); entry != waiting_.end(); ++entry) {
    auto& line = entry->second;
    const auto found = std::ranges::find(line, ticket);
    if (found == line.end()) continue;
    line.erase(found);
    if (line.empty()) {
      std::erase(order_, entry->first);
      waiting_.erase(entry);
    }
    return true;
  }
  return false;
}

std::size_t Turns::waiting() const {
  std::size_t count = 0;
  for (const auto& [agent, line] : waiting_) count += line.size();
  return count;
}

}  // namespace fireclaw::gateway
