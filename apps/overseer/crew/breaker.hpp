#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <string_view>

#include "irc/pacing.hpp"

namespace fireclaw::overseer {

/// Ends conversations with programs that answer every line: a nick that says the same again and again, or only
/// mistakes, gets no answer until it has been silent for a minute. People, and scripts that work, do neither.
class Breaker {
 public:
  /// Whether to answer this line, which was a command or (`mistake`) looked like one.
  bool allows(std::string_view nick, std::string_view line, bool mistake, TimePoint now);

 private:
  struct Talk {
    std::string line;
    std::size_t same = 0;
    std::size_t mistakes = 0;
    TimePoint last;
    bool broken = false;
  };
  std::map<std::string, Talk, std::less<>> talks_;
};

}  // namespace fireclaw::overseer
