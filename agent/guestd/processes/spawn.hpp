#pragma once

#include <optional>

#include "machine.hpp"

namespace fireclaw::guestd {

/// Starts a command. It inherits none of guestd's descriptors, signal settings or environment.
std::optional<wire::ExecFailed> spawn_command(const wire::Exec& request, Spawned& spawned);
/// Forks a process that carries out `call` with the rights of its user, without guestd's descriptors.
std::optional<wire::ExecFailed> spawn_file_call(const wire::FileCall& call, Spawned& spawned);
/// Starts a program that reads nothing and writes to `output`; it too leads a session and group of its own.
std::optional<wire::ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid);

}  // namespace fireclaw::guestd
