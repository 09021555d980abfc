#pragma once

#include <string>

namespace fireclaw::guestd {

/// Writes the capabilities of the files below `folder` to standard output, for the host: of each file its
/// security.capability in hexadecimal, a space, its path from there, a NUL. Neither links nor other file systems are
/// followed. The process's exit status: 1 if something could not be looked at.
int print_capabilities(const std::string& folder);

}  // namespace fireclaw::guestd
