#pragma once

#include "sys/file.hpp"

namespace fireclaw::sys {

/// Brings a whole file into the page cache, holes too, so that a process that maps it waits neither for a disk nor for
/// memory. Throws Error(Timeout), Error(Cancelled), or Error(Io) (also where the kernel, before 5.14, cannot do it).
void read_into_page_cache(int file, const CopyLimits& limits = {});

}  // namespace fireclaw::sys
