#include "vmm/qemu/qmp.hpp"

#include <doctest/doctest.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "fireclaw/error.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using namespace fireclaw::vmm::qemu;
using sys::testing::thrown_by;

namespace {

Wait soon() { return {Deadline::after(std::chrono::nanoseconds{std::chrono::seconds{10}}), {}}; }
Wait shortly() { return {Deadline::after(std::chrono::nanoseconds{std::chrono::milliseconds{20}}), {}}; }

constexpr std::string_view greeting =
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}}, \"capabilities\": "
    "[\"oob\"]}}\r\n";

// A client and the other end of its socket, where the test plays QEMU.
struct Talk {
  std::pair<sys::Fd, sys::Fd> ends = sys::socket_pair();
  QmpClient client{std::move(ends.first)};

  void say(std::string_view text) { sys::write_all(ends.second.get(), text); }
  // The next line that the client sent.
  std::string heard() {
    std::string line;
    for (;;) {
      sys::require_fd(ends.second.get(), POLLIN, soon().deadline, "the client");
      std::array<std::byte, 1> byte;
      REQUIRE(sys::read_some(ends.second.get(), byte) == 1);
      if (static_cast<char>(byte[0]) == '\n') return line;
      line += static_cast<char>(byte[0]);
    }
  }
  void hang_up() { const auto gone = std::move(ends.second); }
};

}  // namespace

TEST_CASE("commands may be sent before the greeting, and replies are matched by number") {
  Talk talk;
  const auto stop = talk.client.send("stop");
  const auto query = talk.client.send("query-status", R"({"a":1})");
  CHECK(talk.heard() == R"({"execute":"qmp_capabilities","id":1})");
  CHECK(talk.heard() == R"({"execute":"stop","id":2})");
  CHECK(talk.heard() == R"({"execute":"query-status","id":3,"arguments":{"a":1}})");
  talk.say(greeting);
  talk.say("{\"return\": {}, \"id\": 1}\r\n{\"return\": {}, \"id\": 2}\r\n");
  talk.say("{\"return\": {\"status\": \"paused\"}, \"id\": 3}\r\n");
  CHECK(talk.client.reply(query, soon()).at("status").as_string() == "paused");
  CHECK(talk.client.reply(stop, soon()).is_object());
}

