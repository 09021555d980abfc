#include "sys/fd.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "sys/poll.hpp"
#include "sys/random.hpp"
#include "sys/socket.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;

namespace {

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }
bool closes_on_exec(int fd) { return (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0; }
std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span{text}); }

}  // namespace

TEST_CASE("a descriptor is closed once, by its last owner") {
  int number = -1;
  {
    Fd first = duplicate(0);
    number = first.get();
    Fd second = std::move(first);
    CHECK(is_open(number));
    Fd third = duplicate(0);
    const int replaced = third.get();
    third = std::move(second);
    CHECK_FALSE(is_open(replaced));
    CHECK(third.get() == number);
    third = std::move(*&third);
    CHECK(is_open(number));
  }
  CHECK_FALSE(is_open(number));
  Fd released = duplicate(0);
  const Fd taken{released.release()};
  CHECK(is_open(taken.get()));
}

TEST_CASE("everything made here closes on exec") {
  const Pipe pipe = make_pipe();
  CHECK(closes_on_exec(pipe.read.get()));
  CHECK(closes_on_exec(pipe.write.get()));
  CHECK(closes_on_exec(duplicate(0).get()));
  CHECK(closes_on_exec(EventFd{}.fd()));
  const auto [a, b] = socket_pair();
  CHECK(closes_on_exec(a.get()));
  CHECK(closes_on_exec(b.get()));
  const Fd memory = make_memfd("test", std::size_t{1} << 30);
  CHECK(closes_on_exec(memory.get()));
  struct stat status;
  CHECK(::fstat(memory.get(), &status) == 0);
  CHECK(status.st_size == off_t{1} << 30);
  CHECK(status.st_blocks == 0);
}

TEST_CASE("system errors name what failed and why, in lower case") {
  CHECK(std::string{system_error(ENOENT, "open 'x'").what()} == "open 'x': no such file or directory");
  CHECK(system_error(ENOENT, "").code() == ErrorCode::NotFound);
  CHECK(system_error(EACCES, "").code() == ErrorCode::PermissionDenied);
  CHECK(system_error(EPERM, "").code() == ErrorCode::PermissionDenied);
  CHECK(system_error(EEXIST, "").code() == ErrorCode::AlreadyExists);
  CHECK(system_error(ETIMEDOUT, "").code() == ErrorCode::Timeout);
  CHECK(system_error(EIO, "").code() == ErrorCode::Io);
  CHECK(std::string{system_error(ENOSPC, "write 'x'").what()} ==
        "write 'x': no space left on device (the disk is full)");
  CHECK(std::string{system_error(4095, "x").what()} == "x: unknown error 4095");
  CHECK(error_of([] { check(::close(-1), "close it"); }) ==
        std::pair{ErrorCode::Io, std::string{"close it: bad file descriptor"}});
}

TEST_CASE("reading tells end of file from nothing there yet") {
  Pipe pipe = make_pipe();
  set_nonblocking(pipe.read.get(), true);
  std::array<std::byte, 8> buffer;
  CHECK(read_some(pipe.read.get(), buffer) == -1);
  CHECK(write_some(pipe.write.get(), bytes_of("abc")) == 3);
  CHECK(read_some(pipe.read.get(), buffer) == 3);
  { const Fd closed = std::move(pipe.write); }
  CHECK(read_some(pipe.read.get(), buffer) == 0);
}

TEST_CASE("writing to nobody is an error and no signal, for sockets and pipes") {
  // SIGPIPE has its default action here: it would end this program.
  SUBCASE("socket") {
    auto [ours, theirs] = socket_pair();
    { const Fd closed = std::move(theirs); }
    CHECK(error_of([&, fd = ours.get()] { write_all(fd, "x"); }).second == "write: broken pipe");
  }
  SUBCASE("pipe") {
    Pipe pipe = make_pipe();
    { const Fd closed = std::move(pipe.read); }
    CHECK(error_of([&] { write_all(pipe.write.get(), "x"); }).second == "write: broken pipe");
    sigset_t pending;
    sigpending(&pending);
    CHECK(sigismember(&pending, SIGPIPE) == 0);
    sigset_t mask;
    pthread_sigmask(SIG_SETMASK, nullptr, &mask);
    CHECK(sigismember(&mask, SIGPIPE) == 0);
  }
}

