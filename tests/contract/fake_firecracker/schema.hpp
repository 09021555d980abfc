#pragma once

#include <string>
#include <string_view>

#include "json.hpp"

namespace fake {

/// Firecracker's version, as far as its API depends on it.
struct Version {
  int major = 1;
  int minor = 17;
  int patch = 0;

  auto operator<=>(const Version&) const = default;
};

/// Parses a request's body as the type that `name` stands for ("BootSource") and throws JsonError, in Firecracker's
/// words, for syntax, unknown and missing fields, wrong types and unknown variants.
Json read_body(std::string_view name, std::string_view body, const Version& version);

}  // namespace fake
