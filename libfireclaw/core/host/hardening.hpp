#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "fireclaw/host.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::core {

/// What of this host lets machines learn of each other, or leaves their memory on disk, as Firecracker's production
/// guide has it: swap, memory that is merged (KSM), processor threads that share a core (SMT). `root` is "/" but for
/// tests.
std::vector<Check> check_sharing(const std::filesystem::path& root = "/");

/// What was seen of an engine's process, in words: "own user 1900000000, own mnt pid net user ipc uts, no capabilities,
/// seccomp". `caller`: the user that started it.
std::string in_words(const sys::ConfinementSeen& seen, uid_t caller);

/// How the engines that work here are shut in, each really started once, and what machines' cgroups need.
std::vector<Check> check_sandboxes(const Host::Impl& host);

/// Holes towards the guest of the engines that setup found.
std::vector<Check> check_holes(const Host::Impl& host);

}  // namespace fireclaw::core
