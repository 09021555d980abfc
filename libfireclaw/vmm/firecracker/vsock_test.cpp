#include "vmm/firecracker/vsock.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <array>
#include <functional>
#include <thread>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"
#include "sys/testing/interruptions.hpp"

namespace fireclaw::vmm::firecracker {
namespace {

using namespace std::chrono_literals;

/// The engine's side of v.sock, with an event in the place of its pidfd.
struct Fixture {
  sys::TempDir directory{"/tmp", "fireclaw-vsock"};
  std::filesystem::path path = directory.path() / "v.sock";
  sys::Fd listener = sys::unix_listen(path);
  sys::EventFd ended;
  WaitLimits limits{ended.fd(), Deadline::after(10s), {}};

  /// Answers one connection and holds it until the test is over.
  std::jthread answer(std::string text, bool hang_up) {
    return std::jthread{[this, text = std::move(text), hang_up](const std::stop_token& stop) {
      try {
        const sys::Fd peer = sys::unix_accept(listener.get(), Deadline::after(10s), stop);
        for (std::array<std::byte, 1> byte{}; !asked.ends_with('\n');) {
          if (sys::read_some(peer.get(), byte) != 1) return;
          asked += static_cast<char>(byte[0]);
        }
        if (before_answer) before_answer();
        sys::write_all(peer.get(), text);
        if (!hang_up) (void)sys::wait_fd(peer.get(), POLLHUP, Deadline::after(10s), stop);
      } catch (const Error&) {
        // The test ended first.
      }
    }};
  }
  std::string asked;
  std::function<void()> before_answer;
};

std::string take(int fd, std::size_t count) {
  std::string text;
  while (text.size() < count) {
    std::array<std::byte, 64> buffer{};
    const auto got = sys::read_some(fd, std::span{buffer}.first(std::min(buffer.size(), count - text.size())));
    if (got <= 0) break;
    text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
  }
  return text;
}

TEST_CASE_FIXTURE(Fixture, "a connection is asked for by port, and the guest's first bytes are left alone") {
  auto engine = answer("OK 1073741824\nHELLO from the guest", true);
  const auto stream = vsock_connect(path, 1024, limits);
  REQUIRE(stream);
  CHECK(take(stream->get(), 100) == "HELLO from the guest");
  engine.join();
  CHECK(asked == "CONNECT 1024\n");
}

TEST_CASE_FIXTURE(Fixture, "a hang-up means that nobody listens") {
  const auto engine = answer("", true);
  CHECK_FALSE(vsock_connect(path, 1024, limits));
}

TEST_CASE_FIXTURE(Fixture, "another answer than OK is an error, however long it is") {
  std::string text;
  SUBCASE("a word") { text = "NO 1\n"; }
  SUBCASE("no number") { text = "OK x\n"; }
  SUBCASE("no end") { text = std::string(1000, 'O'); }
  const auto engine = answer(text, false);
  CHECK_THROWS_AS((void)vsock_connect(path, 1024, limits), Error);
}

TEST_CASE_FIXTURE(Fixture, "silence runs into the deadline, a stop and the engine's end do not") {
  ErrorCode code{};
  std::stop_source stop;
  SUBCASE("deadline") {
    limits.deadline = Deadline::after(50ms);
    code = ErrorCode::Timeout;
  }
  SUBCASE("stop") {
    limits.stop = stop.get_token();
    stop.request_stop();
    code = ErrorCode::Cancelled;
  }
  SUBCASE("engine") {
    ended.set();
    code = ErrorCode::Vmm;
  }
  const auto engine = answer("", false);
  try {
    (void)vsock_connect(path, 1024, limits);
    FAIL("connected");
  } catch (const Error& error) {
    CHECK(error.code() == code);
  }
  try {
    const auto other = sys::unix_listen(directory.path() / "ready");
    (void)vsock_accept(other.get(), limits);
    FAIL("accepted");
  } catch (const Error& error) {
    CHECK(error.code() == code);
  }
}

TEST_CASE_FIXTURE(Fixture, "an answer is waited for that comes while signals interrupt") {
  const sys::testing::Interruptions interruptions;
  before_answer = [] { sys::testing::Interruptions::await_some(); };
  const auto engine = answer("OK 1\n", false);
  CHECK(vsock_connect(path, 1024, limits));
}

TEST_CASE_FIXTURE(Fixture, "a missing socket is the engine's fault") {
  CHECK_THROWS_AS((void)vsock_connect(directory.path() / "none", 1024, limits), Error);
}

TEST_CASE_FIXTURE(Fixture, "a guest that has dialled is accepted even if the engine ended right after") {
  const auto guest = sys::unix_connect(path);
  ended.set();
  const auto stream = vsock_accept(listener.get(), limits);
  sys::write_all(guest.get(), "hi");
  CHECK(take(stream.get(), 2) == "hi");
}

}  // namespace
}  // namespace fireclaw::vmm::firecracker
