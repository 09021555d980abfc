#pragma once

#include "machine.hpp"

namespace fireclaw::guestd {

/// Whether the request makes sense; nothing is changed.
wire::Done check_identity(const wire::Configure& request);
/// Makes this machine who the request says. Everything is tried; the first failure is reported.
wire::Done apply_identity(const wire::Configure& request, Steps& steps);
wire::Done set_clock(std::int64_t time_ns);

}  // namespace fireclaw::guestd
