// The HTTP proxy as machines and servers see it: by real sockets, on loopback.
#include "gateway/proxy/rules.hpp"

#include <doctest/doctest.h>

#include <chrono>
#include <future>
#include <map>
#include <optional>
#include <semaphore>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "gateway/testing/hello.hpp"
#include "gateway/testing/running.hpp"
#include "http/scripted_server.hpp"
#include "json/json.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using gateway::HttpTarget;
using gateway::Refusal;
using gateway::test::Caller;
using gateway::test::RunningGateway;
using gateway::test::tls_hello;
using gateway::test::tls_message;
using gateway::test::tls_record;
using http::test::Peer;
using http::test::ScriptedServer;

namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

/// A proxy for one machine, at 127.0.0.1, that may reach "ok.example" at a port of this one's, and who is refused.
class Proxy final : public gateway::NameSources {
 public:
  explicit Proxy(const ScriptedServer& server, gateway::HttpLimits limits = {}) : port_{server.port()} {
    gateway::HttpRules rules;
    rules.sources = this;
    rules.limits = limits;
    rules.admitted = [](const std::vector<gateway::Lookups::Address>& found) {
      std::vector<net::Ipv4Address> admitted;
      if (found.front().address == net::loopback_address) admitted.push_back(net::loopback_address);
      return admitted;
    };
    rules.find_addresses = [](const std::string& name, const gateway::Lookups::Addresses& done) {
      if (name == "gone.example") return done(gateway::Lookups::Outcome::NoName, {});
      const auto* const address = name == "inner.example" ? "10.0.0.1" : "127.0.0.1";
      done(gateway::Lookups::Outcome::Found, {{net::Ipv4Address::parse(address), 60s}});
    };
    gateway_.emplace(gateway::test::sources_for("http://127.0.0.1:1"), std::move(rules));
  }

  std::optional<gateway::NameClient> name_client(std::string_view address) override {
    if (address != "127.0.0.1") return std::nullopt;
    const net::VmPolicy vm{net::InterfaceName{"tap0"},
                           net::MacAddress::for_address(net::loopback_address),
                           net::loopback_address,
                           net::Egress::None,
                           {},
                           net::ServiceAccess::Names,
                           {}};
    gateway::NameClient client{{"ada", "vm1"}, {vm, {}}};
    for (const auto* name : {"ok.example", "inner.example", "gone.example", "*.wild.example"}) {
      client.rights.http.push_back(net::NamedDestination::parse(fmt::format("{}:{}", name, port_)));
    }
    return client;
  }

  [[nodiscard]] Caller caller(const std::string& from = "127.0.0.1") const {
    return Caller{gateway_->http_port(), from};
  }
  /// All that is answered to what a machine sends.
  [[nodiscard]] std::string ask(std::string_view bytes, const std::string& from = "127.0.0.1") const {
    auto machine = caller(from);
    machine.send(bytes);
    return machine.rest();
  }
  /// A tunnel to a name that is allowed, once it is established.
  [[nodiscard]] Caller tunnel(const std::string& name = "ok.example") const {
    auto machine = caller();
    machine.send(fmt::format("CONNECT {0}:{1} HTTP/1.1\r\nHost: {0}:{1}\r\n\r\n", name, port_));
    CHECK(machine.until("\r\n\r\n").starts_with("HTTP/1.1 200 "));
    return machine;
  }
  /// By rule, how often what it was refused.
  [[nodiscard]] std::map<std::string, std::uint64_t> refused() const {
    const auto text = gateway_->status("/status");
    std::map<std::string, std::uint64_t> rules;
    const auto status = json::Value::parse(text.substr(text.find("\r\n\r\n") + 4), "status");
    for (const auto& one : status.at("refused").as_array()) {
      CHECK(one.at("by").as_string() == "proxy");
      rules[one.at("rule").as_string()] = one.at("count").as_uint();
    }
    return rules;
  }
  [[nodiscard]] std::string status() const { return gateway_->status("/metrics"); }

 private:
  std::uint16_t port_;
  std::optional<RunningGateway> gateway_;
};

