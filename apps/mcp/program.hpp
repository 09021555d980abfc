#pragma once

#include <functional>
#include <memory>

#include "backend.hpp"
#include "common/command_line/host_arguments.hpp"

namespace fireclaw::mcp {

/// Makes what the server works with from the command line's choice of a home folder.
using MakeBackend = std::function<std::unique_ptr<Backend>(const cli::HostArguments& arguments, LogSink log)>;

/// The program: reads the command line, serves the client until it goes, returns the exit status.
int run_program(int argc, char** argv, const MakeBackend& make_backend);

}  // namespace fireclaw::mcp
