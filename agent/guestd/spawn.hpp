#pragma once

#include <optional>

#include "machine.hpp"

namespace fireclaw::guestd {

/// Starts a command. It sees nothing of guestd's descriptors, signal settings or environment.
std::optional<wire::ExecFailed> spawn_command(const wire::Exec& request, Spawned& spawned);

}  // namespace fireclaw::guestd
