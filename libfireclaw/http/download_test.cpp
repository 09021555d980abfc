#include "http/download.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <atomic>

#include "fireclaw/error.hpp"
#include "http/scripted_server.hpp"
#include "sys/digest.hpp"
#include "sys/file.hpp"
#include "sys/testing/file_calls.hpp"

namespace fireclaw::http {
namespace {

using namespace std::chrono_literals;
using test::Peer;
using test::ScriptedServer;
using Script = std::vector<ScriptedServer::Step>;

const std::string content(300'000, 'k');

std::string ok(std::string_view body) {
  return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", body.size(), body);
}

std::string status(std::string_view line) {
  return fmt::format("HTTP/1.1 {}\r\nContent-Length: 4\r\nConnection: close\r\n\r\noops", line);
}

ScriptedServer::Step say(std::string text) {
  return [text = std::move(text)](Peer& peer) {
    (void)peer.request();
    peer.send(text);
  };
}

struct Fixture {
  sys::TempDir directory{"/tmp", "fireclaw-download"};
  std::filesystem::path target = directory.path() / "kernel";
  std::filesystem::path part = directory.path() / "kernel.part";
  DownloadOptions options;

  Fixture() {
    options.deadline = Deadline::after(20s);
    options.sha256 = sys::sha256_hex(content);
  }
  ErrorCode failure(const std::string& url) {
    try {
      download(url, target, options);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::Internal;
  }
};

TEST_CASE_FIXTURE(Fixture, "a download arrives whole, with progress, and leaves no part behind") {
  const auto server = ScriptedServer::on_loopback(Script{say(ok(content))});
  std::uint64_t last = 0;
  std::uint64_t all = 0;
  options.progress = [&](std::uint64_t done, std::uint64_t total) {
    CHECK(done > last);
    last = done;
    all = total;
  };
  const Downloaded result = download(server.url("/k"), target, options);
  CHECK(result.bytes == content.size());
  CHECK(result.sha256 == sys::sha256_hex(content));
  CHECK(result.resumed_bytes == 0);
  CHECK(last == content.size());
  CHECK(all == content.size());
  CHECK(sys::read_file(target) == content);
  CHECK_FALSE(std::filesystem::exists(part));
}

TEST_CASE_FIXTURE(Fixture, "a lost connection leaves a part that the next call completes") {
  std::string second;
  const auto server = ScriptedServer::on_loopback(Script{
      say(fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", content.size(), content.substr(0, 100'000))),
      [&](Peer& peer) {
        second = peer.request();
        peer.send(
            fmt::format("HTTP/1.1 206 Partial Content\r\nContent-Length: {}\r\n"
                        "Content-Range: bytes 100000-299999/300000\r\nConnection: close\r\n\r\n{}",
                        200'000, content.substr(100'000)));
      }});
  CHECK(failure(server.url("/k")) == ErrorCode::Io);
  CHECK(sys::read_file(part).size() == 100'000);
  CHECK_FALSE(std::filesystem::exists(target));
  CHECK(download(server.url("/k"), target, options).resumed_bytes == 100'000);
  CHECK(second.find("Range: bytes=100000-\r\n") != std::string::npos);
  CHECK(sys::read_file(target) == content);
}

TEST_CASE_FIXTURE(Fixture, "a server that knows no ranges sends the whole file again") {
  sys::write_file_atomic(part, content.substr(0, 777));
  const auto server = ScriptedServer::on_loopback(Script{say(ok(content))});
  CHECK(download(server.url("/k"), target, options).bytes == content.size());
  CHECK(sys::read_file(target) == content);
}

TEST_CASE_FIXTURE(Fixture, "a part of another file is found out by the digest and fetched again") {
  sys::write_file_atomic(part, std::string(100'000, 'z'));
  const auto server = ScriptedServer::on_loopback(
      Script{say(fmt::format("HTTP/1.1 206 Partial Content\r\nContent-Length: 200000\r\nConnection: close\r\n"
                             "Content-Range: bytes 100000-299999/300000\r\n\r\n{}",
                             content.substr(100'000))),
             say(ok(content))});
  const Downloaded result = download(server.url("/k"), target, options);
  CHECK(result.resumed_bytes == 0);
  CHECK(sys::read_file(target) == content);
}

TEST_CASE_FIXTURE(Fixture, "a part that is whole already only needs its name") {
  sys::write_file_atomic(part, content);
  const auto server = ScriptedServer::on_loopback(Script{say(status("416 Range Not Satisfiable"))});
  CHECK(download(server.url("/k"), target, options).resumed_bytes == content.size());
  CHECK(sys::read_file(target) == content);
}

TEST_CASE_FIXTURE(Fixture, "without a digest nothing is resumed") {
  sys::write_file_atomic(part, content.substr(0, 777));
  options.sha256.clear();
  std::string request;
  const auto server = ScriptedServer::on_loopback(Script{[&](Peer& peer) {
    request = peer.request();
    peer.send(ok(content));
  }});
  CHECK(download(server.url("/k"), target, options).sha256 == sys::sha256_hex(content));
  CHECK(request.find("Range:") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "bytes from another offset than asked for are refused") {
  sys::write_file_atomic(part, content.substr(0, 777));
  const auto server = ScriptedServer::on_loopback(
      Script{say("HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\nContent-Range: bytes 0-3/300000\r\n\r\nkkkk")});
  CHECK(failure(server.url("/k")) == ErrorCode::Io);
  CHECK(sys::read_file(part) == content.substr(0, 777));
}

TEST_CASE_FIXTURE(Fixture, "a wrong digest leaves neither file nor part") {
  const auto server = ScriptedServer::on_loopback(Script{say(ok("something else"))});
  CHECK(failure(server.url("/k")) == ErrorCode::Corrupt);
  CHECK_FALSE(std::filesystem::exists(target));
  CHECK_FALSE(std::filesystem::exists(part));
}

TEST_CASE_FIXTURE(Fixture, "an existing file stays as it was when the new one is bad") {
  sys::write_file_atomic(target, "old");
  const auto server = ScriptedServer::on_loopback(Script{say(ok("something else"))});
  CHECK(failure(server.url("/k")) == ErrorCode::Corrupt);
  CHECK(sys::read_file(target) == "old");
}

TEST_CASE_FIXTURE(Fixture, "statuses become error codes, and an error page never becomes the file") {
  const auto server = ScriptedServer::on_loopback(
      Script{say(status("404 Not Found")), say(status("403 Forbidden")), say(status("500 Internal Server Error"))});
  CHECK(failure(server.url("/k")) == ErrorCode::NotFound);
  CHECK(failure(server.url("/k")) == ErrorCode::PermissionDenied);
  CHECK(failure(server.url("/k")) == ErrorCode::Io);
  CHECK_FALSE(std::filesystem::exists(target));
}

TEST_CASE_FIXTURE(Fixture, "redirects are followed, but not for ever") {
  const auto around =
      say("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 7\r\nConnection: close\r\n\r\nIgnored");
  SUBCASE("two of them") {
    const auto server = ScriptedServer::on_loopback(Script{around, around, say(ok(content))});
    CHECK(download(server.url("/k"), target, options).bytes == content.size());
    CHECK(sys::read_file(target) == content);
  }
  SUBCASE("a loop") {
    const auto server = ScriptedServer::on_loopback(Script(10, around));
    CHECK(failure(server.url("/k")) == ErrorCode::Io);
  }
  SUBCASE("to something that is not http") {
    const auto server = ScriptedServer::on_loopback(
        Script{say("HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n")});
    CHECK(failure(server.url("/k")) == ErrorCode::InvalidArgument);
    CHECK_FALSE(std::filesystem::exists(target));
  }
}

TEST_CASE("a URL that was secure is redirected to secure ones only") {
  using namespace std::string_view_literals;
  for (const auto* url : {"https://a.example/k", "HTTPS://a.example/k"}) CHECK(redirect_protocols(url) == "https"sv);
  for (const auto* url : {"http://a.example/k", "httpsx://a.example/k"}) {
    CHECK(redirect_protocols(url) == "http,https"sv);
  }
}

TEST_CASE_FIXTURE(Fixture, "a download is on disk before it has its name, and its name is too when it returns") {
  const auto server = ScriptedServer::on_loopback(Script{say(ok(content))});
  const sys::testing::FileCalls calls{directory.path(), [&] {
                                        if (!std::filesystem::exists(target)) return;
                                        CHECK(sys::read_file(target) == content);
                                      }};
  download(server.url("/k"), target, options);
  CHECK(calls.lines() == std::vector<std::string>{"create kernel.part", "write kernel.part", "sync kernel.part",
                                                  "rename kernel.part -> kernel", "sync ."});
}

TEST_CASE_FIXTURE(Fixture, "a file larger than allowed is refused as soon as its size is known") {
  options.max_bytes = content.size() - 1;
  const auto server = ScriptedServer::on_loopback(Script{say(ok(content)), say(ok(content))});
  CHECK(failure(server.url("/k")) == ErrorCode::InvalidArgument);
  CHECK(std::filesystem::is_empty(part));
  options.max_bytes = content.size();
  CHECK(download(server.url("/k"), target, options).bytes == content.size());
}

TEST_CASE_FIXTURE(Fixture, "a stalled download can be cancelled and ends at the deadline") {
  const auto stall = [](Peer& peer) {
    (void)peer.request();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\nkkk");
    peer.wait_until_closed();
  };
  const auto server = ScriptedServer::on_loopback(Script{stall, stall});
  std::stop_source stop;
  options.stop = stop.get_token();
  options.progress = [&](std::uint64_t, std::uint64_t) { stop.request_stop(); };
  CHECK(failure(server.url("/k")) == ErrorCode::Cancelled);
  options.stop = {};
  options.progress = {};
  options.deadline = Deadline::after(100ms);
  CHECK(failure(server.url("/k")) == ErrorCode::Timeout);
}

TEST_CASE_FIXTURE(Fixture, "two downloads of one file do not mix") {
  std::optional<ErrorCode> inner;
  const auto server = ScriptedServer::on_loopback(Script{say(ok(content))});
  options.progress = [&](std::uint64_t, std::uint64_t) {
    if (inner) return;
    DownloadOptions other = options;
    other.progress = {};
    try {
      download(server.url("/k"), target, other);
    } catch (const Error& error) {
      inner = error.code();
    }
  };
  download(server.url("/k"), target, options);
  CHECK(inner == ErrorCode::InvalidState);
  CHECK(sys::read_file(target) == content);
}

TEST_CASE_FIXTURE(Fixture, "a small answer stays in memory, and one that is not small is refused") {
  const auto server =
      ScriptedServer::on_loopback(Script{say(ok("[]")), say(ok(content)), say(status("404 Not Found")), say(ok(""))});
  CHECK(fetch_text(server.url("/tags"), options) == "[]");
  options.max_bytes = content.size() - 1;
  CHECK_THROWS_WITH_AS((void)fetch_text(server.url("/tags"), options), doctest::Contains("at most"), Error);
  CHECK_THROWS_WITH_AS((void)fetch_text(server.url("/tags"), options), doctest::Contains("answered 404"), Error);
  CHECK(fetch_text(server.url("/tags"), options).empty());
  CHECK_THROWS_WITH_AS((void)fetch_text("file:///etc/passwd", options), doctest::Contains("not an http"), Error);
  CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE_FIXTURE(Fixture, "only http and https are fetched") {
  CHECK(failure("file:///etc/passwd") == ErrorCode::InvalidArgument);
  CHECK(failure("/etc/passwd") == ErrorCode::InvalidArgument);
}

}  // namespace
}  // namespace fireclaw::http
