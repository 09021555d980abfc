#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include <future>
#include <string>

#include "guest/testing/fake_guest.hpp"
#include "guest/testing/guestd_process.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::guest {
namespace {

using namespace std::chrono_literals;
using sys::testing::error_of;
using testing::FakeGuest;
using testing::GuestdProcess;
using testing::sh;
using testing::some_identity;
using testing::soon;
using wire::Type;

wire::Nonce nonce_of(char byte) {
  wire::Nonce nonce{};
  nonce.fill(byte);
  return nonce;
}

TEST_CASE("a guest is configured and runs its first command in one round trip") {
  GuestdProcess guestd;
  Opened opened = Session::open_and_start(guestd.take_stream(), {}, some_identity(), sh("cat; exit 3"), soon());
  CHECK(opened.process.wait().exit_code == 3);
  CHECK(opened.session.exec(sh("echo more")).out == "more\n");

  // And everything was sent before anything was answered.
  FakeGuest fake{[](FakeGuest& guest) {
    guest.await_preamble();
    CHECK(guest.await_frame().type == Type::Configure);
    const wire::Frame exec = guest.await_frame();
    CHECK(exec.type == Type::Exec);
  }};
  CHECK_THROWS_AS(Session::open_and_start(fake.take_stream(), {}, some_identity(), sh("true"), soon()), Error);
}

TEST_CASE("a command is not run in a guest that could not be configured") {
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  const std::string trace = folder.path() / "ran";
  Identity identity = some_identity();
  identity.machine_id = "not a machine id";
  GuestdProcess guestd;
  const auto [code, text] = error_of(
      [&] { Session::open_and_start(guestd.take_stream(), {}, identity, sh("touch '" + trace + "'"), soon()); });
  CHECK(code == ErrorCode::InvalidArgument);
  CHECK(text == "configuring the guest: 'not a machine id' is not a valid machine id");
  CHECK_FALSE(std::filesystem::exists(trace));
}

TEST_CASE("what makes no sense in an identity is refused by its name") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const auto changed = [](const std::function<void(Identity&)>& change) {
    Identity identity = some_identity();
    identity.interface.emplace();
    identity.interface->address = "172.16.0.5/24";
    identity.interface->gateway = "172.16.0.1";
    identity.interface->mac = "02:fc:00:00:00:05";
    identity.nameservers = {"172.16.0.1"};
    change(identity);
    return identity;
  };
  const auto refusal = [&](const std::function<void(Identity&)>& change) {
    return error_of([&] { session.configure(changed(change), soon()); }).second;
  };
  CHECK_NOTHROW(session.configure(changed([](Identity&) {}), soon()));
  CHECK(refusal([](Identity& i) { i.hostname = "two words"; }).ends_with("'two words' is not a valid host name"));
  CHECK(refusal([](Identity& i) { i.hostname = std::string(65, 'x'); }).ends_with("is not a valid host name"));
  CHECK(refusal([](Identity& i) { i.hostname = "-x"; }).ends_with("is not a valid host name"));
  CHECK(
      refusal([](Identity& i) { i.nameservers = {"one"}; }).ends_with("'one' is not a valid address of a name server"));
  for (const std::string address : {"172.16.0.5", "172.16.0.5/33", "172.16.0/24", "x/24", "/24"})
    CHECK(refusal([&](Identity& i) { i.interface->address = address; }).find("is not a valid address with prefix") !=
          std::string::npos);
  CHECK(refusal([](Identity& i) { i.interface->gateway = "gw"; }).ends_with("'gw' is not a valid gateway address"));
  for (const std::string mac : {"02:fc:00:00:00", "02:fc:00:00:00:0g", "03:fc:00:00:00:05", "02-fc-00-00-00-05"})
    CHECK(refusal([&](Identity& i) { i.interface->mac = mac; }).ends_with("is not a valid hardware address"));
  CHECK(refusal([](Identity& i) { i.interface->name = std::string(16, 'e'); }).ends_with("network interface"));
  CHECK(refusal([](Identity& i) { i.interface->address.clear(); }).find("without address") != std::string::npos);
}

