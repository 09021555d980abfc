#include "gateway/testing/running.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::gateway::test {
namespace {

Deadline soon() { return Deadline::after(std::chrono::seconds{20}); }

sockaddr_in address_of(const std::string& host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host.c_str(), &address.sin_addr);
  return address;
}

sys::Fd make_socket() { return sys::Fd{sys::check(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket")}; }

void bind_to(const sys::Fd& socket, const std::string& host, std::uint16_t port = 0) {
  const auto address = address_of(host, port);
  sys::check(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind");
}

sys::Fd listen_on_loopback(std::uint16_t& port) {
  auto listener = make_socket();
  const int yes = 1;
  sys::check(::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes), "SO_REUSEADDR");
  bind_to(listener, "127.0.0.1", port);
  sys::check(::listen(listener.get(), 64), "listen");
  sockaddr_in address{};
  socklen_t length = sizeof address;
  sys::check(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length), "getsockname");
  port = ntohs(address.sin_port);
  return listener;
}

std::string read_until(int socket, std::string& received, std::string_view part) {
  for (;;) {
    if (!part.empty() && received.find(part) != std::string::npos) return std::exchange(received, {});
    sys::require_fd(socket, POLLIN, soon(), "an answer");
    std::array<std::byte, 65536> buffer{};
    std::ptrdiff_t got = 0;
    try {
      got = sys::read_some(socket, buffer);
    } catch (const Error&) {
      // A connection that is cut ends as well as one that is closed.
    }
    if (got <= 0) return std::exchange(received, {});
    received.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
  }
}

}  // namespace

FixedSources sources_for(const std::string& url) {
  FixedSources sources;
  state::LlmUpstream upstream;
  upstream.name = "local";
  upstream.url = url;
  sources.settings.upstreams.push_back(std::move(upstream));
  return sources;
}

RunningGateway::RunningGateway(FixedSources sources, ServerLimits limits, std::uint16_t port, std::uint16_t irc_port,
                               std::optional<HttpRules> rules)
    : folder_{std::filesystem::temp_directory_path(), "gateway-"},
      sources_{std::move(sources)},
      service_{sources_, refusals_, clock_, logger_},
      limits_{limits},
      port_{port},
      irc_port_{irc_port} {
  auto llm = listen_on_loopback(port_);
  auto irc = listen_on_loopback(irc_port_);
  Listeners listeners{std::move(llm), std::move(irc)};
  if (rules) listeners.http.emplace(HttpListener{listen_on_loopback(http_port_), *std::move(rules)});
  auto status = sys::unix_listen(folder_.path() / "status");
  thread_ = std::jthread{
      [this, listeners = std::move(listeners), status = std::move(status)](const std::stop_token& stop) mutable {
        serve(sources_, service_, std::move(status), std::move(listeners), limits_, logger_, {}, stop);
      }};
}

std::string RunningGateway::status(std::string_view target) const {
  const auto socket = sys::unix_connect(folder_.path() / "status");
  sys::write_all(socket.get(), fmt::format("GET {} HTTP/1.0\r\n\r\n", target), soon());
  std::string received;
  return read_until(socket.get(), received, {});
}

Caller::Caller(std::uint16_t port, const std::string& from) : socket_{make_socket()} {
  bind_to(*socket_, from);
  const auto address = address_of("127.0.0.1", port);
  sys::check(::connect(socket_->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
}

void Caller::send(std::string_view bytes) {
  try {
    sys::write_all(socket_->get(), bytes, soon());
  } catch (const Error&) {
    // A client that is refused may find the connection closed; what was answered is what tests look at.
  }
}

void Caller::ask(std::string_view target, std::string_view body) {
  send(fmt::format("POST {} HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer guest\r\nContent-Length: {}\r\n\r\n{}",
                   target, body.size(), body));
}

std::string Caller::until(std::string_view part) { return read_until(socket_->get(), received_, part); }

}  // namespace fireclaw::gateway::test
