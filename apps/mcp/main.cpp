#include <utility>

#include "common/processes/standard_streams.hpp"
#include "fireclaw/host.hpp"
#include "library_backend.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
  using namespace fireclaw;
  cli::open_standard_streams();
  const int status = mcp::run_program(argc, argv, [](const cli::HostArguments& arguments, LogSink log) {
    return mcp::library_backend(Host::open(cli::host_options(arguments, std::move(log))));
  });
  return cli::finish_output("fireclaw-mcp", status);
}
