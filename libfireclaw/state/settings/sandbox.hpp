#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "json/json.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::state {

/// The user's settings for the sandbox of engines: "sandbox" in config.json.
struct SandboxSettings {
  /// Refuse to start an engine without a sandbox of namespaces. By default it then has the best that is possible.
  bool required = false;
  /// As root: the users of machines, one each. On a systemd host nobody has ids from 1879048192 on.
  sys::IdRange users{1'900'000'000, 65'536};

  bool operator==(const SandboxSettings&) const = default;
};

SandboxSettings read_sandbox_settings(const json::Value& section);
/// Writes the section, unless all of it is the default.
void write_sandbox_settings(json::Writer& out, const SandboxSettings& settings);

/// The fastest that a disk or a network can be limited to.
inline constexpr unsigned most_mib_per_second = 1U << 20;

/// "limits" in config.json: for all machines of a home folder together, and for the rates of each. nullopt: only the
/// host's own limits.
struct LimitSettings {
  std::optional<std::uint64_t> machines = {};
  std::optional<std::uint64_t> memory_mib = {};
  std::optional<std::uint64_t> disk_mib = {};
  /// Limits of each disk and of the network for machines without their own.
  std::optional<unsigned> disk_mib_per_second = {};
  std::optional<unsigned> network_mib_per_second = {};
  /// Lines of io.max for each machine's cgroup: "8:0 wbps=10485760".
  std::vector<std::string> io_max = {};

  /// Whether there is one for all machines together.
  [[nodiscard]] bool any_total() const { return machines || memory_mib || disk_mib; }
  bool operator==(const LimitSettings&) const = default;
};

LimitSettings read_limit_settings(const json::Value& section);
void write_limit_settings(json::Writer& out, const LimitSettings& settings);

/// The findings about this host: "confinement" in config.json.
sys::Confinable read_confinable(const json::Value& section);
void write_confinable(json::Writer& out, const sys::Confinable& confinable);

}  // namespace fireclaw::state
