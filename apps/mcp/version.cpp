#include "version.hpp"

#include <algorithm>
#include <array>

namespace fireclaw::mcp {
namespace {

constexpr std::array known{
    Version{.name = "2026-07-28",
            .stateless = true,
            .annotations = true,
            .structured = true,
            .arguments_are_for_the_model = true,
            .errors_may_lack_id = true},
    Version{.name = "2025-11-25",
            .annotations = true,
            .structured = true,
            .arguments_are_for_the_model = true,
            .errors_may_lack_id = true},
    Version{.name = "2025-06-18", .annotations = true, .structured = true},
    Version{.name = "2025-03-26", .annotations = true},
    Version{.name = "2024-11-05"},
};

}  // namespace

std::span<const Version> versions() { return known; }

const Version* find_version(std::string_view name) {
  const auto* const found = std::ranges::find(known, name, &Version::name);
  return found == known.end() ? nullptr : found;
}

const Version& newest_with_handshake() { return *std::ranges::find(known, false, &Version::stateless); }

}  // namespace fireclaw::mcp