TEST_CASE("bytes left over from others before the greeting are skipped") {
  FakeGuest fake{[](FakeGuest& guest) {
    std::string stale(100000, 'x');
    wire::append_greeting(stale, nonce_of('z'));
    wire::append_frame(stale, wire::Seal{nonce_of('z')}, Type::Stdout, 1, "old output");
    guest.send_raw(stale);
    guest.greet();
    guest.send_done(guest.await_frame().channel);
    guest.await_hang_up();
  }};
  Session session = Session::open(fake.take_stream(), {}, {}, soon());
  session.ping(soon());
}

TEST_CASE("a session is taken up on a stream whose last host died in the middle of a frame") {
  for (const std::size_t written : {std::size_t{1}, std::size_t{5}, std::size_t{15}, std::size_t{16}, std::size_t{17},
                                    std::size_t{40}, std::size_t{30000}}) {
    CAPTURE(written);
    GuestdProcess guestd;
    const sys::Fd stream = guestd.take_stream();
    // The host that is to die starts a flood that nobody reads, and something that is cut off.
    wire::Exec flood;
    flood.argv = {"yes"};
    const wire::Seal seal{nonce_of('d')};
    std::string bytes;
    wire::append_preamble(bytes, nonce_of('d'), 0);
    wire::append_frame(bytes, seal, Type::Exec, 1, wire::encode(flood));
    std::string cut;
    wire::append_frame(cut, seal, Type::Exec, 2, std::string(60000, 'c'));
    bytes += cut.substr(0, written);
    sys::write_all(stream.get(), bytes);
    sys::require_fd(stream.get(), POLLIN, soon(), "waiting for the flood");
    Session session = Session::open(sys::duplicate(stream.get()), {}, some_identity(), soon());
    CHECK(session.exec(sh("echo new")).out == "new\n");
    // The flood ended with its session.
    CHECK(session.exec(sh("ps -o comm= --ppid $PPID | grep -c yes")).out == "0\n");
  }
}

/// Between a host and guestd: hands on what the host says only when told to.
class Dam {
 public:
  explicit Dam(sys::Fd guest_side) : guest_{std::move(guest_side)}, ends_{sys::socket_pair()} {}
  sys::Fd take_stream() { return std::move(ends_.first); }
  /// Holds back what the host says until it is at least `bytes`.
  void hold(std::size_t bytes) {
    while (held_.size() < bytes) {
      sys::require_fd(ends_.second.get(), POLLIN, soon(), "waiting for the host");
      char buffer[65536];
      const std::ptrdiff_t got = sys::read_some(ends_.second.get(), std::as_writable_bytes(std::span{buffer}));
      if (got <= 0) throw Error{ErrorCode::Io, "the host hung up"};
      held_.append(buffer, static_cast<std::size_t>(got));
    }
  }
  /// Lets everything through, both ways, until the host hangs up.
  void open() {
    sys::write_all(guest_.get(), held_);
    for (;;) {
      pollfd waits[] = {{ends_.second.get(), POLLIN, 0}, {guest_.get(), POLLIN, 0}};
      if (sys::retry([&] { return ::poll(waits, 2, 20000); }) <= 0) throw Error{ErrorCode::Timeout, "nothing moves"};
      if (waits[0].revents != 0 && !pass(ends_.second, guest_)) return;
      if (waits[1].revents != 0 && !pass(guest_, ends_.second)) return;
    }
  }

 private:
  static bool pass(const sys::Fd& from, const sys::Fd& to) try {
    char buffer[65536];
    const std::ptrdiff_t got = sys::read_some(from.get(), std::as_writable_bytes(std::span{buffer}));
    if (got <= 0) return false;
    sys::write_all(to.get(), std::string_view{buffer, static_cast<std::size_t>(got)}, soon());
    return true;
  } catch (const Error&) {
    return false;
  }