TEST_CASE("a SIGPIPE that waited before is still there after a write to nobody") {
  sigset_t sigpipe;
  sigset_t before;
  sigemptyset(&sigpipe);
  sigaddset(&sigpipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
  pthread_kill(pthread_self(), SIGPIPE);
  Pipe pipe = make_pipe();
  { const Fd closed = std::move(pipe.read); }
  CHECK_THROWS_AS(write_all(pipe.write.get(), "x"), Error);
  const timespec at_once{};
  CHECK(::sigtimedwait(&sigpipe, nullptr, &at_once) == SIGPIPE);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

TEST_CASE("a full non-blocking descriptor is waited for, until the deadline") {
  auto [ours, theirs] = socket_pair();
  set_nonblocking(ours.get(), true);
  const std::string much(4'000'000, 'x');
  CHECK(error_of([&, fd = ours.get()] { write_all(fd, much, Deadline::after(20ms)); }).first == ErrorCode::Timeout);
  CHECK(write_some(ours.get(), bytes_of(much)) == -1);

  auto [sender, receiver] = socket_pair();
  set_nonblocking(sender.get(), true);
  std::string received;
  std::thread reader{[&received, fd = receiver.get()] { received = read_to_end(fd); }};
  write_all(sender.get(), much, patience());
  { const Fd closed = std::move(sender); }
  reader.join();
  CHECK(received == much);
}

TEST_CASE("non-blocking can be switched on and off") {
  const Pipe pipe = make_pipe();
  set_nonblocking(pipe.read.get(), true);
  CHECK((::fcntl(pipe.read.get(), F_GETFL) & O_NONBLOCK) != 0);
  set_nonblocking(pipe.read.get(), false);
  CHECK((::fcntl(pipe.read.get(), F_GETFL) & O_NONBLOCK) == 0);
}

TEST_CASE("an event stays set until it is cleared") {
  EventFd event;
  const auto is_set = [&] { return wait_fd(event.fd(), POLLIN, Deadline::after(0ms)) == WaitResult::Ready; };
  CHECK_FALSE(is_set());
  event.clear();
  event.set();
  event.set();
  CHECK(is_set());
  event.clear();
  CHECK_FALSE(is_set());
}

TEST_CASE("waiting ends with readiness, deadline or stop") {
  const Pipe pipe = make_pipe();
  CHECK(wait_fd(pipe.read.get(), POLLIN, Deadline::after(5ms)) == WaitResult::Timeout);
  CHECK(wait_fd(pipe.write.get(), POLLOUT, Deadline::after(0ms)) == WaitResult::Ready);

  std::stop_source source;
  std::thread stopper{[&] { source.request_stop(); }};
  CHECK(wait_fd(pipe.read.get(), POLLIN, patience(), source.get_token()) == WaitResult::Stopped);
  stopper.join();
  // A stop is seen even when there is always something to read.
  write_all(pipe.write.get(), "x");
  CHECK(wait_fd(pipe.read.get(), POLLIN, patience(), source.get_token()) == WaitResult::Stopped);
  // And what is there is not lost to a deadline.
  CHECK(wait_fd(pipe.read.get(), POLLIN, Deadline::after(0ms)) == WaitResult::Ready);
}

TEST_CASE("waiting never ends before its deadline") {
  const Pipe pipe = make_pipe();
  for (const auto limit : {300us, 1500us, 2900us}) {
    const auto start = std::chrono::steady_clock::now();
    CHECK(wait_fd(pipe.read.get(), POLLIN, Deadline::after(limit)) == WaitResult::Timeout);
    CHECK(std::chrono::steady_clock::now() - start >= limit);
  }
}

TEST_CASE("a hang-up counts as ready and a closed descriptor as an error") {
  Pipe pipe = make_pipe();
  { const Fd closed = std::move(pipe.write); }
  CHECK(wait_fd(pipe.read.get(), POLLIN, patience()) == WaitResult::Ready);
  CHECK(error_of([] { wait_fd(1'000'000, POLLIN, patience()); }).first == ErrorCode::Io);
}

TEST_CASE("a required wait says what it waited for") {
  const Pipe pipe = make_pipe();
  CHECK(error_of([&] { require_fd(pipe.read.get(), POLLIN, Deadline::after(0ms), "the answer"); }) ==
        std::pair{ErrorCode::Timeout, std::string{"the answer timed out"}});
  std::stop_source source;
  source.request_stop();
  CHECK(error_of([&] { require_fd(pipe.read.get(), POLLIN, patience(), "the answer", source.get_token()); }) ==
        std::pair{ErrorCode::Cancelled, std::string{"the answer cancelled"}});
}

TEST_CASE("a token that cannot stop costs no descriptor") {
  const StopFd none{std::stop_token{}};
  CHECK(none.fd() == -1);
  CHECK_FALSE(none.requested());
  std::stop_source source;
  source.request_stop();
  const StopFd stopped{source.get_token()};
  CHECK(stopped.requested());
  CHECK(wait_fd(stopped.fd(), POLLIN, Deadline::after(0ms)) == WaitResult::Ready);
}

TEST_CASE("random bytes differ and come in any number") {
  CHECK(random_hex(0).empty());
  const std::string first = random_hex(32);
  CHECK(first.size() == 64);
  CHECK(first.find_first_not_of("0123456789abcdef") == std::string::npos);
  CHECK(first != random_hex(32));
  std::vector<std::byte> many(100'000);
  random_bytes(many);
  CHECK(std::count(many.begin(), many.end(), std::byte{0}) < 1000);
}
