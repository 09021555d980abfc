#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "guest/testing/guestd_process.hpp"
#include "guest/wire/files.hpp"
#include "guest/wire/frames.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"

// guestd against hosts that say what no host of ours says: what it takes, where its limits are, and that nothing of a
// session that broke them lasts.

namespace fireclaw::guest {
namespace {

using testing::GuestdProcess;
using testing::soon;
using wire::Type;

constexpr std::size_t largest = wire::max_payload_bytes;

/// The host's end of a stream, which sends what it is told to.
class RudeHost {
 public:
  struct Answer {
    Type type = Type::Ping;
    std::uint32_t channel = 0;
    std::string payload;
  };

  explicit RudeHost(sys::Fd stream) : stream_{std::move(stream)} { begin('a'); }

  /// Begins a session.
  void begin(char byte) {
    wire::Nonce nonce{};
    nonce.fill(byte);
    seal_ = wire::Seal{nonce};
    reader_ = wire::HostReader{nonce};
    std::string preamble;
    wire::append_preamble(preamble, nonce, 0);
    sys::write_all(stream_.get(), preamble, soon());
    CHECK(next().type == Type::Hello);
  }
  void send(Type type, std::uint32_t channel, std::string_view payload = {}) {
    std::string frame;
    wire::append_frame(frame, seal_, type, channel, payload);
    sys::write_all(stream_.get(), frame, soon());
  }
  template <class Message>
  void ask(Type type, std::uint32_t channel, const Message& message) {
    send(type, channel, wire::encode(message));
  }
  void exec(std::uint32_t channel, const std::string& line, bool has_stdin = false) {
    wire::Exec request;
    request.argv = {"/bin/sh", "-c", line};
    request.has_stdin = has_stdin;
    ask(Type::Exec, channel, request);
  }

  Answer next() {
    for (;;) {
      const auto event = reader_.next();
      REQUIRE(event.kind != wire::HostReader::Event::Kind::Broken);
      if (event.kind == wire::HostReader::Event::Kind::Frame) {
        return {event.frame.type, event.frame.channel, std::string{event.frame.payload}};
      }
      std::array<std::byte, 65536> bytes{};
      sys::require_fd(stream_.get(), POLLIN, soon(), "waiting for guestd");
      const auto got = sys::read_some(stream_.get(), bytes);
      REQUIRE(got > 0);
      reader_.input().append({reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(got)});
    }
  }
  /// The next of one of these types. What else comes is passed over.
  Answer await(const std::vector<Type>& types) {
    for (;;) {
      auto answer = next();
      if (std::ranges::find(types, answer.type) != types.end()) return answer;
    }
  }
  wire::Done await_done() {
    wire::Done done;
    CHECK(wire::decode(await({Type::Done}).payload, done));
    return done;
  }
  /// Why the session is over. It must be by now.
  int await_end() {
    for (;;) {
      const auto answer = await({Type::Done});
      wire::Done done;
      if (answer.channel == 0 && wire::decode(answer.payload, done)) return done.error;
    }
  }
  /// Whether a ping is answered, as it is in a session that lasts.
  bool lasts(std::uint32_t free_channel) {
    send(Type::Ping, free_channel);
    return await({Type::Done}).channel == free_channel;
  }
  /// What the frames cost that carry bulk data and come before a ping's answer.
  std::size_t bulk_before_ping(std::uint32_t free_channel) {
    send(Type::Ping, free_channel);
    std::size_t cost = 0;
    for (;;) {
      const auto answer = next();
      if (answer.type == Type::Done && answer.channel == free_channel) return cost;
      if (wire::is_metered(answer.type)) cost += wire::cost(answer.payload.size());
    }
  }