  sys::Fd guest_;
  std::pair<sys::Fd, sys::Fd> ends_;
  std::string held_;
};

TEST_CASE("a greeting repeated because the guest was slow does not run the command twice") {
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  const std::string trace = folder.path() / "runs";
  GuestdProcess guestd;
  Dam dam{guestd.take_stream()};
  sys::Fd stream = dam.take_stream();
  std::thread relay{[&] {
    // Both the greeting and its repetition are on the way before guestd sees the first byte.
    dam.hold(wire::resync_bytes + 2 * wire::preamble_bytes + 200);
    dam.open();
  }};
  {
    Opened opened = Session::open_and_start(std::move(stream), {}, some_identity(),
                                            sh("echo ran >> '" + trace + "'; echo done"), soon());
    CHECK(opened.process.wait().out == "done\n");
    CHECK(opened.session.exec(sh("cat '" + trace + "'")).out == "ran\n");
  }
  relay.join();
}

TEST_CASE("a guest that has not even taken the greeting is not sent it again") {
  GuestdProcess guestd;
  guestd.child().signal(SIGSTOP);
  const sys::Fd stream = guestd.take_stream();
  CHECK(error_of([&] { Session::open(sys::duplicate(stream.get()), {}, {}, Deadline::after(1500ms)); }).first ==
        ErrorCode::Timeout);
  guestd.child().signal(SIGCONT);
}

TEST_CASE("a guest that says nothing is given up at the deadline") {
  FakeGuest fake{[](FakeGuest& guest) { guest.await_hang_up(); }};
  const auto started = std::chrono::steady_clock::now();
  const auto [code, text] = error_of([&] { Session::open(fake.take_stream(), {}, {}, Deadline::after(400ms)); });
  CHECK(code == ErrorCode::Timeout);
  CHECK(text == "waiting for the guest's greeting timed out");
  CHECK(std::chrono::steady_clock::now() - started >= 400ms);
}

TEST_CASE("the wait for a greeting can be cancelled") {
  std::stop_source stop;
  FakeGuest fake{[&](FakeGuest& guest) {
    guest.await_preamble();
    stop.request_stop();
    guest.await_hang_up();
  }};
  CHECK(error_of([&] { Session::open(fake.take_stream(), {}, {}, soon(), stop.get_token()); }).first ==
        ErrorCode::Cancelled);
}

TEST_CASE("a guest of another protocol version is refused, naming both") {
  FakeGuest fake{[](FakeGuest& guest) {
    wire::Hello hello;
    hello.protocol = 7;
    guest.greet(hello);
    guest.await_hang_up();
  }};
  const auto [code, text] = error_of([&] { Session::open(fake.take_stream(), {}, {}, soon()); });
  CHECK(code == ErrorCode::Guest);
  CHECK(text.find("version 7") != std::string::npos);
  CHECK(text.find("version " + std::to_string(wire::protocol_version)) != std::string::npos);
}

TEST_CASE("guestd tells a host of another version its own, and runs nothing for it") {
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  const std::string trace = folder.path() / "ran";
  GuestdProcess guestd;
  const sys::Fd stream = guestd.take_stream();
  wire::Exec exec;
  exec.argv = {"touch", trace};
  std::string bytes;
  wire::append_preamble(bytes, nonce_of('v'), 0, wire::protocol_version + 1);
  wire::append_frame(bytes, wire::Seal{nonce_of('v')}, Type::Exec, 1, wire::encode(exec));
  sys::write_all(stream.get(), bytes);
  wire::HostReader reader{nonce_of('v')};
  wire::HostReader::Event event;
  while (event.kind == wire::HostReader::Event::Kind::Starved) {
    sys::require_fd(stream.get(), POLLIN, soon(), "waiting for guestd");
    char buffer[4096];
    const std::ptrdiff_t got = sys::read_some(stream.get(), std::as_writable_bytes(std::span{buffer}));
    reader.input().append({buffer, static_cast<std::size_t>(got)});
    event = reader.next();
  }
  CHECK(event.frame.type == Type::Hello);
  // A host that speaks its language finds it ready.
  Session session = Session::open(sys::duplicate(stream.get()), {}, {}, soon());
  session.ping(soon());
  CHECK_FALSE(std::filesystem::exists(trace));
}

