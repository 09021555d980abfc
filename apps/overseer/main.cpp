#include "common/standard_streams.hpp"
#include "crew/library_agents.hpp"
#include "fireclaw/gateway.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/network.hpp"
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
    if (!Gateway::info(host).irc_address.empty()) return std::vector<std::string>{};
    Network::up(host);
    return std::vector<std::string>{Network::info(host).gateway};
  };
  backend.network_down = [](const cli::HostArguments& arguments, LogSink log) {
    return Network::down(Host::open(cli::host_options(arguments, std::move(log))));
  };
  return cli::finish_output("fireclaw-overseer", overseer::run_program(argc, argv, backend));
}
