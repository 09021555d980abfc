#include "world.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace fireclaw::test {
namespace {

/// What a test waits for a packet that is not to come.
constexpr int patience_ms = 5000;

void require(bool condition, const std::string& what) {
  if (!condition) throw std::runtime_error{what + ": " + std::generic_category().message(errno)};
}

sockaddr_in socket_address(const std::string& address, std::uint16_t port) {
  sockaddr_in made{};
  made.sin_family = AF_INET;
  made.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &made.sin_addr);
  return made;
}

std::string text_of(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return text.data();
}

}  // namespace

Namespace::Namespace() {
  std::exception_ptr failure;
  std::thread{[&] {
    try {
      require(::unshare(CLONE_NEWNET) == 0, "unshare");
      fd_ = ::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
      require(fd_ >= 0, "open the namespace");
      host("ip link set lo up");
    } catch (...) {
      failure = std::current_exception();
    }
  }}.join();
  if (failure) std::rethrow_exception(failure);
}

Namespace::~Namespace() { ::close(fd_); }

void Namespace::in(const std::function<void()>& action) const {
  std::exception_ptr failure;
  std::thread{[&] {
    try {
      require(::setns(fd_, CLONE_NEWNET) == 0, "setns");
      action();
    } catch (...) {
      failure = std::current_exception();
    }
  }}.join();
  if (failure) std::rethrow_exception(failure);
}

std::string Namespace::path() const { return "/proc/" + std::to_string(::getpid()) + "/fd/" + std::to_string(fd_); }

std::string host(const std::string& line) {
  FILE* const pipe = ::popen((line + " 2>&1").c_str(), "re");
  require(pipe != nullptr, line);
  std::string output;
  std::array<char, 4096> piece{};
  for (std::size_t got = 0; (got = std::fread(piece.data(), 1, piece.size(), pipe)) > 0;) {
    output.append(piece.data(), got);
  }
  if (::pclose(pipe) != 0) throw std::runtime_error{line + ": " + output};
  return output;
}

