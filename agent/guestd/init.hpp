#pragma once

namespace fireclaw::guestd {

/// Runs guestd as process 1. Returns only by ending the machine.
[[noreturn]] void run_as_init();

}  // namespace fireclaw::guestd