std::string rule_of(std::string_view method, std::string_view target, const std::vector<std::string>& hosts = {}) {
  const auto read = gateway::read_http_request(method, target, hosts);
  const auto* refusal = std::get_if<Refusal>(&read);
  return refusal == nullptr ? "passed" : refusal->rule;
}

}  // namespace

TEST_CASE("an authority is a host's name and a port, and never an address") {
  CHECK(gateway::read_authority("Ok.Example.:8080", 80) == HttpTarget{"ok.example", 8080});
  CHECK(gateway::read_authority("ok.example", 80) == HttpTarget{"ok.example", 80});
  CHECK_FALSE(gateway::read_authority("ok.example", std::nullopt));
  for (const auto* text : {"", ":80", "127.0.0.1:80", "127.1", "[::1]:80", "*.example:80", "ok.example:0",
                           "ok.example:65536", "ok.example:80x", "ok.example:", "ok.example..:80", "a@ok.example",
                           "ok.example:80:80", "ok.example ", "2130706433"}) {
    CAPTURE(text);
    CHECK_FALSE(gateway::read_authority(text, 80));
  }
}

TEST_CASE("a request names its server in one way only") {
  CHECK(rule_of("CONNECT", "ok.example:443") == "passed");
  CHECK(rule_of("CONNECT", "ok.example:443", {"ok.example"}) == "passed");
  CHECK(rule_of("CONNECT", "ok.example:443", {"OK.example:443"}) == "passed");
  CHECK(rule_of("CONNECT", "ok.example") == "name");
  CHECK(rule_of("CONNECT", "ok.example:443", {"other.example"}) == "host");
  CHECK(rule_of("GET", "http://ok.example") == "passed");
  CHECK(rule_of("GET", "HTTP://ok.example:80?x", {"ok.example"}) == "passed");
  CHECK(rule_of("GET", "http://ok.example/", {"ok.example:81"}) == "host");
  CHECK(rule_of("GET", "http://ok.example/", {"ok.example", "ok.example"}) == "host");
  CHECK(rule_of("GET", "http://ok.example/", {""}) == "host");
  CHECK(rule_of("GET", "http://ok.example@other.example/") == "name");
  CHECK(rule_of("GET", "http://ok.example#@x/") == "name");
  CHECK(rule_of("GET", "http://192.0.2.1/") == "name");
  CHECK(rule_of("GET", "/path", {"ok.example"}) == "request");
  CHECK(rule_of("GET", "https://ok.example/") == "request");
}

TEST_CASE("entries without a port are for web servers' ports") {
  const std::vector<net::NamedDestination> list{net::NamedDestination::parse("ok.example"),
                                                net::NamedDestination::parse("*.wild.example:8080")};
  CHECK(gateway::allows(list, {"ok.example", 80}));
  CHECK(gateway::allows(list, {"ok.example", 443}));
  CHECK_FALSE(gateway::allows(list, {"ok.example", 22}));
  CHECK(gateway::allows(list, {"a.wild.example", 8080}));
  CHECK_FALSE(gateway::allows(list, {"a.wild.example", 443}));
  CHECK_FALSE(gateway::allows(list, {"wild.example", 8080}));
}

