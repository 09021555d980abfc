#pragma once

#include "common/command_line/completion.hpp"
#include "common/command_line/host_arguments.hpp"

namespace fireclaw::cli {

/// The names that exist in the home folder, for completion: says nothing, changes nothing, and knows none where
/// anything is wrong.
Names known_names(HostArguments arguments);

}  // namespace fireclaw::cli
