// A gateway without machines, for tests: it serves clients from 127.0.0.1 as agent "worker".
//
//   gateway_on_loopback FILE
//
// FILE has "gateway" as config.json does, with the ports to serve at, and "secrets". Says "ready" and serves until
// standard input ends.

#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <utility>

#include "gateway/testing/running.hpp"
#include "json/json.hpp"
#include "state/settings/gateway.hpp"

int main(int argc, char** argv) {
  using namespace fireclaw;
  if (argc != 2) return 2;
  std::signal(SIGPIPE, SIG_IGN);
  try {
    const auto value = json::Value::parse_file(argv[1]);
    auto settings = state::read_gateway_settings(value.at("gateway"));
    gateway::test::FixedSources sources;
    sources.machines = {{"127.0.0.1", {"worker", "vm1"}}};
    sources.settings = std::move(settings.llm).value();
    sources.irc_settings = std::move(settings.irc).value();
    for (const auto& [name, secret] : value.at("secrets").as_object()) sources.keys.emplace(name, secret.as_string());
    const auto llm = sources.settings.port;
    const auto irc = sources.irc_settings.port;
    const gateway::test::RunningGateway running{std::move(sources), {}, llm, irc};
    std::puts("ready");
    std::fflush(stdout);
    char byte = 0;
    while (::read(STDIN_FILENO, &byte, 1) > 0) {
    }
    return 0;
  } catch (const std::exception& problem) {
    std::fprintf(stderr, "%s\n", problem.what());
    return 1;
  }
}
