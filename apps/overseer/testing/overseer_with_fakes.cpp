// The overseer with agents that are not machines: what it does on IRC can be tested in seconds.
#include "program.hpp"
#include "testing/fake_agents.hpp"

int main(int argc, char** argv) {
  using namespace fireclaw;
  overseer::Backend backend;
  backend.agents = [](const cli::HostArguments& arguments, const LogSink&) {
    return std::make_unique<overseer::FakeAgents>(cli::home_of(arguments) / "agents");
  };
  backend.addresses = [](const cli::HostArguments&, const LogSink&) { return std::vector<std::string>{}; };
  backend.network_down = [](const cli::HostArguments&, const LogSink&) { return false; };
  return overseer::run_program(argc, argv, backend);
}
