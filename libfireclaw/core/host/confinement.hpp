#pragma once

#include <optional>
#include <string>

#include "core/host/impl.hpp"
#include "state/settings/sandbox.hpp"
#include "sys/file.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::core {

/// How far engines can be confined here: as setup found it, or, if that was elsewhere or long ago, found out now, once.
const sys::Confinable& confinement(const Host::Impl& host);

/// Finds it out again; for config.json.
sys::Confinable find_confinement(const Host::Impl& host, const state::SandboxSettings& settings);

/// Error(Unsupported), with the obstacle, if config.json requires a sandbox and none is possible.
void require_confinement(const Host::Impl& host);

/// A user that no other machine on this host has, for as long as the lock is held. The engine keeps it open.
struct EngineUser {
  uid_t id;
  sys::FileLock lock;
};

/// A user for the machine that `engine` is to run; nullopt where engines run as the caller. Error(InvalidState) if all
/// users of the range are taken.
std::optional<EngineUser> claim_user(const Host::Impl& host, const std::string& engine);

/// Why machines of `engine` run as the caller, though there are users for them; empty if they do not.
std::string user_obstacle(const sys::IdRange& ids, const std::string& engine);

}  // namespace fireclaw::core
