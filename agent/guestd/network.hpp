#pragma once

#include <string>

#include "machine.hpp"

namespace fireclaw::guestd {

/// Whether the interface's settings make sense; nothing is changed.
wire::Done check_interface(const wire::Configure& request);
/// Gives the interface its address, route and hardware address, and forgets what it had before.
wire::Done configure_interface(const wire::Configure& request);

/// Starts and stops those that are down: what a driver gets for its first start is there from then on.
void rehearse_interfaces();

}  // namespace fireclaw::guestd
