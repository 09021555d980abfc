#include "vmm/firecracker/version.hpp"

#include <fmt/format.h>

#include <array>
#include <charconv>

#include "fireclaw/error.hpp"

namespace fireclaw::vmm::firecracker {

Version parse_version(std::string_view text) {
  std::string_view rest = text;
  if (rest.starts_with('v')) rest.remove_prefix(1);
  std::array<unsigned, 3> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    if (i > 0) {
      if (!rest.starts_with('.')) break;
      rest.remove_prefix(1);
    }
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), numbers[i]);
    if (error != std::errc{}) break;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const bool last = i + 1 == numbers.size();
    if (last && (rest.empty() || rest.front() == '-' || rest.front() == '+')) {
      return {numbers[0], numbers[1], numbers[2]};
    }
  }
  throw Error{ErrorCode::Vmm, fmt::format("'{}' is not a Firecracker version", text)};
}

std::string to_string(const Version& version) {
  return fmt::format("{}.{}.{}", version.major, version.minor, version.patch);
}

}  // namespace fireclaw::vmm::firecracker
