#include "crew/breaker.hpp"

#include <chrono>
#include <utility>

namespace fireclaw::overseer {
namespace {

constexpr std::chrono::minutes forgotten_after{1};
constexpr std::size_t most_talks = 1000;
/// In a row: mistakes that are the same, mistakes, and commands that are the same. A script that waits for something
/// asks the same for a while, too.
constexpr std::size_t most_same_mistakes = 3;
constexpr std::size_t most_mistakes = 12;
constexpr std::size_t most_same = 60;

}  // namespace

bool Breaker::allows(std::string_view nick, std::string_view line, bool mistake, TimePoint now) {
  if (talks_.size() >= most_talks) {
    std::erase_if(talks_, [&](const auto& one) { return now - one.second.last > forgotten_after; });
    if (talks_.size() >= most_talks) talks_.clear();
  }
  auto& talk = talks_[std::string{nick}];
  if (now - talk.last > forgotten_after) talk = {};
  talk.last = now;
  talk.same = talk.line == line ? talk.same + 1 : 1;
  talk.line = line;
  talk.mistakes = mistake ? talk.mistakes + 1 : 0;
  const auto same = mistake ? most_same_mistakes : most_same;
  talk.broken = talk.broken || talk.same > same || talk.mistakes > most_mistakes;
  return !talk.broken;
}

}  // namespace fireclaw::overseer