TEST_CASE("a request for a name on the list is passed on as its server's own") {
  std::string asked;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    asked = peer.request();
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
  }});
  const Proxy proxy{server};
  const auto answer = proxy.ask(
      fmt::format("POST http://OK.example:{0}/a?b HTTP/1.1\r\nHost: ok.example:{0}\r\nProxy-Connection: keep-alive\r\n"
                  "Proxy-Authorization: Basic eA==\r\nConnection: X-Own, Content-Length\r\nX-Own: 1\r\nX-Kept: 1\r\n"
                  "Content-Length: 3\r\n\r\nabcGET http://other.example/ HTTP/1.1\r\nHost: other.example\r\n\r\n",
                  server.port()));
  CHECK(has(answer, "\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
  CHECK(asked.starts_with("POST /a?b HTTP/1.1\r\n"));
  CHECK(asked.ends_with("\r\n\r\nabc"));
  CHECK(has(asked, fmt::format("Host: ok.example:{}\r\n", server.port())));
  CHECK(has(asked, "X-Kept: 1\r\n"));
  CHECK(has(asked, "Connection: close\r\n"));
  CHECK_FALSE(has(asked, "Proxy-"));
  CHECK_FALSE(has(asked, "X-Own"));
}

TEST_CASE("a body in chunks is passed on chunk by chunk, and nothing that follows it") {
  std::string all;
  std::promise<std::string> after;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    all = peer.until("0\r\n\r\n");
    peer.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    after.set_value(peer.rest());
  }});
  std::optional<Proxy> proxy{std::in_place, server};
  auto machine = proxy->caller();
  machine.send(
      fmt::format("PUT http://a.wild.example:{}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "5\r\nhello\r\n7;a=b\r\n, world\r\n1\r\n!\r\n0\r\nX-Trailer: 1\r\n\r\n"
                  "DELETE / HTTP/1.1\r\nHost: a.wild.example\r\n\r\n",
                  server.port()));
  CHECK(machine.until("\r\n\r\n").starts_with("HTTP/1.1 204 "));
  CHECK(all == fmt::format("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nHost: a.wild.example:{}\r\n"
                           "Connection: close\r\n\r\n"
                           "5\r\nhello\r\n7\r\n, world\r\n1\r\n!\r\n0\r\n\r\n",
                           server.port()));
  proxy.reset();
  CHECK(after.get_future().get().empty());
}

TEST_CASE("a long chunk arrives whole, however it is cut") {
  std::string body;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    peer.until("\r\n\r\n");
    for (;;) {
      const auto head = peer.until("\r\n");
      if (head.empty()) return;
      const auto size = std::stoul(head, nullptr, 16);
      // With what ends the chunk.
      std::string chunk;
      while (chunk.size() < size + 2) {
        const auto part = peer.until("\r\n");
        if (part.empty()) return;
        chunk += part;
      }
      CHECK(chunk.size() == size + 2);
      if (size == 0) break;
      body += chunk.substr(0, size);
    }
    peer.send("HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
  }});
  const Proxy proxy{server};
  auto machine = proxy.caller();
  machine.send(
      fmt::format("PUT http://a.wild.example:{}/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", server.port()));
  const std::string piece(100'000, 'x');
  machine.send(fmt::format("{:x}\r\n{}\r\n", piece.size(), piece));
  machine.send("1\r\ny\r\n0\r\n\r\n");
  CHECK(machine.rest().starts_with("HTTP/1.1 204 "));
  CHECK(body == piece + "y");
}

TEST_CASE("a request whose end can be found in two ways is refused") {
  const auto server = ScriptedServer::on_loopback({});
  const Proxy proxy{server};
  const std::vector<std::string> requests{
      "HTTP/1.1\r\nTransfer-Encoding: x\r\nTransfer-Encoding: chunked",
      "HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
      "HTTP/1.1\r\nTransfer-Encoding: gzip, chunked",
      "HTTP/1.1\r\nTransfer-Encoding: chunked, gzip",
      "HTTP/1.1\r\nTransfer-Encoding: identity\r\nContent-Length: 5",
      "HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5",
      "HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6",
      "HTTP/1.0\r\nTransfer-Encoding: chunked",
  };
  for (const auto& end : requests) {
    CAPTURE(end);
    CHECK(proxy.ask(fmt::format("POST http://ok.example:{}/ {}\r\n\r\n0\r\n\r\n", server.port(), end))
              .starts_with("HTTP/1.1 400 "));
  }
  CHECK(proxy.refused() == std::map<std::string, std::uint64_t>{{"request", requests.size()}});
}

TEST_CASE("the answer of a server that does not read the whole request arrives") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    peer.until("\r\n\r\n");
    peer.send("HTTP/1.1 413 Payload Too Large\r\nConnection: close\r\n\r\ntoo much");
  }});
  const Proxy proxy{server};
  auto machine = proxy.caller();
  constexpr std::size_t size = 8 << 20;
  machine.send(fmt::format("POST http://ok.example:{}/ HTTP/1.1\r\nContent-Length: {}\r\n\r\n", server.port(), size));
  machine.send(std::string(size, 'x'));
  CHECK(has(machine.rest(), "\r\n\r\ntoo much"));
}

