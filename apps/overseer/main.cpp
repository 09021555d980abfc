#include "common/processes/standard_streams.hpp"
#include "crew/library_agents.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/gateway.hpp"
#include "program.hpp"

int main(int argc, char** argv) {
  using namespace fireclaw;
  cli::open_standard_streams();
  overseer::Backend backend;
  backend.agents = [](const cli::HostArguments& arguments, LogSink log) {
    return overseer::library_agents(Host::open(cli::host_options(arguments, std::move(log))));
  };
  backend.addresses = [](const cli::HostArguments& arguments, LogSink log) {
    const auto host = Host::open(cli::host_options(arguments, std::move(log)));
    // Agents get there through the gateway's program, which reaches loopback.
    if (!host.gateway().info().irc_address.empty()) return std::vector<std::string>{};
    host.network().up();
    return std::vector<std::string>{host.network().info().gateway};
  };
  backend.network_down = [](const cli::HostArguments& arguments, LogSink log) {
    return Host::open(cli::host_options(arguments, std::move(log))).network().down();
  };
  return cli::finish_output("fireclaw-overseer", overseer::run_program(argc, argv, backend));
}