TEST_CASE("a guest that hangs up, before or after its greeting, has vanished") {
  FakeGuest before{[](FakeGuest& guest) { guest.await_preamble(); }};
  CHECK(error_of([&] { Session::open(before.take_stream(), {}, {}, soon()); }) ==
        std::pair<ErrorCode, std::string>{ErrorCode::Guest, "the guest vanished: the connection to it was closed"});
  FakeGuest after{[](FakeGuest& guest) {
    guest.greet();
    guest.await_frame();
    guest.send(Type::Stdout, 1, "the last words");
  }};
  Session session = Session::open(after.take_stream(), {}, {}, soon());
  std::string seen;
  ExecOptions options = sh("true");
  options.on_stdout = [&](std::string_view bytes) { seen += bytes; };
  CHECK(error_of([&] { session.exec(options); }).first == ErrorCode::Guest);
  CHECK(seen == "the last words");
  CHECK(error_of([&] { session.ping(soon()); }).first == ErrorCode::Guest);
}

TEST_CASE("a guest that breaks the protocol ends the session, and its commands say so") {
  const auto outcome_of = [](const FakeGuest::Script& misbehave) {
    FakeGuest fake{[&](FakeGuest& guest) {
      guest.greet();
      guest.await_frame();
      misbehave(guest);
      guest.await_hang_up();
    }};
    Session session = Session::open(fake.take_stream(), {}, {}, soon());
    ExecOptions options = sh("true");
    return error_of([&] { session.exec(options); });
  };
  const auto refused = [&](const FakeGuest::Script& misbehave) {
    const auto [code, text] = outcome_of(misbehave);
    CHECK_MESSAGE(code == ErrorCode::Guest, text);
    CHECK_MESSAGE(text.find("broke the protocol") != std::string::npos, text);
  };
  refused([](FakeGuest& guest) { guest.send_raw("this is no frame, not at all"); });
  refused([](FakeGuest& guest) { guest.send(Type::Stdout, 9, "for nobody"); });
  refused([](FakeGuest& guest) { guest.send(Type::Exec, 1, "a request"); });
  refused([](FakeGuest& guest) { guest.send(Type::Hello, 0, wire::encode(wire::Hello{})); });
  refused([](FakeGuest& guest) { guest.send(Type::Exit, 1, "x"); });
  refused([](FakeGuest& guest) { guest.send(Type::Done, 1, wire::encode(wire::Done{})); });
  refused([](FakeGuest& guest) {
    wire::Exit exit;
    exit.code = 256;
    guest.send(Type::Exit, 1, wire::encode(exit));
  });
  refused([](FakeGuest& guest) {
    wire::Window window;
    window.bytes = 1;
    guest.send(Type::Window, 1, wire::encode(window));
  });
  refused([](FakeGuest& guest) {
    for (int i = 0; i < 1000; ++i) guest.send(Type::Started, 1, wire::encode(wire::Started{}));
  });
  refused([](FakeGuest& guest) {
    for (int i = 0; i < 2; ++i) guest.send(Type::Started, 1, wire::encode(wire::Started{}));
    guest.send(Type::Exit, 1, wire::encode(wire::Exit{}));
  });
}

