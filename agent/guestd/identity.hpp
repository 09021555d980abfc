#pragma once

#include "machine.hpp"

namespace fireclaw::guestd {

/// Whether the request makes sense; nothing is changed.
wire::Done check_identity(const wire::Configure& request);
/// Makes this machine who the request says. Everything is tried; the first failure is reported.
wire::Done apply_identity(const wire::Configure& request, Steps& steps);
/// Does once, before a snapshot, what each machine made from it would have to do: makes resolv.conf, and brings
/// interfaces up once.
void warm_up_identity();
wire::Done set_clock(std::int64_t time_ns);

}  // namespace fireclaw::guestd
