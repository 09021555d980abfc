#pragma once

#include <string>

#include "machine.hpp"

namespace fireclaw::guestd {

/// Whether the interface's settings make sense; nothing is changed.
wire::Done check_interface(const wire::Configure& request);
/// Gives the interface its address, route and hardware address, and forgets what it had before.
wire::Done configure_interface(const wire::Configure& request);

}  // namespace fireclaw::guestd