 private:
  sys::Fd stream_;
  wire::Seal seal_;
  wire::HostReader reader_{wire::Nonce{}};
};

/// A request of this length.
std::string request_of(std::size_t bytes) {
  wire::Exec request;
  request.argv = {"/there/is/no/such/program", ""};
  request.argv[1].assign(bytes - wire::encode(request).size(), 'x');
  return wire::encode(request);
}

TEST_CASE("what no host may send ends the session, and nothing of it lasts") {
  struct Row {
    const char* what;
    std::function<void(RudeHost&)> send;
  };
  const auto sleeps = [](RudeHost& host) {
    host.exec(1, "exec sleep 1000", true);
    CHECK(host.next().type == Type::Started);
  };
  const std::string payload(largest, 'x');
  wire::Exec sleep;
  sleep.argv = {"sleep", "1000"};
  const auto command = wire::encode(sleep);
  const std::vector<Row> rows{
      {"a request that is continued on another channel",
       [&](RudeHost& host) {
         host.send(Type::More, 1, command.substr(0, 5));
         host.send(Type::More, 2, command.substr(5, 5));
         host.send(Type::Exec, 2, command.substr(10));
       }},
      {"a request that ends on another channel",
       [&](RudeHost& host) {
         host.send(Type::More, 1, command.substr(0, 5));
         host.send(Type::Exec, 2, command.substr(5));
       }},
      {"a request that is too long before it ends",
       [&](RudeHost& host) {
         for (std::size_t sent = 0; sent < wire::max_request_bytes; sent += largest) host.send(Type::More, 1, payload);
         host.send(Type::More, 1, "x");
       }},
      {"a request that is too long by its end",
       [&](RudeHost& host) {
         const auto request = request_of(wire::max_request_bytes + 1);
         for (std::size_t sent = 0; sent < wire::max_request_bytes; sent += largest) {
           host.send(Type::More, 1, std::string_view{request}.substr(sent, largest));
         }
         host.send(Type::Exec, 1, std::string_view{request}.substr(wire::max_request_bytes));
       }},
      {"more input than the window allows, however much a pipe takes of it",
       [&](RudeHost& host) {
         sleeps(host);
         for (std::size_t sent = 0; sent < 3 * wire::window_bytes; sent += largest) host.send(Type::Stdin, 1, payload);
       }},
      {"a window that is wider than one can be",
       [&](RudeHost& host) {
         sleeps(host);
         host.ask(Type::Window, 1, wire::Window{1});
       }},
      {"a window that is not one",
       [&](RudeHost& host) {
         sleeps(host);
         host.send(Type::Window, 1, "x");
       }},
      {"signal 0",
       [&](RudeHost& host) {
         sleeps(host);
         host.ask(Type::Signal, 1, wire::Signal{0});
       }},
      {"signal 65",
       [&](RudeHost& host) {
         sleeps(host);
         host.ask(Type::Signal, 1, wire::Signal{65});
       }},
      {"a size of a terminal that is not one",
       [&](RudeHost& host) {
         sleeps(host);
         host.send(Type::Resize, 1, "x");
       }},
      {"an end of input with something in it",
       [&](RudeHost& host) {
         sleeps(host);
         host.send(Type::StdinEnd, 1, "x");
       }},
      {"input behind its end",
       [&](RudeHost& host) {
         sleeps(host);
         host.send(Type::StdinEnd, 1);
         host.send(Type::Stdin, 1, "x");
       }},
      {"input for a command that has none",
       [](RudeHost& host) {
         host.exec(1, "exec sleep 1000");
         host.send(Type::Stdin, 1, "x");
       }},
      {"files for a command",
       [&](RudeHost& host) {
         sleeps(host);
         host.send(Type::PutEnd, 1);
       }},
      {"input for files",
       [](RudeHost& host) {
         host.ask(Type::Put, 1, wire::Put{.target = "/nowhere", .name = "x", .owner = {}});
         host.send(Type::StdinEnd, 1);
       }},
      {"files where files are fetched",
       [](RudeHost& host) {
         host.ask(Type::Get, 1, wire::Get{"/proc/self/exe", true});
         host.send(Type::PutEnd, 1);
       }},
      {"an entry that is not one",
       [](RudeHost& host) {
         host.ask(Type::Put, 1, wire::Put{.target = "/nowhere", .name = "x", .owner = {}});
         host.send(Type::Entry, 1, "x");
       }},
      {"anything for a watch",
       [](RudeHost& host) {
         host.ask(Type::Watch, 1, wire::Watch{"/tmp/x"});
         host.send(Type::PutEnd, 1);
       }},
      {"a ping with something in it", [](RudeHost& host) { host.send(Type::Ping, 1, "x"); }},
      {"a request that is only an answer", [](RudeHost& host) { host.send(Type::Hello, 1); }},
      {"a request that only continues a channel", [](RudeHost& host) { host.send(Type::StdinEnd, 1); }},
      {"a command that is not one", [](RudeHost& host) { host.send(Type::Exec, 1, "x"); }},
  };
  for (const auto& [what, send] : rows) {
    CAPTURE(what);
    GuestdProcess guestd;
    RudeHost host{guestd.take_stream()};
    send(host);
    CHECK(host.await_end() == EPROTO);
    // The next session begins with nothing: no piece of a request, no channel.
    host.begin('b');
    CHECK(host.lasts(1));
    host.exec(2, "echo well");
    CHECK(host.await({Type::Stdout}).payload == "well\n");
  }
}

TEST_CASE("a command ends with the session that was broken, whether or not another one begins") {
  GuestdProcess guestd;
  RudeHost host{guestd.take_stream()};
  host.exec(1, "exec sleep 1000");
  wire::Started started;
  REQUIRE(wire::decode(host.await({Type::Started}).payload, started));
  const auto command = sys::identify(static_cast<pid_t>(started.pid));
  REQUIRE(command);
  const auto ended = sys::open_pidfd(*command);
  REQUIRE(ended);
  host.send(Type::Hello, 2);
  CHECK(host.await_end() == EPROTO);
  CHECK(sys::wait_fd(ended->get(), POLLIN, soon()) == sys::WaitResult::Ready);
}

TEST_CASE("what a host may send at the most is taken") {
  GuestdProcess guestd;
  RudeHost host{guestd.take_stream()};
  // The longest request, and the most input that may be under way.
  const auto request = request_of(wire::max_request_bytes);
  for (std::size_t sent = 0; sent + largest < request.size(); sent += largest) {
    host.send(Type::More, 1, std::string_view{request}.substr(sent, largest));
  }
  host.send(Type::Exec, 1, std::string_view{request}.substr(request.size() - largest));
  CHECK(host.next().type == Type::ExecFailed);

  host.exec(2, "exec sleep 1000", true);
  CHECK(host.next().type == Type::Started);
  // The pipe takes the first, which is as much as the host is told of at once.
  const std::string piece(largest - wire::header_bytes, 'x');
  host.send(Type::Stdin, 2, piece);
  CHECK(host.next().type == Type::Window);
  for (std::size_t cost = 0; cost < wire::window_bytes; cost += largest) host.send(Type::Stdin, 2, piece);
  CHECK(host.lasts(3));
  host.ask(Type::Signal, 2, wire::Signal{64});
  wire::Exit exit;
  REQUIRE(wire::decode(host.await({Type::Exit}).payload, exit));
  CHECK(exit.signal == 64);
  // The last words to a channel that has ended are nobody's.
  host.ask(Type::Signal, 2, wire::Signal{SIGKILL});
  host.send(Type::Close, 2);
  CHECK(host.lasts(4));
}

TEST_CASE("guestd sends no more than it was allowed to, to the byte") {
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  sys::write_file_atomic(folder.path() / "file", std::string(std::size_t{4} << 20, 'x'));
  for (const bool copies : {false, true}) {
    CAPTURE(copies);
    GuestdProcess guestd;
    RudeHost host{guestd.take_stream()};
    if (copies) {
      host.ask(Type::Get, 1, wire::Get{folder.path() / "file", false});
    } else {
      host.exec(1, "yes");
    }
    std::uint32_t channel = 2;
    std::size_t sent = 0;
    constexpr std::size_t piece = std::size_t{32} << 10;
    while (sent + wire::cost(piece) <= wire::window_bytes) sent += host.bulk_before_ping(channel++);
    CHECK(sent <= wire::window_bytes);
    // So that what may still be sent is a piece without its header.
    const auto left = wire::window_bytes - sent;
    if (copies) {
      REQUIRE(left < piece);
      host.ask(Type::Window, 1, wire::Window{static_cast<std::uint32_t>(piece - left)});
    }
    const auto allowed = copies ? wire::window_bytes + piece - left : wire::window_bytes;
    for (int look = 0; look < 50; ++look) sent += host.bulk_before_ping(channel++);
    CHECK(sent <= allowed);
  }
}

TEST_CASE("there is a limit to what is under way at once, and what is closed makes room") {
  GuestdProcess guestd;
  RudeHost host{guestd.take_stream()};
  constexpr std::uint32_t most = 256;
  const wire::Put put{.target = "/nowhere", .name = "x", .owner = {}};
  for (std::uint32_t channel = 1; channel <= most; ++channel) host.ask(Type::Put, channel, put);
  CHECK(host.lasts(most + 1));
  host.ask(Type::Put, most + 2, put);
  CHECK(host.await_done().error == EAGAIN);
  host.exec(most + 3, "true");
  wire::ExecFailed failed;
  REQUIRE(wire::decode(host.next().payload, failed));
  CHECK(failed.error == EAGAIN);
  host.ask(Type::FileCall, most + 4, wire::FileCall{.path = "/", .user = {}});
  CHECK(host.next().type == Type::ExecFailed);
  host.send(Type::Close, most);
  host.exec(most + 5, "true");
  CHECK(host.next().type == Type::Started);
}

TEST_CASE("a watch is of a file with a full path") {
  GuestdProcess guestd;
  RudeHost host{guestd.take_stream()};
  std::uint32_t channel = 1;
  for (const auto* path : {"", "tmp/x", "/tmp/", "/tmp/.", "/tmp/.."}) {
    CAPTURE(path);
    host.ask(Type::Watch, channel++, wire::Watch{path});
    CHECK(host.await_done().error == EINVAL);
  }
  host.ask(Type::Watch, channel++, wire::Watch{"/proc/self/exe/x"});
  CHECK(host.await_done().error == ENOTDIR);
  host.ask(Type::Watch, channel++, wire::Watch{"/tmp/x"});
  CHECK(host.next().type == Type::Started);
}

TEST_CASE("content that is not sent to its end changes no file, and leaves none") {
  for (const bool append : {false, true}) {
    for (const bool exists : {false, true}) {
      for (const std::string sent : {"", "some of it"}) {
        CAPTURE(append);
        CAPTURE(exists);
        CAPTURE(sent);
        const sys::TempDir folder{"/tmp", "fireclaw-test-"};
        const auto file = folder.path() / "file";
        if (exists) sys::write_file_atomic(file, "old");
        GuestdProcess guestd;
        RudeHost host{guestd.take_stream()};
        host.ask(
            Type::FileCall, 1,
            wire::FileCall{
                .verb = wire::FileVerb::Write, .path = file, .user = {}, .append = append, .size = sent.size() + 1});
        if (!sent.empty()) host.send(Type::Stdin, 1, sent);
        host.send(Type::StdinEnd, 1);
        wire::FileAnswer answer;
        REQUIRE(wire::decode(host.await({Type::Stderr}).payload, answer));
        CHECK(answer.error == ECANCELED);
        CHECK(answer.message == "'" + file.string() + "' was not sent to its end");
        host.await({Type::Exit});
        const std::filesystem::directory_iterator left{folder.path()};
        CHECK(std::distance(begin(left), end(left)) == (exists ? 1 : 0));
        if (exists) CHECK(sys::read_file(file) == "old");
      }
    }
  }
}

TEST_CASE("a name with a NUL in it is not that of what is before the NUL") {
  GuestdProcess guestd;
  RudeHost host{guestd.take_stream()};
  std::uint32_t channel = 1;
  for (const auto verb : {wire::FileVerb::Stat, wire::FileVerb::Read, wire::FileVerb::List}) {
    host.ask(Type::FileCall, channel++, wire::FileCall{.verb = verb, .path = std::string{"/\0x", 3}, .user = {}});
    wire::FileAnswer answer;
    REQUIRE(wire::decode(host.await({Type::Stderr}).payload, answer));
    CHECK(answer.error == EINVAL);
  }
}

}  // namespace
}  // namespace fireclaw::guest
