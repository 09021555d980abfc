#pragma once

#include "machine.hpp"

namespace fireclaw::guestd {

/// Whether the request makes sense; nothing is changed.
wire::Done check_identity(const wire::Configure& request);

}  // namespace fireclaw::guestd