TEST_CASE("what is not on the list, private, or asked for in two ways is refused and noted") {
  const auto server = ScriptedServer::on_loopback({});
  const Proxy proxy{server};
  const auto port = server.port();
  CHECK(proxy.ask(fmt::format("GET http://other.example:{}/ HTTP/1.1\r\nHost: other.example\r\n\r\n", port))
            .starts_with("HTTP/1.1 403 "));
  CHECK(proxy.ask(fmt::format("CONNECT ok.example:{} HTTP/1.1\r\n\r\n", port + 1)).starts_with("HTTP/1.1 403 "));
  CHECK(has(proxy.ask(fmt::format("CONNECT inner.example:{} HTTP/1.1\r\n\r\n", port)), "10.0.0.1 here"));
  CHECK(proxy.ask(fmt::format("GET http://ok.example:{}/ HTTP/1.1\r\nHost: other.example\r\n\r\n", port))
            .starts_with("HTTP/1.1 400 "));
  CHECK(proxy.ask(fmt::format("CONNECT gone.example:{} HTTP/1.1\r\n\r\n", port)).starts_with("HTTP/1.1 502 "));
  CHECK(proxy.ask("what is this\r\n\r\n").starts_with("HTTP/1.1 400 "));
  CHECK(proxy.ask("GET http://ok.example/ HTTP/1.1\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n")
            .starts_with("HTTP/1.1 431 "));
  CHECK(
      proxy.ask(fmt::format("CONNECT ok.example:{} HTTP/1.1\r\n\r\n", port), "127.0.0.2").starts_with("HTTP/1.1 403 "));
  CHECK(proxy.refused() == std::map<std::string, std::uint64_t>{
                               {"allow-http", 2}, {"private", 1}, {"host", 1}, {"request", 1}, {"size", 1}});
  CHECK(has(proxy.status(), "fireclaw_http_refused_total 7\n"));
}

TEST_CASE("a tunnel leads to its server once its TLS has asked for it, however the hello is cut") {
  const std::string large(8 << 20, 'y');
  std::string hello;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    hello = peer.until("more");
    peer.send(large);
    peer.send("end");
    peer.wait_until_closed();
  }});
  const Proxy proxy{server};
  auto machine = proxy.tunnel();
  const auto message = tls_message("OK.example");
  const auto split = tls_record(message.substr(0, 50)) + tls_record(message.substr(50));
  for (const char byte : split) machine.send({&byte, 1});
  machine.send("more");
  const auto came = machine.until("end");
  CHECK(came.size() == large.size() + 3);
  CHECK(hello == split + "more");
  machine.hang_up();
}

TEST_CASE("a tunnel whose TLS asks for another server, or that is not TLS, reaches nobody") {
  std::vector<std::string> heard;
  std::counting_semaphore ended{0};
  const auto note = [&](Peer& peer) {
    heard.push_back(peer.rest());
    ended.release();
  };
  const auto server = ScriptedServer::on_loopback({note, note, note});
  const Proxy proxy{server};
  for (const auto& begin : {tls_hello("other.example"), tls_hello(""), std::string{"GET / HTTP/1.1\r\n\r\n"}}) {
    auto machine = proxy.tunnel();
    machine.send(begin);
    CHECK(machine.rest().empty());
    CHECK(ended.try_acquire_for(20s));
  }
  CHECK(proxy.refused() == std::map<std::string, std::uint64_t>{{"sni", 2}, {"tls", 1}});
  CHECK(heard == std::vector<std::string>(3));
}

TEST_CASE("a client that sends too little in time is cut off, and one machine has only so many connections") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) { peer.wait_until_closed(); }});
  gateway::HttpLimits limits;
  limits.machine_connections = 2;
  limits.patience = 300ms;
  const Proxy proxy{server, limits};
  {
    auto slow = proxy.caller();
    slow.send("GET http://ok.exam");
    auto silent = proxy.tunnel();
    silent.send("\x16\x03");
    CHECK(has(proxy.ask(""), "503"));
    CHECK(slow.rest().empty());
    CHECK(silent.rest().empty());
  }
  auto next = proxy.caller();
  next.send("GET / HTTP/1.1\r\n\r\n");
  CHECK(next.rest().starts_with("HTTP/1.1 400 "));
}
