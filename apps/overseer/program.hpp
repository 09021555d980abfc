#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/command_line/host_arguments.hpp"
#include "crew/agents.hpp"
#include "fireclaw/log.hpp"

namespace fireclaw::overseer {

/// What the program has from the library.
struct Backend {
  std::function<std::unique_ptr<Agents>(const cli::HostArguments& arguments, LogSink log)> agents;
  /// The host's addresses that agents reach it by, made if they are not there yet.
  std::function<std::vector<std::string>(const cli::HostArguments& arguments, LogSink log)> addresses;
  /// Removes the agents' bridge and what comes with it: Network::down().
  std::function<bool(const cli::HostArguments& arguments, LogSink log)> network_down;
};

/// The program: reads the command line and acts. Returns the exit status.
int run_program(int argc, char** argv, const Backend& backend);

}  // namespace fireclaw::overseer
