#include "vmm/qemu/known_holes.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "fireclaw/error.hpp"
#include "sys/process.hpp"
#include "vmm/qemu/version.hpp"

namespace fireclaw::vmm::qemu {
namespace {

/// CVE-2024-3446: a guest can have the bus of its serial ports, which it is reached by, free memory twice.
constexpr std::string_view hole =
    "CVE-2024-3446 lets a guest have memory of QEMU's freed twice, through the serial ports that every machine has";

/// From when on a line of releases has the remedy. Lines that are not named have none before the next one.
struct Mended {
  unsigned major;
  unsigned minor;
  Version since;
};
constexpr std::array lines{Mended{7, 2, {7, 2, 11}}, Mended{8, 2, {8, 2, 3}}};
constexpr Version mended_in_all{9, 0, 0};

/// Distributions that keep a line's first number, with the first of their own revisions that has the remedy.
struct Patched {
  std::string_view prefix;
  unsigned revision;
};
constexpr std::array packages{Patched{"1:8.2.2+ds-0ubuntu1.", 10}};

bool is_patched(std::string_view package) {
  return std::ranges::any_of(packages, [&](const Patched& patched) {
    const auto at = package.find(patched.prefix);
    if (at == std::string_view::npos) return false;
    const auto rest = package.substr(at + patched.prefix.size());
    unsigned revision = 0;
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), revision);
    return error == std::errc{} && revision >= patched.revision;
  });
}

}  // namespace

std::string known_hole(std::string_view version, std::string_view package) {
  const auto number = parse_version(version);
  if (number >= mended_in_all || is_patched(package)) return {};
  Version remedy = mended_in_all;
  for (const auto& line : lines) {
    if (line.major != number.major || line.minor != number.minor) continue;
    if (number >= line.since) return {};
    remedy = line.since;
  }
  return fmt::format("{}; {}.{}.{} fixes it, or a later update of your distribution's", hole, remedy.major,
                     remedy.minor, remedy.micro);
}

std::string binary_package(const std::filesystem::path& binary, Deadline deadline) {
  sys::ToolOptions options;
  options.deadline = deadline;
  const auto text = sys::check_tool({binary.string(), "--version"}, options).out;
  const auto line = std::string_view{text}.substr(0, text.find('\n'));
  const auto open = line.find('(');
  const auto close = line.rfind(')');
  if (open == std::string_view::npos || close == std::string_view::npos || close < open) return {};
  return std::string{line.substr(open + 1, close - open - 1)};
}

}  // namespace fireclaw::vmm::qemu
