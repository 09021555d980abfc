#pragma once

#include "common/command_line/completion.hpp"
#include "common/command_line/host_arguments.hpp"

namespace fireclaw::cli {

/// The names in the home folder, for completion: prints nothing, changes nothing, and returns none if anything is
/// wrong.
Names known_names(HostArguments arguments);

}  // namespace fireclaw::cli
