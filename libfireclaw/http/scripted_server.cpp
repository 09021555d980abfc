#include "http/scripted_server.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <utility>

#include "fireclaw/error.hpp"
#include "sys/socket.hpp"

namespace fireclaw::http::test {

namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }

std::size_t body_length(std::string_view head) {
  const auto at = head.find("Content-Length: ");
  return at == std::string_view::npos ? 0 : std::strtoul(head.data() + at + 16, nullptr, 10);
}

}  // namespace

std::string Peer::request() {
  for (;;) {
    const auto end = rest_.find("\r\n\r\n");
    if (end != std::string::npos) {
      const std::size_t whole = end + 4 + body_length(std::string_view{rest_}.substr(0, end));
      if (rest_.size() >= whole) {
        std::string request = rest_.substr(0, whole);
        rest_.erase(0, whole);
        return request;
      }
    }
    if (!more()) return {};
  }
}

std::string Peer::until(std::string_view part) {
  std::size_t found = 0;
  std::size_t searched = 0;
  while ((found = rest_.find(part, searched)) == std::string::npos) {
    searched = rest_.size() - std::min(rest_.size(), part.size());
    if (!more()) return {};
  }
  std::string said = rest_.substr(0, found + part.size());
  rest_.erase(0, said.size());
  return said;
}

std::string Peer::rest() {
  while (more()) continue;
  return std::exchange(rest_, {});
}

bool Peer::more() {
  if (sys::wait_fd(socket_.get(), POLLIN, soon(), stop_) != sys::WaitResult::Ready) return false;
  std::array<std::byte, 4096> buffer{};
  const auto got = sys::read_some(socket_.get(), buffer);
  if (got <= 0) return false;
  rest_.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
  return true;
}

void Peer::send(std::string_view bytes) {
  try {
    sys::write_all(socket_.get(), bytes, soon());
  } catch (const Error&) {
    // The client may be gone already: that is what some tests are about.
  }
}

void Peer::wait_until_closed() {
  while (sys::wait_fd(socket_.get(), POLLIN, soon(), stop_) == sys::WaitResult::Ready) {
    std::array<std::byte, 4096> buffer{};
    try {
      if (sys::read_some(socket_.get(), buffer) <= 0) return;
    } catch (const Error&) {
      return;
    }
  }
}

ScriptedServer ScriptedServer::on_unix_socket(const std::filesystem::path& path, std::vector<Step> script) {
  return ScriptedServer{sys::unix_listen(path), 0, std::move(script)};
}

ScriptedServer ScriptedServer::on_loopback(std::vector<Step> script, std::uint16_t port) {
  sys::Fd listener{sys::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")};
  // Connections of the server before it at that port linger.
  const int yes = 1;
  sys::check(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  socklen_t length = sizeof address;
  sys::check(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), "bind");
  sys::check(::listen(listener.get(), 8), "listen");
  sys::check(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  return ScriptedServer{std::move(listener), ntohs(address.sin_port), std::move(script)};
}

ScriptedServer::ScriptedServer(sys::Fd listener, std::uint16_t port, std::vector<Step> script)
    : port_{port}, thread_{[listener = std::move(listener), script = std::move(script)](const std::stop_token& stop) {
        std::size_t next = 0;
        while (sys::wait_fd(listener.get(), POLLIN, Deadline::never(), stop) == sys::WaitResult::Ready) {
          sys::Fd socket{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
          if (socket.get() < 0 || next == script.size()) continue;
          Peer peer{std::move(socket), stop};
          script[next++](peer);
        }
      }} {}

std::string ScriptedServer::url(std::string_view path) const {
  return fmt::format("http://127.0.0.1:{}{}", port_, path);
}

}  // namespace fireclaw::http::test
