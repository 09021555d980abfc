#include "http/client.hpp"

#include <fmt/format.h>
#include <poll.h>

#include <array>
#include <cerrno>
#include <optional>
#include <string_view>
#include <utility>

#include "fireclaw/error.hpp"
#include "http/answer.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::http {
namespace {

constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::string_view cut_off = "the answer is cut off";

std::string to_text(const Request& request) {
  auto text =
      fmt::format("{} {} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n", request.method, request.target);
  if (request.method != "GET") {
    text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", request.body.size());
  }
  text += "\r\n";
  if (request.method != "GET") text += request.body;
  return text;
}

}  // namespace

/// One request on one connection.
class Client::Exchange {
 public:
  Exchange(int socket, const Limits& limits, std::string_view what) : socket_{socket}, limits_{limits}, what_{what} {}

  void send(std::string_view text) {
    auto bytes = std::as_bytes(std::span{text});
    while (!bytes.empty()) {
      const auto sent = sys::write_some(socket_, bytes);
      if (sent < 0) {
        sys::require_fd(socket_, POLLOUT, limits_.deadline, what_, limits_.stop);
      } else {
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
      }
    }
  }

  Response receive() {
    auto end = std::string::npos;
    while ((end = received_.find(head_end)) == std::string::npos) {
      if (received_.size() > longest_head) throw Error{ErrorCode::Io, "the answer's head is too long"};
      read_more();
    }
    const auto body = end + head_end.size();
    const auto head = parse_answer_head(std::string_view{received_}.substr(0, end + 2));
    if (head.body_bytes > limits_.max_body_bytes) {
      throw Error{ErrorCode::Io, fmt::format("the answer is longer than {} bytes", limits_.max_body_bytes)};
    }
    while (received_.size() - body < head.body_bytes) read_more();
    // More than was announced is an answer to no question: what follows on this connection could not be told apart.
    stays_open_ = head.stays_open && received_.size() - body == head.body_bytes;
    return {head.status, received_.substr(body, head.body_bytes)};
  }

  [[nodiscard]] bool has_begun() const { return !received_.empty(); }
  [[nodiscard]] bool stays_open() const { return stays_open_; }

 private:
  void read_more() {
    std::array<std::byte, 4096> buffer;
    auto count = sys::read_some(socket_, buffer);
    while (count < 0) {
      sys::require_fd(socket_, POLLIN, limits_.deadline, what_, limits_.stop);
      count = sys::read_some(socket_, buffer);
    }
    if (count == 0) throw Error{ErrorCode::Io, std::string{cut_off}};
    received_.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(count));
  }

  int socket_;
  const Limits& limits_;
  std::string_view what_;
  std::string received_;
  bool stays_open_ = false;
};

Client Client::over_unix_socket(const std::filesystem::path& socket) { return Client{socket}; }

Response Client::send(const Request& request, const Limits& limits) {
  const auto what = fmt::format("{} {} at {}", request.method, request.target, socket_.native());
  const auto text = to_text(request);
  for (;;) {
    const bool used = connection_.has_value();
    std::optional<Exchange> exchange;
    try {
      // It lies in a folder that the engine writes. A queue that is full is refused, like a socket nobody listens on.
      if (!used) connection_.emplace(sys::unix_connect(socket_, sys::Links::Refuse, sys::FullQueue::Refuse));
      exchange.emplace(connection_->get(), limits, what);
      exchange->send(text);
      auto response = exchange->receive();
      if (!exchange->stays_open()) connection_.reset();
      return response;
    } catch (Error& error) {
      connection_.reset();
      // The server has closed it since, before it has seen this request.
      if (used && error.code() == ErrorCode::Io && !exchange->has_begun()) continue;
      if (error.code() != ErrorCode::Timeout && error.code() != ErrorCode::Cancelled) error.add_context(what);
      throw;
    }
  }
}

}  // namespace fireclaw::http
