#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "fireclaw/engine.hpp"
#include "json/json.hpp"
#include "state/settings/network.hpp"
#include "state/settings/sandbox.hpp"

namespace fireclaw::state {

/// config.json: the findings and choices of setup, and the settings of the user. The user's sections and their fields
/// are optional; they are written back as they were read.
struct Config {
  static constexpr unsigned schema = 1;

  /// The verdict on each engine with each kernel. An engine's program is recognised by path, size and modification
  /// time: after an upgrade its verdicts no longer count.
  struct Engine {
    EngineVerdict verdict;
    std::uint64_t binary_bytes = 0;
    std::int64_t binary_mtime_ns = 0;

    bool operator==(const Engine&) const = default;
  };
  std::vector<Engine> engines;
  /// The version whose setup was completed here; empty: none.
  std::string set_up_by;
  NetworkSettings network;
  SandboxSettings sandbox;
  LimitSettings limits;
  /// "emulation": "refuse": machines are emulated only if that is asked for by name.
  bool refuse_emulation = false;
  /// How far engines can be confined here, as setup found it.
  std::optional<sys::Confinable> confinement;
  /// The IRC server and the LLM of every agent's bot, in the bot's own terms; see bot_fields.hpp.
  std::optional<json::Value> irc;
  std::optional<json::Value> llm;
  /// The gateway's settings; see settings/gateway.hpp. nullopt: no gateway.
  std::optional<json::Value> gateway;

  bool operator==(const Config&) const = default;
};

/// The configuration in `file`; the defaults if there is no such file. Error(Corrupt) naming file and field if it is
/// torn or foreign; it is never reset.
Config read_config(const std::filesystem::path& file);
void write_config(const std::filesystem::path& file, const Config& config);

/// Records `entry`, replacing the verdict on the same engine and kernel.
void put_verdict(Config& config, Config::Engine entry);
/// A record for `verdict` with its program's size and time of change as they are now.
Config::Engine stamp(EngineVerdict verdict);
/// Whether the engine's program is still the one of the verdict.
bool is_current(const Config::Engine& entry);

}  // namespace fireclaw::state
