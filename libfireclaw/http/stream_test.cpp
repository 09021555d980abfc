#include "http/stream.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <string>

#include "base/deadline.hpp"
#include "http/scripted_server.hpp"
#include "sys/poll.hpp"

using namespace fireclaw;
using http::Stream;
using http::test::Peer;
using http::test::ScriptedServer;

namespace {

/// Keeps what it is given.
struct Collected : Stream::Handler {
  void on_open() override { open = true; }
  bool on_bytes(std::string_view bytes) override {
    if (closed) return false;
    received += bytes;
    return true;
  }
  void on_sent() override { ++sent; }
  void on_end(const Stream::End& how) override { end = how; }

  bool open = false;
  bool closed = false;
  int sent = 0;
  std::string received;
  std::optional<Stream::End> end;
};

void run_until(Stream& stream, const std::function<bool()>& done) {
  const auto deadline = Deadline::after(std::chrono::seconds{20});
  while (!done()) {
    sys::require_fd(stream.fd(), POLLIN, deadline, "a stream");
    stream.run();
  }
}

Stream::Target target_of(std::uint16_t port) {
  Stream::Target target;
  target.host = "127.0.0.1";
  target.port = port;
  return target;
}

}  // namespace

TEST_CASE("bytes pass both ways, and a server that closes is noticed behind the last of them") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    peer.send("welcome\r\n");
    if (peer.until("\r\n") == "hello\r\n") peer.send("bye\r\n");
  }});
  Collected seen;
  Stream stream{target_of(server.port()), seen};
  run_until(stream, [&] { return seen.open; });
  stream.send("hello\r\n");
  run_until(stream, [&] { return seen.end.has_value(); });
  CHECK(seen.received == "welcome\r\nbye\r\n");
  CHECK_FALSE(seen.end->failure);
}

TEST_CASE("what is not taken waits, and what the server does not take is kept and said when it is gone") {
  constexpr std::size_t bytes = std::size_t{32} << 20;
  std::promise<void> go;
  std::size_t arrived = 0;
  const auto server = ScriptedServer::on_loopback({[&](Peer& peer) {
    peer.send("one");
    go.get_future().wait();
    arrived = peer.until("end").size();
    peer.send("two");
  }});
  Collected seen;
  seen.closed = true;
  Stream stream{target_of(server.port()), seen};
  run_until(stream, [&] { return seen.open; });
  stream.send(std::string(bytes, 'x') + "end");
  CHECK(stream.unsent() > 0);
  go.set_value();
  run_until(stream, [&] { return seen.sent > 0; });
  CHECK(stream.unsent() == 0);
  CHECK(seen.received.empty());
  seen.closed = false;
  stream.resume();
  CHECK(seen.received.starts_with("one"));
  run_until(stream, [&] { return seen.end.has_value(); });
  CHECK(seen.received == "onetwo");
  CHECK(arrived == bytes + 3);
}

TEST_CASE("an address that is not admitted is not connected to, and nobody is an unreachable server") {
  const auto server = ScriptedServer::on_loopback({});
  for (const bool admitted : {false, true}) {
    Collected seen;
    auto target = target_of(server.port());
    target.admits = [&](const sockaddr& address) {
      CHECK(address.sa_family == AF_INET);
      return admitted;
    };
    Stream stream{target, seen};
    run_until(stream, [&] { return seen.end || seen.open; });
    CHECK(seen.open == admitted);
    if (!admitted) CHECK(seen.end->failure == http::Failure::Unreachable);
  }
  Collected seen;
  Stream stream{target_of(1), seen};
  run_until(stream, [&] { return seen.end.has_value(); });
  CHECK(seen.end->failure == http::Failure::Unreachable);
}

TEST_CASE("a server that does not speak TLS is not trusted") {
  const auto server = ScriptedServer::on_loopback({[](Peer& peer) {
    peer.send(":irc.test NOTICE * :hello\r\n");
    peer.wait_until_closed();
  }});
  Collected seen;
  auto target = target_of(server.port());
  target.tls = true;
  Stream stream{target, seen};
  run_until(stream, [&] { return seen.end.has_value(); });
  CHECK(seen.end->failure == http::Failure::Untrusted);
}
