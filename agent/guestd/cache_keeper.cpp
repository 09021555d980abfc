#include "cache_keeper.hpp"

#include <unistd.h>

#include <algorithm>
#include <climits>
#include <vector>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

constexpr std::int64_t idle_for_ms = 60000;
/// It counts as idle while its CPUs together work for less than this share of the time.
constexpr std::int64_t idle_share = 10;
/// Less is not worth reading it again.
constexpr std::int64_t least_worth_kib = 16 << 10;

/// The number behind `key` in lines such as "Cached:   25960 kB"; 0 if there is none.
std::int64_t number_of(std::string_view text, std::string_view key) {
  unsigned long number = 0;
  for (const std::string_view line : split(text, '\n')) {
    const std::vector<std::string_view> words = split(line, ' ');
    if (words.size() > 1 && words[0] == key) parse_number(words[1], LONG_MAX, number);
  }
  return static_cast<std::int64_t>(number);
}

/// All of /proc/stat's first line but idle and iowait.
std::int64_t busy_ms(std::string_view text) {
  constexpr std::size_t idle = 4;
  constexpr std::size_t iowait = 5;
  constexpr std::size_t steal = 8;
  const std::vector<std::string_view> words = split(text.substr(0, text.find('\n')), ' ');
  unsigned long ticks = 0;
  for (std::size_t i = 1; i <= steal && i < words.size(); ++i) {
    unsigned long number = 0;
    if (i != idle && i != iowait && parse_number(words[i], LONG_MAX, number)) ticks += number;
  }
  return static_cast<std::int64_t>(ticks) * 1000 / sysconf(_SC_CLK_TCK);
}

}  // namespace

CacheSample cache_sample(std::int64_t now_ms, std::string_view meminfo, std::string_view stat) {
  return {now_ms, busy_ms(stat), number_of(meminfo, "Active(file):") + number_of(meminfo, "Inactive(file):")};
}

bool CacheKeeper::look(const CacheSample& sample) {
  if (fresh_) {
    fresh_ = false;
    least_kib_ = sample.cached_kib;
    idle_since_ms_ = sample.now_ms;
  }
  if ((sample.busy_ms - last_.busy_ms) * idle_share > sample.now_ms - last_.now_ms) idle_since_ms_ = sample.now_ms;
  last_ = sample;
  least_kib_ = std::min(least_kib_, sample.cached_kib);
  const bool worthwhile = sample.cached_kib - least_kib_ >= std::max(least_worth_kib, least_kib_);
  if (!worthwhile || sample.now_ms - idle_since_ms_ < idle_for_ms) return false;
  fresh_ = true;
  return true;
}

}  // namespace fireclaw::guestd
