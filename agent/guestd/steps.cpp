#include "steps.hpp"

#include <algorithm>
#include <ctime>
#include <string_view>

namespace fireclaw::guestd {
namespace {

std::uint64_t clock_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000 + static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

void Steps::begin() {
  count_ = 0;
  began_ns_ = clock_ns();
}

void Steps::done(const char* name) {
  const auto* const end = steps_.begin() + count_;
  const auto is_it = [&](const Step& step) { return std::string_view{step.name} == name; };
  if (count_ == steps_.size() || std::any_of(steps_.cbegin(), end, is_it)) return;
  steps_[count_++] = {name, clock_ns() - began_ns_};
}

guest::wire::StepTimes Steps::times() const {
  guest::wire::StepTimes times;
  for (std::size_t i = 0; i < count_; ++i) times.list.push_back({steps_[i].name, steps_[i].ns});
  return times;
}

}  // namespace fireclaw::guestd
