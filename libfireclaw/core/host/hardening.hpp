#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "fireclaw/host.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::core {

/// Finds settings of this host that let machines learn about each other, or leave their memory on disk, as
/// Firecracker's production guide lists them: swap, merging of memory (KSM), processor threads that share a core (SMT).
/// `root` is "/" except in tests.
std::vector<Check> check_sharing(const std::filesystem::path& root = "/");

/// The confinement of an engine's process in words: "own user 1900000000, own mnt pid net user ipc uts, no
/// capabilities, seccomp". `caller`: the user that started it.
std::string in_words(const sys::ConfinementSeen& seen, uid_t caller);

/// The sandboxes of the engines that work here, each started once, and what machines' cgroups need.
std::vector<Check> check_sandboxes(const Host::Impl& host);

/// Holes towards the guest of the engines that setup found.
std::vector<Check> check_holes(const Host::Impl& host);

}  // namespace fireclaw::core
