#include "gateway/irc/service.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <string>

#include "base/deadline.hpp"
#include "gateway/testing/running.hpp"
#include "http/scripted_server.hpp"
#include "json/json.hpp"

using namespace fireclaw;
using gateway::test::Caller;
using gateway::test::FixedSources;
using gateway::test::RunningGateway;
using http::test::Peer;
using http::test::ScriptedServer;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// Settings with one IRC server, named "local".
FixedSources sources_for(std::uint16_t port) {
  FixedSources sources;
  state::IrcUpstream upstream;
  upstream.name = "local";
  upstream.host = "127.0.0.1";
  upstream.port = port;
  sources.irc_settings.upstreams.push_back(upstream);
  return sources;
}

json::Value counts(const RunningGateway& gateway) {
  const auto text = gateway.status("/status");
  return json::Value::parse(text.substr(text.find("\r\n\r\n") + 4), "status").at("irc").as_array().at(0);
}

void await_none_open(const RunningGateway& gateway) {
  const auto deadline = Deadline::after(std::chrono::seconds{20});
  while (counts(gateway).at("open").as_int() != 0) REQUIRE_FALSE(deadline.passed());
}

}  // namespace

TEST_CASE("an agent's lines pass behind the server's password, and the server's pass back") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    const auto first = peer.until("USER ada\r\n");
    peer.send(first == "PASS :hunter2\r\nNICK ada\r\nUSER ada\r\n" ? ":irc 001 ada :welcome\r\n" : "ERROR :no\r\n");
    peer.until("QUIT\r\n");
    peer.send("ERROR :bye\r\n");
  }});
  auto sources = sources_for(server.port());
  sources.irc_settings.upstreams[0].password_secret = "pw";
  sources.keys = {{"pw", "hunter2"}};
  const RunningGateway gateway{sources};
  Caller agent{gateway.irc_port()};
  agent.send("NICK ada\r\nUSER ada\r\n");
  CHECK(agent.until("welcome\r\n") == ":irc 001 ada :welcome\r\n");
  CHECK(counts(gateway).at("open").as_int() == 1);
  agent.send("QUIT\r\n");
  CHECK(agent.rest() == "ERROR :bye\r\n");
  agent.hang_up();
  await_none_open(gateway);
  CHECK(counts(gateway).at("connections").as_int() == 1);
  CHECK(counts(gateway).at("errors").as_int() == 0);
  CHECK(has(gateway.status("/metrics"), "fireclaw_irc_connections_total{server=\"local\"} 1\n"));
}

TEST_CASE("the agent is logged in before the server hears anything of it") {
  std::string said;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    said = peer.until("sasl\r\n");
    peer.send(":irc CAP * ACK :sasl\r\n");
    said += peer.until("PLAIN\r\n");
    peer.send("AUTHENTICATE +\r\n");
    said += peer.until("\r\n");
    peer.send(":irc 903 * :ok\r\n");
    said += peer.until("USER\r\n");
    peer.send("end\r\n");
  }});
  auto sources = sources_for(server.port());
  sources.irc_settings.upstreams[0].sasl = state::IrcAccount{"ada", "ada"};
  sources.keys = {{"ada", "hunter2"}};
  const RunningGateway gateway{sources};
  Caller agent{gateway.irc_port()};
  agent.send("CAP LS 302\r\nUSER\r\n");
  CHECK(agent.rest() == "end\r\n");
  CHECK(said ==
        "CAP REQ :sasl\r\nAUTHENTICATE PLAIN\r\nAUTHENTICATE AGFkYQBodW50ZXIy\r\nCAP END\r\nCAP LS 302\r\nUSER\r\n");
}

TEST_CASE("an agent is told what is wrong, and its server's secrets are not among it") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    peer.until("sasl\r\n");
    peer.send(":irc CAP * NAK :sasl\r\n");
    peer.wait_until_closed();
  }});
  auto sources = sources_for(server.port());
  sources.irc_settings.upstreams[0].agents = {"ada"};
  sources.irc_settings.upstreams[0].sasl = state::IrcAccount{"ada", "ada"};
  SUBCASE("a secret that is not there") {
    const RunningGateway gateway{sources};
    Caller agent{gateway.irc_port()};
    agent.send("CAP LS 302\r\n");
    CHECK(has(agent.rest(), "ERROR :the gateway cannot use the IRC server 'local'; its log says why\r\n"));
  }
  SUBCASE("a server without logins") {
    sources.keys = {{"ada", "hunter2"}};
    const RunningGateway gateway{sources};
    Caller agent{gateway.irc_port()};
    agent.send("CAP LS 302\r\n");
    const auto told = agent.rest();
    CHECK(has(told, "ERROR :the IRC server 'local' does not let the gateway in: it offers no login by SASL\r\n"));
    CHECK_FALSE(has(told, "hunter2"));
    CHECK(counts(gateway).at("errors").as_int() == 1);
    CHECK(has(counts(gateway).at("last_error").as_string(), "no login by SASL"));
  }
  SUBCASE("no server for this agent, and no agent at this address") {
    const RunningGateway gateway{sources};
    CHECK(has(Caller{gateway.irc_port(), "127.0.0.3"}.rest(), "ERROR :no IRC server is for 'bob'"));
    CHECK(has(Caller{gateway.irc_port(), "127.0.0.2"}.rest(), "ERROR :the gateway serves only machines"));
  }
  SUBCASE("nobody listens") {
    sources.keys = {{"ada", "hunter2"}};
    sources.irc_settings.upstreams[0].port = 1;
    const RunningGateway gateway{sources};
    CHECK(Caller{gateway.irc_port()}.rest() == "ERROR :the gateway cannot reach the IRC server 'local'\r\n");
  }
}

TEST_CASE("a machine has only so many connections") {
  const auto hold = [](Peer& peer) { peer.wait_until_closed(); };
  const auto server = ScriptedServer::on_loopback({hold, hold, hold});
  gateway::ServerLimits limits;
  limits.irc_connections = 2;
  const RunningGateway gateway{sources_for(server.port()), limits};
  Caller one{gateway.irc_port()};
  Caller two{gateway.irc_port()};
  CHECK(has(Caller{gateway.irc_port()}.rest(), "ERROR :too many connections"));
  CHECK(counts(gateway).at("open").as_int() == 2);
}

TEST_CASE("a side that does not read holds the other back, and nothing is lost") {
  constexpr std::size_t bytes = std::size_t{24} << 20;
  std::promise<std::size_t> arrived;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    peer.send(std::string(bytes, 'x') + "end\r\n");
    arrived.set_value(peer.until("END\r\n").size());
  }});
  const RunningGateway gateway{sources_for(server.port())};
  Caller agent{gateway.irc_port()};
  CHECK(agent.until("end\r\n").size() == bytes + 5);
  // The end of the agent's side does not cut what it has said.
  agent.send(std::string(bytes, 'y') + "END\r\n");
  agent.hang_up();
  await_none_open(gateway);
  CHECK(arrived.get_future().get() == bytes + 5);
}
