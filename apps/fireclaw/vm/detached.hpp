#pragma once

#include <string>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// Starts a command that runs by itself, as a service of the guest; returns the name that it is known by: "job-1".
/// Error(InvalidArgument) for one that wants a terminal or has a time limit.
std::string start_detached(VM& vm, const ExecOptions& command);

}  // namespace fireclaw::cli
