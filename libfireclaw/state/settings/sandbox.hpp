#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "json/json.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::state {

/// How engines are shut in, as the user wants it: "sandbox" in config.json.
struct SandboxSettings {
  /// Nothing starts where an engine cannot have a sandbox of namespaces. By default it then has what there is.
  bool required = false;
  /// As root: the users that machines get, each its own. Those from 1879048192 on are nobody's on a systemd host.
  sys::IdRange users{1'900'000'000, 65'536};

  bool operator==(const SandboxSettings&) const = default;
};

SandboxSettings read_sandbox_settings(const json::Value& section);
/// Writes the section, unless all of it is as by default.
void write_sandbox_settings(json::Writer& out, const SandboxSettings& settings);

/// The fastest that a disk or a network can be limited to.
inline constexpr unsigned most_mib_per_second = 1U << 20;

/// "limits" in config.json: what all machines of a home folder may take together, and how fast each may be. nullopt: no
/// limit but the host's own.
struct LimitSettings {
  std::optional<std::uint64_t> machines = {};
  std::optional<std::uint64_t> memory_mib = {};
  std::optional<std::uint64_t> disk_mib = {};
  /// Of each disk, and of the network, of a machine that does not say itself.
  std::optional<unsigned> disk_mib_per_second = {};
  std::optional<unsigned> network_mib_per_second = {};
  /// Of each machine's cgroup: lines of io.max, "8:0 wbps=10485760".
  std::vector<std::string> io_max = {};

  /// Whether there is one for all machines together.
  [[nodiscard]] bool any_total() const { return machines || memory_mib || disk_mib; }
  bool operator==(const LimitSettings&) const = default;
};

LimitSettings read_limit_settings(const json::Value& section);
void write_limit_settings(json::Writer& out, const LimitSettings& settings);

/// What was found of this host: "confinement" in config.json.
sys::Confinable read_confinable(const json::Value& section);
void write_confinable(json::Writer& out, const sys::Confinable& confinable);

}  // namespace fireclaw::state
