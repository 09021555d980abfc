#pragma once

#include "processes/services.hpp"

namespace fireclaw::guestd {

/// The file that tells programs that they run in another machine than before: its content differs in each clone.
inline constexpr const char* generation_path = "/run/fireclaw-generation";
/// Programs of the image that renew its keys, ids and seeds in a clone.
inline constexpr const char* restored_hooks = "/etc/fireclaw/hooks.d/restored";

/// Writes a new generation in place, so that watchers of the file notice.
wire::Done renew_generation();
/// Starts each executable file of restored_hooks as a service "restored-NAME", in the order of their names. Failures
/// are reported on the console.
void start_restored_hooks(Services& services);

}  // namespace fireclaw::guestd
