#include "sys/socket.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <thread>

#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;

namespace {

// A folder whose own path is longer than a socket address can hold.
std::filesystem::path deep_folder(const TempDir& top) {
  std::filesystem::path folder = top.path() / std::string(100, 'd') / std::string(100, 'e');
  make_directories(folder);
  return folder;
}

// Receives bytes and the descriptor that came with them.
std::pair<std::string, Fd> receive_with_fd(int socket) {
  char text[64];
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  iovec piece{text, sizeof text};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  const ssize_t got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  REQUIRE(got > 0);
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  REQUIRE(header != nullptr);
  int fd = -1;
  std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
  return {std::string(text, static_cast<std::size_t>(got)), Fd{fd}};
}

}  // namespace

TEST_CASE("a link in the place of a socket is followed unless that is refused") {
  const TempDir folder{"/tmp", "fireclaw-socket"};
  const auto listener = unix_listen(folder.path() / "real");
  std::filesystem::create_symlink("real", folder.path() / "link");
  CHECK_NOTHROW(unix_connect(folder.path() / "link"));
  CHECK_NOTHROW(unix_connect(folder.path() / "real", Links::Refuse));
  CHECK(error_of([&] { unix_connect(folder.path() / "link", Links::Refuse); }).first == ErrorCode::InvalidState);
  CHECK(error_of([&] { unix_connect(folder.path() / "none", Links::Refuse); }).first == ErrorCode::NotFound);
}

TEST_CASE("a client reaches the listener at a path of any length") {
  const TempDir top = temp_dir();
  std::filesystem::path path = top.path() / "socket";
  SUBCASE("short") {}
  SUBCASE("the longest that fits an address") {
    path = top.path() / std::string(107 - top.path().native().size() - 1, 's');
    REQUIRE(path.native().size() == 107);
  }
  SUBCASE("one more") { path = top.path() / std::string(108 - top.path().native().size() - 1, 's'); }
  SUBCASE("a deep folder") { path = deep_folder(top) / "socket"; }
  SUBCASE("the longest name there can be") { path = deep_folder(top) / std::string(255, 's'); }
  const Fd listener = unix_listen(path);
  struct stat status;
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK(S_ISSOCK(status.st_mode));
  CHECK((status.st_mode & 0777) == 0600);
  const Fd client = unix_connect(path);
  const Fd server = unix_accept(listener.get(), patience());
  write_all(client.get(), "ping\n");
  CHECK(read_line(server.get()) == "ping");
  write_all(server.get(), "pong\n");
  CHECK(read_line(client.get()) == "pong");
  for (const Fd* fd : {&listener, &client, &server}) CHECK((::fcntl(fd->get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(server.get(), F_GETFL) & O_NONBLOCK) == 0);
  // Nothing but the socket is left in its folder.
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{path.parent_path()}) ++entries;
  CHECK(entries == 1);
}

TEST_CASE("a relative path works") {
  const TempDir top = temp_dir();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(top.path());
  for (const std::string& name : {std::string{"socket"}, std::string(200, 's')}) {
    const Fd listener = unix_listen(name);
    const Fd client = unix_connect(name);
    CHECK(unix_accept(listener.get(), patience()).get() >= 0);
  }
  std::filesystem::current_path(before);
}

TEST_CASE("a file in the way is not replaced") {
  const TempDir top = temp_dir();
  for (const std::filesystem::path& path : {top.path() / "socket", deep_folder(top) / "socket"}) {
    const Fd first = unix_listen(path);
    const auto [code, text] = error_of([&] { unix_listen(path); });
    CHECK(code == ErrorCode::AlreadyExists);
    CHECK(text == "listen on '" + path.string() + "': file exists");
    const Fd client = unix_connect(path);
    CHECK(unix_accept(first.get(), patience()).get() >= 0);
  }
}

TEST_CASE("connecting tells a missing socket from one that nobody serves") {
  const TempDir top = temp_dir();
  for (const std::filesystem::path& path : {top.path() / "socket", deep_folder(top) / "socket"}) {
    CHECK(error_of([&] { unix_connect(path); }).first == ErrorCode::NotFound);
    { const Fd gone = unix_listen(path); }
    CHECK(error_of([&] { unix_connect(path); }) ==
          std::pair{ErrorCode::Io, "connect to '" + path.string() + "': connection refused"});
  }
  CHECK(error_of([&] { unix_listen(top.path() / "missing" / "socket"); }).first == ErrorCode::NotFound);
}

TEST_CASE("waiting for a client ends at the deadline and at a stop") {
  const TempDir top = temp_dir();
  const Fd listener = unix_listen(top.path() / "socket");
  CHECK(error_of([&] { unix_accept(listener.get(), Deadline::after(10ms)); }).first == ErrorCode::Timeout);
  std::stop_source source;
  std::thread stopper{[&] { source.request_stop(); }};
  CHECK(error_of([&] { unix_accept(listener.get(), patience(), source.get_token()); }).first == ErrorCode::Cancelled);
  stopper.join();
}

TEST_CASE("several threads may wait for clients at one listener") {
  const TempDir top = temp_dir();
  const Fd listener = unix_listen(top.path() / "socket");
  std::atomic<int> served{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 5; ++n) {
        const Fd client = unix_accept(listener.get(), patience());
        ++served;
      }
    });
  }
  for (int i = 0; i < 20; ++i) unix_connect(top.path() / "socket");
  for (std::thread& thread : threads) thread.join();
  CHECK(served == 20);
}

TEST_CASE("a descriptor travels with the first bytes") {
  const auto [ours, theirs] = socket_pair();
  const TempDir top = temp_dir();
  write_file_atomic(top.path() / "file", "inside");
  const Fd file = open_file(top.path() / "file", O_RDONLY);
  send_with_fd(ours.get(), std::as_bytes(std::span{std::string_view{"hello"}}), file.get());
  const auto [text, received] = receive_with_fd(theirs.get());
  CHECK(text == "hello");
  CHECK(received.get() != file.get());
  CHECK(read_to_end(received.get()) == "inside");
  CHECK(error_of([fd = ours.get()] { send_with_fd(fd, {}, 0); }).first == ErrorCode::Internal);
}

TEST_CASE("more bytes than the socket holds travel with a descriptor") {
  auto [ours, theirs] = socket_pair();
  const std::string much(3'000'000, 'm');
  std::string received;
  std::thread reader{[&received, fd = theirs.get()] {
    auto [text, file] = receive_with_fd(fd);
    received = text + read_to_end(fd);
  }};
  send_with_fd(ours.get(), std::as_bytes(std::span{much}), 0);
  { const Fd closed = std::move(ours); }
  reader.join();
  CHECK(received == much);
}

TEST_CASE("a TCP connection is made to who listens, and refused where nobody does") {
  const Fd listener{check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  sockaddr_in here{};
  here.sin_family = AF_INET;
  here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  REQUIRE(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&here), sizeof here) == 0);
  socklen_t size = sizeof here;
  REQUIRE(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&here), &size) == 0);
  const auto port = ntohs(here.sin_port);
  CHECK_THROWS_AS(tcp_connect("127.0.0.1", port, patience()), Error);
  REQUIRE(::listen(listener.get(), 1) == 0);
  const auto client = tcp_connect("127.0.0.1", port, patience());
  const Fd server{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  write_all(client.get(), "hello");
  char buffer[8];
  CHECK(::recv(server.get(), buffer, sizeof buffer, 0) == 5);
  CHECK_THROWS_AS(tcp_connect("localhost", port, patience()), Error);
}
