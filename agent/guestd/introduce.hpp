#pragma once

#include "guest/wire/wire.hpp"

namespace fireclaw::guestd {

/// What guestd says of itself and the kernel it runs on.
guest::wire::Hello introduce();

}  // namespace fireclaw::guestd
