#pragma once

#include <string_view>

#include "fireclaw/network.hpp"

namespace fireclaw::cli {

/// The value of --net beyond NetworkMode: a machine with NetworkMode::Nat that reaches only the gateway's services.
inline constexpr std::string_view services_only = "services";

/// "none", "user", "nat" or "services". Error(InvalidArgument) for any other text.
inline NetworkMode network_mode_of(std::string_view word) {
  return word == services_only ? NetworkMode::Nat : network_mode_from_string(word);
}

/// The value of --egress; without it, the egress that --net and the destinations in `options` mean.
inline Egress egress_of(std::string_view word, std::string_view network, const NatOptions& options) {
  if (!word.empty()) return egress_from_string(word);
  if (network == services_only) return Egress::None;
  if (!options.allow.empty()) return Egress::Allowlist;
  return options.allow_http.empty() ? Egress::Internet : Egress::None;
}

}  // namespace fireclaw::cli
