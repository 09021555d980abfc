#pragma once

#include "processes/services.hpp"

namespace fireclaw::guestd {

/// Where programs see that they run in another machine than before: its content is other in each clone of a snapshot.
inline constexpr const char* generation_path = "/run/fireclaw-generation";
/// Programs of the image that renew what is its own (keys, ids, seeds) in a clone.
inline constexpr const char* restored_hooks = "/etc/fireclaw/hooks.d/restored";

/// Writes a new generation in place, so that who watches the file is told.
wire::Done renew_generation();
/// Starts each executable file of restored_hooks as a service "restored-NAME", in the order of their names. What cannot
/// be started is said on the console.
void start_restored_hooks(Services& services);

}  // namespace fireclaw::guestd
