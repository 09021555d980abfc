#pragma once

#include "guest/wire/wire.hpp"

namespace fireclaw::guestd {

/// guestd's description of itself and its kernel.
guest::wire::Hello introduce();

}  // namespace fireclaw::guestd
