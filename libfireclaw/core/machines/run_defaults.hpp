#pragma once

#include <algorithm>

#include "image/store/manifest.hpp"

namespace fireclaw::core {

/// What the image's makers meant for its commands holds where the caller says nothing. For ExecOptions and
/// ServiceOptions alike.
template <typename Options>
void apply_defaults(Options& options, const image::RunDefaults& defaults) {
  if (options.cwd.empty()) options.cwd = defaults.cwd;
  if (options.user.empty()) options.user = defaults.user;
  for (const auto& variable : defaults.env) {
    const bool given =
        std::ranges::any_of(options.env, [&](const auto& other) { return other.first == variable.first; });
    if (!given) options.env.push_back(variable);
  }
}

}  // namespace fireclaw::core
