#pragma once

#include <optional>

#include "machine.hpp"

namespace fireclaw::guestd {

/// Starts a command. It sees nothing of guestd's descriptors, signal settings or environment.
std::optional<wire::ExecFailed> spawn_command(const wire::Exec& request, Spawned& spawned);
/// Forks a process that does what `call` asks for, with the rights of its user and nothing of guestd's.
std::optional<wire::ExecFailed> spawn_file_call(const wire::FileCall& call, Spawned& spawned);
/// Starts a program that reads nothing and writes to `output`; it too leads a session and group of its own.
std::optional<wire::ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid);

}  // namespace fireclaw::guestd