Listener::Listener(const std::string& address, std::uint16_t port)
    : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)}, wake_{::eventfd(0, EFD_CLOEXEC)} {
  const int reuse = 1;
  ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  const auto place = socket_address(address, port);
  require(::bind(socket_, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0, "bind");
  require(::listen(socket_, 64) == 0, "listen");
  thread_ = std::thread{[this] { serve(); }};
}

Listener::~Listener() {
  ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(socket_);
  ::close(wake_);
}

void Listener::serve() const {
  for (;;) {
    std::array<pollfd, 2> waits{{{socket_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), -1);
    if (waits[1].revents != 0) return;
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const int connection = ::accept4(socket_, reinterpret_cast<sockaddr*>(&from), &size, SOCK_CLOEXEC);
    if (connection < 0) continue;
    const auto text = text_of(from) + "\n";
    (void)!::write(connection, text.data(), text.size());
    ::close(connection);
  }
}

NameServer::NameServer(const std::string& address, const std::string& answer)
    : socket_{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}, wake_{::eventfd(0, EFD_CLOEXEC)} {
  constexpr std::uint16_t dns_port = 53;
  const auto place = socket_address(address, dns_port);
  require(::bind(socket_, reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0, "bind");
  const auto bits = socket_address(answer, 0).sin_addr;
  // The question's name, type A, class IN, a minute, four bytes.
  answer_ = std::string{"\xC0\x0C\0\x01\0\x01\0\0\0\x3C\0\x04", 12};
  answer_.append(reinterpret_cast<const char*>(&bits), sizeof bits);
  thread_ = std::thread{[this] { serve(); }};
}

NameServer::~NameServer() {
  ::eventfd_write(wake_, 1);
  thread_.join();
  ::close(socket_);
  ::close(wake_);
}

std::vector<std::string> NameServer::asked() {
  const std::scoped_lock lock{mutex_};
  return asked_;
}

void NameServer::serve() {
  constexpr std::size_t head_bytes = 12;
  for (;;) {
    std::array<pollfd, 2> waits{{{socket_, POLLIN, 0}, {wake_, POLLIN, 0}}};
    ::poll(waits.data(), waits.size(), -1);
    if (waits[1].revents != 0) return;
    std::array<char, 512> bytes{};
    sockaddr_in from{};
    socklen_t size = sizeof from;
    const auto got = ::recvfrom(socket_, bytes.data(), bytes.size(), 0, reinterpret_cast<sockaddr*>(&from), &size);
    if (got <= static_cast<ssize_t>(head_bytes)) continue;
    std::string message{bytes.data(), static_cast<std::size_t>(got)};
    {
      const std::scoped_lock lock{mutex_};
      asked_.push_back(message.substr(head_bytes));
    }
    // An answer, with one record.
    message[2] = '\x81';
    message[3] = '\x80';
    message[7] = 1;
    message += answer_;
    ::sendto(socket_, message.data(), message.size(), 0, reinterpret_cast<const sockaddr*>(&from), size);
  }
}

std::string ask(const std::string& address, std::uint16_t port) {
  const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto place = socket_address(address, port);
  std::string answer;
  pollfd wait{socket, POLLOUT, 0};
  int problem = 0;
  socklen_t size = sizeof problem;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 && errno != EINPROGRESS) {
    answer = "refused";
  } else if (::poll(&wait, 1, patience_ms) != 1) {
    answer = "silent";
  } else if (::getsockopt(socket, SOL_SOCKET, SO_ERROR, &problem, &size); problem != 0) {
    answer = "refused";
  } else {
    wait.events = POLLIN;
    std::array<char, 256> piece{};
    while (::poll(&wait, 1, patience_ms) == 1) {
      const auto got = ::read(socket, piece.data(), piece.size());
      if (got <= 0) break;
      answer.append(piece.data(), static_cast<std::size_t>(got));
    }
  }
  ::close(socket);
  return answer;
}

NetworkHome::NetworkHome(const std::string& network) {
  // With the locks that belong to what is shared.
  for (const auto* shared : {"images", "snapshots", "locks"}) {
    std::filesystem::create_directory_symlink(home() / shared, folder_.path() / shared);
  }
  for (const auto* own : {"runs", "templates", "keys"}) std::filesystem::create_directory(folder_.path() / own);
  std::ifstream prepared{home() / "config.json"};
  std::string config{std::istreambuf_iterator<char>{prepared}, {}};
  const auto end = config.rfind('}');
  REQUIRE(end != std::string::npos);
  if (!network.empty()) config.insert(end, ", \"network\": " + network);
  std::ofstream{folder_.path() / "config.json"} << config;
}

Host NetworkHome::open(LogSink log) const {
  HostOptions options;
  options.home = path();
  options.engine = engine_from_string(environment("FIRECLAW_TEST_ENGINE", "auto"));
  options.firecracker = environment("FIRECLAW_TEST_FIRECRACKER", "");
  options.log = std::move(log);
  return Host::open(options);
}

Internet::Internet() {
  host("ip link set lo up");
  host("ip link add uplink type veth peer name eth0 netns " + there_.path());
  host("ip address add 198.51.100.1/24 dev uplink");
  host("ip link set uplink up");
  there_.in([] {
    host("ip address add 198.51.100.2/24 dev eth0");
    host("ip link set eth0 up");
    for (const auto* address : {"203.0.113.7", "203.0.113.8", "10.20.30.40"}) {
      host(std::string{"ip address add "} + address + "/32 dev lo");
    }
  });
  host("ip route add default via 198.51.100.2");
}

Internet::~Internet() {
  try {
    host("ip link delete uplink");
  } catch (const std::exception& problem) {
    MESSAGE(problem.what());
  }
}

}  // namespace fireclaw::test
