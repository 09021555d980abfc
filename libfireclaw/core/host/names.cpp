#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/engine.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/file.hpp"
#include "fireclaw/service.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {
namespace {

template <typename Enum, std::size_t Count>
Enum parse(std::string_view text, std::string_view what, const std::array<Enum, Count>& all) {
  std::string known;
  for (const auto candidate : all) {
    if (to_string(candidate) == text) return candidate;
    if (!known.empty()) known += ", ";
    known += to_string(candidate);
  }
  throw Error{ErrorCode::InvalidArgument, fmt::format("unknown {1} '{0}'; use one of: {2}", text, what, known)};
}

}  // namespace

std::string_view to_string(Engine engine) noexcept {
  switch (engine) {
    case Engine::Auto: return "auto";
    case Engine::Firecracker: return "firecracker";
    case Engine::Qemu: return "qemu";
    case Engine::QemuKvm: return "qemu-kvm";
    case Engine::QemuTcg: return "qemu-tcg";
  }
  return "unknown";
}

Engine engine_from_string(std::string_view text) {
  return parse(text, "engine",
               std::array{Engine::Auto, Engine::Firecracker, Engine::Qemu, Engine::QemuKvm, Engine::QemuTcg});
}

std::string_view to_string(NetworkMode mode) noexcept {
  switch (mode) {
    case NetworkMode::None: return "none";
    case NetworkMode::User: return "user";
    case NetworkMode::Nat: return "nat";
  }
  return "unknown";
}

NetworkMode network_mode_from_string(std::string_view text) {
  return parse(text, "network mode", std::array{NetworkMode::None, NetworkMode::User, NetworkMode::Nat});
}

std::string_view to_string(FileType type) noexcept {
  switch (type) {
    case FileType::File: return "file";
    case FileType::Directory: return "directory";
    case FileType::Link: return "link";
    case FileType::Other: return "other";
  }
  return "unknown";
}

std::string_view to_string(Egress egress) noexcept {
  switch (egress) {
    case Egress::None: return "none";
    case Egress::Allowlist: return "allowlist";
    case Egress::Internet: return "internet";
  }
  return "unknown";
}

Egress egress_from_string(std::string_view text) {
  return parse(text, "egress policy", std::array{Egress::None, Egress::Allowlist, Egress::Internet});
}

std::string_view to_string(GatewayServices services) noexcept {
  switch (services) {
    case GatewayServices::None: return "none";
    case GatewayServices::Names: return "names";
    case GatewayServices::All: return "all";
  }
  return "unknown";
}

GatewayServices gateway_services_from_string(std::string_view text) {
  return parse(text, "choice of services",
               std::array{GatewayServices::None, GatewayServices::Names, GatewayServices::All});
}

std::string_view to_string(RestartPolicy policy) noexcept {
  switch (policy) {
    case RestartPolicy::Never: return "never";
    case RestartPolicy::OnFailure: return "on-failure";
    case RestartPolicy::Always: return "always";
  }
  return "unknown";
}

RestartPolicy restart_policy_from_string(std::string_view text) {
  return parse(text, "restart policy",
               std::array{RestartPolicy::Never, RestartPolicy::OnFailure, RestartPolicy::Always});
}

std::string_view to_string(ServiceState state) noexcept {
  switch (state) {
    case ServiceState::Running: return "running";
    case ServiceState::BackingOff: return "backing-off";
    case ServiceState::Stopped: return "stopped";
    case ServiceState::Failed: return "failed";
  }
  return "unknown";
}

std::string_view to_string(VMState state) noexcept {
  switch (state) {
    case VMState::Created: return "created";
    case VMState::Running: return "running";
    case VMState::Paused: return "paused";
    case VMState::Stopped: return "stopped";
  }
  return "unknown";
}

}  // namespace fireclaw
