#include <array>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/engine.hpp"
#include "fireclaw/error.hpp"
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
  throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is no {}; use one of: {}", text, what, known)};
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
  }
  return "unknown";
}

NetworkMode network_mode_from_string(std::string_view text) {
  return parse(text, "network mode", std::array{NetworkMode::None, NetworkMode::User});
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
