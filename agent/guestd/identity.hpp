#pragma once

#include "machine.hpp"

namespace fireclaw::guestd {

/// Checks the request; changes nothing.
wire::Done check_identity(const wire::Configure& request);
/// Gives this machine the requested identity. Everything is tried; the first failure is reported.
wire::Done apply_identity(const wire::Configure& request, Steps& steps);
/// Call before a snapshot, to save each restored machine the work: makes resolv.conf, and brings interfaces
/// up once.
void warm_up_identity();
wire::Done set_clock(std::int64_t time_ns);

}  // namespace fireclaw::guestd
