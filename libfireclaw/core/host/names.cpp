#include <string>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "fireclaw/fields.hpp"

// Enums as texts: their enumerators, as describe.py reads them from the public headers.

namespace fireclaw {
namespace {

template <typename Enum>
std::string_view text_of(Enum value) noexcept {
  for (const auto& [enumerator, text] : Enumerators<Enum>::values) {
    if (enumerator == value) return text;
  }
  return "unknown";
}

template <typename Enum>
Enum parse(std::string_view text, std::string_view what) {
  std::string known;
  for (const auto& [enumerator, candidate] : Enumerators<Enum>::values) {
    if (candidate == text) return enumerator;
    if (!known.empty()) known += ", ";
    known += candidate;
  }
  throw Error{ErrorCode::InvalidArgument, fmt::format("unknown {1} '{0}'; use one of: {2}", text, what, known)};
}

}  // namespace

std::string_view to_string(Engine engine) noexcept { return text_of(engine); }
std::string_view to_string(NetworkMode mode) noexcept { return text_of(mode); }
std::string_view to_string(FileType type) noexcept { return text_of(type); }
std::string_view to_string(Egress egress) noexcept { return text_of(egress); }
std::string_view to_string(GatewayServices services) noexcept { return text_of(services); }
std::string_view to_string(RestartPolicy policy) noexcept { return text_of(policy); }
std::string_view to_string(ServiceState state) noexcept { return text_of(state); }
std::string_view to_string(VMState state) noexcept { return text_of(state); }
std::string_view to_string(AgentState state) noexcept { return text_of(state); }

Engine engine_from_string(std::string_view text) { return parse<Engine>(text, "engine"); }
NetworkMode network_mode_from_string(std::string_view text) { return parse<NetworkMode>(text, "network mode"); }
Egress egress_from_string(std::string_view text) { return parse<Egress>(text, "egress policy"); }
GatewayServices gateway_services_from_string(std::string_view text) {
  return parse<GatewayServices>(text, "choice of services");
}
RestartPolicy restart_policy_from_string(std::string_view text) { return parse<RestartPolicy>(text, "restart policy"); }

}  // namespace fireclaw
