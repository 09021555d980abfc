#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

#include "base/deadline.hpp"
#include "sys/fd.hpp"

namespace fireclaw::http {

struct Request {
  /// "GET", "PUT", "PATCH", ...
  std::string method = "GET";
  /// Path and query: "/vm/config".
  std::string target = "/";
  /// Sent as application/json unless the method is GET.
  std::string body;

  bool operator==(const Request&) const = default;
};

struct Response {
  int status = 0;
  std::string body;
};

struct Limits {
  Deadline deadline = Deadline::never();
  std::stop_token stop;
  /// A longer reply is an error.
  std::size_t max_body_bytes = std::size_t{16} << 20;
};

/// A local server on a Unix socket that is talked to over one connection, kept open between requests and opened again
/// if the server closed it. Owns that connection. Use from one thread at a time. Speaks as much of HTTP as engines and
/// the gateway do, and needs no library for it: libcurl would take longer to load than a machine to restore.
class Client {
 public:
  /// Paths of any length work; a link in the socket's place is refused.
  static Client over_unix_socket(const std::filesystem::path& socket);

  /// One request and its answer, whatever the answer's status. Error(NotFound) if the socket file is missing;
  /// Error(Io) if the server cannot be reached, hangs up or answers something that is not HTTP; Error(Timeout);
  /// Error(Cancelled).
  Response send(const Request& request, const Limits& limits);

 private:
  class Exchange;
  explicit Client(std::filesystem::path socket) : socket_{std::move(socket)} {}

  std::filesystem::path socket_;
  std::optional<sys::Fd> connection_;
};

}  // namespace fireclaw::http
