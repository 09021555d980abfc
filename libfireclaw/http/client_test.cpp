#include "http/client.hpp"

#include <doctest/doctest.h>

#include <thread>

#include "fireclaw/error.hpp"
#include "http/scripted_server.hpp"
#include "sys/file.hpp"
#include "sys/socket.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::http {
namespace {

using namespace std::chrono_literals;
using sys::testing::code_of;
using test::Peer;
using test::ScriptedServer;

Limits limits() { return {Deadline::after(10s), {}, 1 << 20}; }

std::string message_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

TEST_CASE("a request over a Unix socket carries method, path and body, and nothing waits for 100-continue") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  std::string seen;
  const auto server = ScriptedServer::on_unix_socket(directory.path() / "s", {[&](Peer& peer) {
                                                       seen = peer.request();
                                                       peer.send("HTTP/1.1 204 No Content\r\n\r\n");
                                                       peer.wait_until_closed();
                                                     }});
  Response response;
  {
    auto client = Client::over_unix_socket(directory.path() / "s");
    response = client.send({"PUT", "/actions", std::string(5000, 'x')}, limits());
  }
  CHECK(response.status == 204);
  CHECK(response.body.empty());
  CHECK(seen.starts_with("PUT /actions HTTP/1.1\r\n"));
  CHECK(seen.find("Expect:") == std::string::npos);
  CHECK(seen.find("Content-Type: application/json") != std::string::npos);
  CHECK(seen.ends_with("\r\n\r\n" + std::string(5000, 'x')));
}

TEST_CASE("several requests share one connection") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto answer_two = [](Peer& peer) {
    for (int i = 0; i < 2; ++i) {
      if (peer.request().empty()) return;
      peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    }
    peer.wait_until_closed();
  };
  const auto server = ScriptedServer::on_unix_socket(directory.path() / "s", {answer_two});
  auto client = Client::over_unix_socket(directory.path() / "s");
  CHECK(client.send({"GET", "/a", {}}, limits()).body == "ok");
  CHECK(client.send({"PATCH", "/b", "{}"}, limits()).status == 200);
}

TEST_CASE("a connection that the server closed between two requests is opened again") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto answer_once = [](Peer& peer) {
    (void)peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
  };
  const auto server = ScriptedServer::on_unix_socket(directory.path() / "s", {answer_once, answer_once});
  auto client = Client::over_unix_socket(directory.path() / "s");
  CHECK(client.send({"GET", "/", {}}, limits()).status == 200);
  CHECK(client.send({"GET", "/", {}}, limits()).status == 200);
}

TEST_CASE("a socket path longer than an address structure works") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto deep = directory.path() / std::string(120, 'd');
  sys::make_directories(deep);
  const auto server = ScriptedServer::on_unix_socket(deep / "s", {[](Peer& peer) {
                                                       (void)peer.request();
                                                       peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
                                                     }});
  auto client = Client::over_unix_socket(deep / "s");
  CHECK(client.send({}, limits()).body == "hi");
}

TEST_CASE("a missing socket and one that nobody listens on are told apart") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto path = directory.path() / "s";
  auto client = Client::over_unix_socket(path);
  CHECK(code_of([&] { client.send({}, limits()); }) == ErrorCode::NotFound);
  { const auto server = ScriptedServer::on_unix_socket(path, {}); }
  REQUIRE(std::filesystem::exists(path));
  CHECK(code_of([&] { client.send({}, limits()); }) == ErrorCode::Io);
  CHECK(message_of([&] { client.send({}, limits()); }).find("connection refused") != std::string::npos);
}

TEST_CASE("a server that never answers runs into the deadline") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto server =
      ScriptedServer::on_unix_socket(directory.path() / "s", {[](Peer& peer) { peer.wait_until_closed(); }});
  auto client = Client::over_unix_socket(directory.path() / "s");
  const auto before = std::chrono::steady_clock::now();
  CHECK(code_of([&] { client.send({}, {Deadline::after(50ms), {}, 100}); }) == ErrorCode::Timeout);
  const auto took = std::chrono::steady_clock::now() - before;
  CHECK(took >= 50ms);
  CHECK(took < 5s);
}

