#pragma once

#include "machine.hpp"

namespace fireclaw::guestd {

/// Whether the request makes sense; nothing is changed.
wire::Done check_identity(const wire::Configure& request);
/// Makes this machine who the request says. Everything is tried; the first failure is reported.
wire::Done apply_identity(const wire::Configure& request, Steps& steps);
/// Does before a snapshot what need not be done in each machine made of it: the file that names the name servers is
/// there, and interfaces have been up once.
void rehearse_identity();
wire::Done set_clock(std::int64_t time_ns);

}  // namespace fireclaw::guestd