TEST_CASE("a guest that sends more than its window is cut off") {
  FakeGuest fake{[](FakeGuest& guest) {
    guest.greet();
    guest.await_frame();
    for (std::size_t sent = 0; sent <= wire::window_bytes; sent += 32768)
      guest.send(Type::Stdout, 1, std::string(32768, 'x'));
    guest.await_hang_up();
  }};
  Session session = Session::open(fake.take_stream(), {}, {}, soon());
  const Process process = session.start(sh("true"));
  // Nobody reads the command's output; what was allowed stays within bounds, what was not ends the session.
  std::string text;
  while (text.empty()) {
    const auto [code, what] = error_of([&] { session.ping(soon()); });
    if (code == ErrorCode::Guest) text = what;
  }
  CHECK(text == "the guest broke the protocol: more data than it was allowed to send");
}

TEST_CASE("guestd ends a session whose host makes no sense, and says so") {
  GuestdProcess guestd;
  const sys::Fd stream = guestd.take_stream();
  Session session = Session::open(sys::duplicate(stream.get()), {}, {}, soon());
  // Somebody else writes into the stream.
  sys::write_all(stream.get(), std::string_view{"rubbish"});
  CHECK(error_of([&] { session.exec(sh("sleep 1000")); }).second ==
        "the guest ended the session: guestd could not make sense of what the host sent");
}

TEST_CASE("commands that are running when the session is closed end, and say why") {
  GuestdProcess guestd;
  std::optional<Session> session{guestd.open()};
  Process process = session->start(sh("sleep 1000"));
  session.reset();
  CHECK(error_of([&] { process.wait(); }) ==
        std::pair<ErrorCode, std::string>{ErrorCode::InvalidState, "the session with the guest is closed"});
  // And guestd, having nothing left to serve, ends too.
  CHECK(guestd.child().wait(soon()));
}

TEST_CASE("a claim is given up with the session") {
  GuestdProcess guestd;
  sys::Pipe pipe = sys::make_pipe();
  std::optional<Session> session{Session::open(guestd.take_stream(), std::move(pipe.write), {}, soon())};
  CHECK(sys::wait_fd(pipe.read.get(), POLLIN, Deadline::after(0ns)) == sys::WaitResult::Timeout);
  session.reset();
  CHECK(sys::wait_fd(pipe.read.get(), POLLIN, soon()) == sys::WaitResult::Ready);
}

TEST_CASE("after preparations for a snapshot the session is over and guestd expects a new greeting") {
  GuestdProcess guestd;
  Session session = guestd.open();
  session.prepare_snapshot(soon());
  CHECK(error_of([&] { session.ping(soon()); }).first == ErrorCode::InvalidState);

  // The clone's host finds the stream as the first one left it.
  GuestdProcess restored;
  const sys::Fd stream = restored.take_stream();
  const wire::Seal seal{nonce_of('s')};
  std::string bytes;
  wire::append_preamble(bytes, nonce_of('s'), 0);
  wire::append_frame(bytes, seal, Type::PrepareSnapshot, 1);
  wire::append_frame(bytes, seal, Type::Ping, 2);
  sys::write_all(stream.get(), bytes);
  Session clone = Session::open(sys::duplicate(stream.get()), {}, some_identity(), soon());
  CHECK(clone.exec(sh("echo clone")).out == "clone\n");
}

TEST_CASE("a shutdown is confirmed before the guest goes") {
  GuestdProcess guestd;
  Session session = guestd.open();
  session.shutdown(1s, soon());
  CHECK(guestd.child().wait(soon()));
}

TEST_CASE("a guest that hangs does not hold up a command's timeout") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options = sh("kill -STOP $PPID; sleep 1000");
  options.timeout = 300ms;
  const ExecResult result = session.exec(options);
  CHECK(result.timed_out);
  CHECK(result.exit_code == 128 + SIGKILL);
  CHECK(result.duration < 10s);
  CHECK(error_of([&] { session.ping(Deadline::after(200ms)); }).first == ErrorCode::Timeout);
  guestd.child().signal(SIGCONT);
  session.ping(soon());
}

}  // namespace
}  // namespace fireclaw::guest