TEST_CASE("a stop request ends a waiting request at once") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  std::stop_source stop;
  const auto server = ScriptedServer::on_unix_socket(directory.path() / "s", {[&](Peer& peer) {
                                                       (void)peer.request();
                                                       stop.request_stop();
                                                       peer.wait_until_closed();
                                                     }});
  auto client = Client::over_unix_socket(directory.path() / "s");
  CHECK(code_of([&] { client.send({}, {Deadline::after(20s), stop.get_token(), 100}); }) == ErrorCode::Cancelled);
}

TEST_CASE("answers that are cut off, garbage or endless are errors that name the request") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto path = directory.path() / "s";
  std::string answer;
  SUBCASE("cut off in the body") { answer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"; }
  SUBCASE("cut off in the head") { answer = "HTTP/1.1 200 OK\r\nContent-"; }
  SUBCASE("not HTTP") { answer = "220 mail.example ESMTP\r\n"; }
  SUBCASE("nothing at all") { answer = ""; }
  SUBCASE("a head without an end") { answer = "HTTP/1.1 200 OK\r\n" + std::string(100'000, 'x'); }
  SUBCASE("a length that says more than all memory") {
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\n";
  }
  SUBCASE("longer than allowed") {
    answer = "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n" + std::string(2'000'000, 'x');
  }
  const auto server = ScriptedServer::on_unix_socket(path, {[&](Peer& peer) {
                                                       (void)peer.request();
                                                       peer.send(answer);
                                                     }});
  auto client = Client::over_unix_socket(path);
  const auto send = [&] { client.send({"GET", "/vm/config", {}}, limits()); };
  try {
    send();
    FAIL("was accepted");
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Io);
    CHECK(std::string{error.what()}.find("GET /vm/config") != std::string::npos);
  }
}

TEST_CASE("an answer may come in many pieces") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  std::vector<ScriptedServer::Step> script{[](Peer& peer) {
    (void)peer.request();
    for (const char c : std::string_view{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"}) peer.send({&c, 1});
  }};
  const auto server = ScriptedServer::on_unix_socket(directory.path() / "s", std::move(script));
  auto client = Client::over_unix_socket(directory.path() / "s");
  CHECK(client.send({}, limits()).body == "hello");
}

TEST_CASE("what a server says beyond its answer is not taken for the next answer") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  std::vector<ScriptedServer::Step> script{[](Peer& peer) {
                                             (void)peer.request();
                                             peer.send(
                                                 "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n"
                                                 "Content-Length: 5\r\n\r\nfalse");
                                             peer.wait_until_closed();
                                           },
                                           [](Peer& peer) {
                                             (void)peer.request();
                                             peer.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ntrue");
                                           }};
  const auto server = ScriptedServer::on_unix_socket(directory.path() / "s", std::move(script));
  auto client = Client::over_unix_socket(directory.path() / "s");
  CHECK(client.send({"PUT", "/", {}}, limits()).status == 204);
  CHECK(client.send({"GET", "/", {}}, limits()).body == "true");
}

TEST_CASE("a link in the place of the socket is not followed") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto server = ScriptedServer::on_unix_socket(directory.path() / "elsewhere", {});
  std::filesystem::create_symlink("elsewhere", directory.path() / "s");
  auto client = Client::over_unix_socket(directory.path() / "s");
  CHECK(code_of([&] { client.send({}, limits()); }) == ErrorCode::InvalidState);
}

TEST_CASE("a server whose queue is full is an error, not a wait") {
  const sys::TempDir directory{"/tmp", "fireclaw-http"};
  const auto path = directory.path() / "s";
  const auto listener = sys::unix_listen(path, 0);
  std::vector<sys::Fd> waiting;
  ErrorCode refused{};
  while (refused != ErrorCode::Io && waiting.size() < 10) {
    try {
      waiting.push_back(sys::unix_connect(path, sys::Links::Follow, sys::FullQueue::Refuse));
    } catch (const Error& problem) {
      refused = problem.code();
    }
  }
  auto client = Client::over_unix_socket(path);
  CHECK(code_of([&] { client.send({}, limits()); }) == ErrorCode::Io);
}

}  // namespace
}  // namespace fireclaw::http
