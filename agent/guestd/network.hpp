#pragma once

#include <string>

#include "machine.hpp"

namespace fireclaw::guestd {

/// Checks the interface's settings; changes nothing.
wire::Done check_interface(const wire::Configure& request);
/// Gives the interface its address, route and hardware address, and removes earlier ones.
wire::Done configure_interface(const wire::Configure& request);

/// Brings interfaces that are down up and down again, so that their drivers have allocated their buffers.
void warm_up_interfaces();

}  // namespace fireclaw::guestd
