#include <utility>

#include "fireclaw/host.hpp"
#include "library_backend.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
  using namespace fireclaw;
  return mcp::run_program(argc, argv, [](const cli::HostArguments& arguments, LogSink log) {
    return mcp::library_backend(Host::open(cli::host_options(arguments, std::move(log))));
  });
}