TEST_CASE("a descriptor goes along with the command that it is for, and with no other") {
  Talk talk;
  const auto [ours, theirs] = sys::socket_pair();
  talk.client.send("add-fd", R"({"fdset-id":1})", theirs.get());
  talk.client.send("stop");
  std::string told;
  std::vector<sys::Fd> got;
  while (told.find("stop") == std::string::npos || !told.ends_with("\n")) {
    sys::require_fd(talk.ends.second.get(), POLLIN, soon().deadline, "the client");
    std::array<char, 256> text{};
    iovec part{text.data(), text.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> room{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = room.data();
    message.msg_controllen = room.size();
    const auto bytes = ::recvmsg(talk.ends.second.get(), &message, MSG_CMSG_CLOEXEC);
    REQUIRE(bytes > 0);
    told.append(text.data(), static_cast<std::size_t>(bytes));
    if (const auto* header = CMSG_FIRSTHDR(&message)) {
      int number = -1;
      std::memcpy(&number, CMSG_DATA(header), sizeof number);
      got.emplace_back(number);
    }
  }
  REQUIRE(got.size() == 1);
  sys::write_all(got.front().get(), "x");
  std::array<std::byte, 2> byte{};
  CHECK(sys::read_some(ours.get(), byte) == 1);
}

TEST_CASE("events between replies are kept for those who wait for them") {
  Talk talk;
  talk.say(greeting);
  const auto number = talk.client.send("migrate");
  talk.say(
      "{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"MIGRATION\", \"data\": {\"status\": "
      "\"setup\"}}\r\n{\"return\": {}, \"id\": 1}\r\n{\"event\": \"STOP\"}\r\n{\"return\": {}, \"id\": 2}\r\n");
  talk.say("{\"event\": \"MIGRATION\", \"data\": {\"status\": \"completed\"}}\r\n");
  CHECK(talk.client.reply(number, soon()).is_object());
  CHECK(talk.client.event("MIGRATION", soon()).at("status").as_string() == "setup");
  CHECK(talk.client.event("MIGRATION", soon()).at("status").as_string() == "completed");
  CHECK(thrown_by([&] { talk.client.event("MIGRATION", shortly()); }).code() == ErrorCode::Timeout);
}

TEST_CASE("what QEMU refuses is told in its own words") {
  Talk talk;
  const auto number = talk.client.send("cont");
  talk.say(
      "{\"error\": {\"class\": \"GenericError\", \"desc\": \"Resetting the Virtual Machine is required\"}, "
      "\"id\": 2}\r\n");
  const auto error = thrown_by([&] { talk.client.reply(number, soon()); });
  CHECK(error.code() == ErrorCode::Vmm);
  CHECK(error.message() == "QEMU refused 'cont': Resetting the Virtual Machine is required");
}

TEST_CASE("a slow answer is put together from its pieces") {
  Talk talk;
  const auto number = talk.client.send("query-status");
  std::thread slow{[&] {
    for (const char c : std::string_view{"{\"return\": {\"status\": \"running\"}, \"id\": 2}\r\n"}) {
      talk.say(std::string_view{&c, 1});
      std::this_thread::yield();
    }
  }};
  CHECK(talk.client.reply(number, soon()).at("status").as_string() == "running");
  slow.join();
}

TEST_CASE("silence ends at the deadline, and the late answer is not taken for another's") {
  Talk talk;
  const auto late = talk.client.send("stop");
  const auto error = thrown_by([&] { talk.client.reply(late, shortly()); });
  CHECK(error.code() == ErrorCode::Timeout);
  CHECK(error.message() == "waiting for QEMU's answer to 'stop' timed out");
  const auto next = talk.client.send("query-name");
  talk.say("{\"return\": {\"from\": \"stop\"}, \"id\": 2}\n{\"return\": {\"name\": \"x\"}, \"id\": 3}\n");
  CHECK(talk.client.reply(next, soon()).at("name").as_string() == "x");
}

TEST_CASE("a wait can be stopped") {
  Talk talk;
  std::stop_source stop;
  std::thread stopper{[&] { stop.request_stop(); }};
  const auto number = talk.client.send("stop");
  CHECK(thrown_by([&] {
          talk.client.reply(number, {soon().deadline, stop.get_token()});
        }).code() == ErrorCode::Cancelled);
  stopper.join();
}

TEST_CASE("a hang-up is noticed at once, after what was said before it") {
  Talk talk;
  const auto number = talk.client.send("query-name");
  talk.say("{\"return\": {\"name\": \"last words\"}, \"id\": 2}\r\n{\"ret");
  talk.hang_up();
  const auto after = talk.client.send("query-status");
  CHECK(talk.client.reply(number, soon()).at("name").as_string() == "last words");
  CHECK_FALSE(talk.client.closed());
  const auto error = thrown_by([&] { talk.client.reply(after, soon()); });
  CHECK(error.code() == ErrorCode::Vmm);
  CHECK(error.message() == "QEMU hung up instead of answering 'query-status'");
  CHECK(talk.client.closed());
}

TEST_CASE("what is not QMP is said to be so") {
  for (const std::string_view line : {"garbage", "[1, 2]", "42", "{}", "{\"id\": 2}", "{\"return\": {}}",
                                      "{\"return\": {}, \"id\": \"2\"}", "{\"a\"", "\xff\xfe\x00\x01", ""}) {
    Talk talk;
    const auto number = talk.client.send("query-status");
    talk.say(std::string{line} + "\n");
    CAPTURE(line);
    const auto error = thrown_by([&] { talk.client.reply(number, soon()); });
    CHECK(error.code() == ErrorCode::Vmm);
    CHECK(error.message().starts_with("QEMU's control socket says something that is not QMP: '"));
  }
}

TEST_CASE("a line without end is not read without end") {
  Talk talk;
  const auto number = talk.client.send("query-status");
  std::thread wild{[&] {
    const std::string piece(65536, 'x');
    try {
      for (int i = 0; i < 64; ++i) sys::write_all(talk.ends.second.get(), piece, soon().deadline);
    } catch (const Error&) {
      // The client has gone away.
    }
  }};
  CHECK(thrown_by([&] { talk.client.reply(number, soon()); }).code() == ErrorCode::Vmm);
  { const auto gone = std::move(talk.client); }
  wild.join();
}

TEST_CASE("a flood of events does not pile up") {
  Talk talk;
  const auto number = talk.client.send("query-status");
  std::thread flood{[&] {
    std::string events;
    for (int i = 0; i < 2000; ++i)
      events += "{\"event\": \"RTC_CHANGE\", \"data\": {\"offset\": " + std::to_string(i) + "}}\n";
    talk.say(events + "{\"return\": {}, \"id\": 2}\n");
  }};
  CHECK(talk.client.reply(number, soon()).is_object());
  flood.join();
  // The newest ones are there.
  CHECK(talk.client.event("RTC_CHANGE", soon()).at("offset").as_int() > 1000);
}
