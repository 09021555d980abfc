#pragma once

#include <algorithm>
#include <string>

#include "image/store/manifest.hpp"

namespace fireclaw::core {

/// Fills in the image's defaults for its commands where the caller sets nothing. For ExecOptions and
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

/// Tells programs the machine's HTTP proxy (`proxy`, a URL; empty: none), unless the caller sets another. The gateway
/// itself is not reached through it.
template <typename Options>
void apply_proxy(Options& options, const std::string& proxy) {
  if (proxy.empty()) return;
  const auto gateway = proxy.substr(proxy.find("//") + 2, proxy.rfind(':') - proxy.find("//") - 2);
  const auto direct = "localhost,127.0.0.1,::1,gateway,gateway.fireclaw.internal," + gateway;
  image::RunDefaults defaults;
  for (const auto* name : {"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"})
    defaults.env.emplace_back(name, proxy);
  for (const auto* name : {"NO_PROXY", "no_proxy"}) defaults.env.emplace_back(name, direct);
  apply_defaults(options, defaults);
}

}  // namespace fireclaw::core
