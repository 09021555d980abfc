#pragma once

#include <string>

#include "machine.hpp"

namespace fireclaw::guestd {

/// Whether the interface's settings make sense; nothing is changed.
wire::Done check_interface(const wire::Configure& request);
/// Gives the interface its address, route and hardware address, and forgets what it had before.
wire::Done configure_interface(const wire::Configure& request);

/// Brings interfaces that are down up and down again, so that their drivers have allocated their buffers.
void warm_up_interfaces();

}  // namespace fireclaw::guestd
