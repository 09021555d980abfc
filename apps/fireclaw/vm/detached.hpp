#pragma once

#include <string>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// Error(InvalidArgument) for a command that wants a terminal or has a time limit.
void require_detachable(const ExecOptions& command);

/// Starts a command that runs by itself, as a service of the guest; returns the name that it is known by: "job-1".
/// Error as require_detachable().
std::string start_detached(VM& vm, const ExecOptions& command);

}  // namespace fireclaw::cli
