#include "http/transfers.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/deadline.hpp"
#include "base/scope.hpp"
#include "http/scripted_server.hpp"
#include "sys/poll.hpp"

using namespace fireclaw;
using http::Transfers;
using http::test::Peer;
using http::test::ScriptedServer;

namespace {

/// Keeps what it is given.
struct Collected : Transfers::Handler {
  void on_head(int number, const std::map<std::string, std::string>& all) override {
    status = number;
    headers = all;
  }
  bool on_body(std::string_view bytes) override {
    if (closed) return false;
    body += bytes;
    return true;
  }
  void on_end(const Transfers::End& how) override { end = how; }

  int status = 0;
  std::map<std::string, std::string> headers;
  std::string body;
  bool closed = false;
  std::optional<Transfers::End> end;
};

template <class Done>
bool run_until(Transfers& transfers, Done done, std::chrono::milliseconds limit = std::chrono::seconds{20}) {
  const auto deadline = Deadline::after(limit);
  while (!done()) {
    if (sys::wait_fd(transfers.fd(), POLLIN, deadline) != sys::WaitResult::Ready) return done();
    transfers.run();
  }
  return true;
}

Transfers::Request post(const ScriptedServer& server, const std::string& body) {
  Transfers::Request request;
  request.url = server.url("/x");
  request.headers = {"Content-Type: application/json"};
  request.body = body;
  return request;
}

}  // namespace

TEST_CASE("requests side by side get their own answers, piece by piece") {
  std::string asked;
  auto server = ScriptedServer::on_loopback({
      [&](Peer& peer) {
        asked = peer.request();
        peer.send(
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nX-Early: b\r\n\r\n"
            "HTTP/1.1 200 OK\r\nX-One: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
        peer.send("3\r\ncde\r\n0\r\n\r\n");
      },
      [](Peer& peer) {
        peer.request();
        peer.send("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno");
      },
  });
  Transfers transfers;
  Collected first;
  Collected second;
  transfers.start(post(server, "{}"), first);
  REQUIRE(run_until(transfers, [&] { return first.end.has_value(); }));
  transfers.start(post(server, ""), second);
  REQUIRE(run_until(transfers, [&] { return second.end.has_value(); }));
  CHECK(asked.starts_with("POST /x HTTP/1.1\r\n"));
  CHECK(asked.ends_with("\r\n\r\n{}"));
  CHECK(asked.find("Expect") == std::string::npos);
  CHECK(first.status == 200);
  CHECK(first.headers.at("x-one") == "a");
  // What was only announced is not in the answer.
  CHECK_FALSE(first.headers.contains("x-early"));
  CHECK(first.body == "abcde");
  CHECK_FALSE(first.end->failure);
  CHECK(second.status == 404);
  CHECK(second.body == "no");
}

TEST_CASE("a proxy that the environment names is not asked for what is on this host") {
  auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell");
  }});
  // Nobody is there.
  ::setenv("http_proxy", "http://127.0.0.1:1", 1);
  const ScopeGuard unset{[] { ::unsetenv("http_proxy"); }};
  Transfers transfers;
  Collected answer;
  transfers.start(post(server, "{}"), answer);
  REQUIRE(run_until(transfers, [&] { return answer.end.has_value(); }));
  CHECK(answer.body == "well");
}

TEST_CASE("a request that is made in the middle of an answer is refused, and the answer ends as it would have") {
  auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab");
  }});
  Transfers transfers;
  struct Asking : Collected {
    bool on_body(std::string_view bytes) override {
      CHECK_THROWS_AS(transfers->start(post(*server, "{}"), second), Error);
      return Collected::on_body(bytes);
    }
    Transfers* transfers = nullptr;
    const ScriptedServer* server = nullptr;
    Collected second;
  } first;
  first.transfers = &transfers;
  first.server = &server;
  transfers.start(post(server, "{}"), first);
  REQUIRE(run_until(transfers, [&] { return first.end.has_value(); }));
  CHECK(first.body == "ab");
  CHECK_FALSE(first.end->failure);
  CHECK_FALSE(first.second.end);
}

TEST_CASE("what is not taken is offered again after resume, and nothing is lost") {
  const std::string large(3 << 20, 'x');
  auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(large.size()) + "\r\n\r\n");
    peer.send(large);
  }});
  Transfers transfers;
  Collected answer;
  answer.closed = true;
  const auto id = transfers.start(post(server, "{}"), answer);
  // It hangs: neither bytes nor an end.
  CHECK_FALSE(run_until(
      transfers, [&] { return answer.end.has_value(); }, std::chrono::milliseconds{300}));
  CHECK(answer.body.empty());
  answer.closed = false;
  transfers.resume(id);
  REQUIRE(run_until(transfers, [&] { return answer.end.has_value(); }));
  CHECK(answer.body == large);
  CHECK_FALSE(answer.end->failure);
}

TEST_CASE("servers that cannot be reached, break off, or speak something else are told apart") {
  auto server = ScriptedServer::on_loopback({
      [](Peer& peer) {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
      },
      [](Peer& peer) {
        peer.request();
        peer.send("HTTP/1.1 200 OK\r\nX-Cut:");
      },
      [](Peer& peer) {
        peer.request();
        peer.wait_until_closed();
      },
  });
  Transfers transfers;
  for (int i = 0; i < 2; ++i) {
    Collected answer;
    transfers.start(post(server, "{}"), answer);
    REQUIRE(run_until(transfers, [&] { return answer.end.has_value(); }));
    CHECK(answer.end->failure == Transfers::Failure::BrokenOff);
  }
  Collected silent;
  auto patient = post(server, "{}");
  patient.idle_limit = std::chrono::seconds{1};
  transfers.start(patient, silent);
  REQUIRE(run_until(transfers, [&] { return silent.end.has_value(); }));
  CHECK(silent.end->failure == Transfers::Failure::TimedOut);
  Collected nobody;
  auto nowhere = post(server, "{}");
  nowhere.url = "http://127.0.0.1:1/";
  transfers.start(nowhere, nobody);
  REQUIRE(run_until(transfers, [&] { return nobody.end.has_value(); }));
  CHECK(nobody.end->failure == Transfers::Failure::Unreachable);
  Collected untrusted;
  auto tls = post(server, "{}");
  // Not TLS at all, which is not to be trusted either.
  tls.url = "https" + tls.url.substr(4);
  transfers.start(tls, untrusted);
  REQUIRE(run_until(transfers, [&] { return untrusted.end.has_value(); }));
  CHECK(untrusted.end->failure);
}

TEST_CASE("a transfer that is cancelled makes no further call, and its server sees the connection end") {
  bool closed = false;
  auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
                                               peer.request();
                                               peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
                                               peer.wait_until_closed();
                                               closed = true;
                                             },
                                             [](Peer& peer) {
                                               peer.request();
                                               peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
                                             }});
  Transfers transfers;
  Collected answer;
  const auto id = transfers.start(post(server, "{}"), answer);
  REQUIRE(run_until(transfers, [&] { return answer.body == "half"; }));
  transfers.cancel(id);
  transfers.cancel(id);
  Collected next;
  transfers.start(post(server, "{}"), next);
  REQUIRE(run_until(transfers, [&] { return next.end.has_value(); }));
  CHECK(closed);
  CHECK_FALSE(answer.end);
}
