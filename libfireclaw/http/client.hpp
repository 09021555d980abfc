#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <stop_token>
#include <string>

#include "base/deadline.hpp"

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

/// Loads what the first request would otherwise load (libcurl, some milliseconds), for callers that have something
/// else to wait for at that moment.
void preload();

/// A local server that is talked to over one connection, kept open between requests and opened again if the server
/// closed it. Owns that connection. Use from one thread at a time. Ignores proxies and follows no redirects.
class Client {
 public:
  /// Paths of any length work.
  static Client over_unix_socket(const std::filesystem::path& socket);
  static Client over_tcp(const std::string& host, std::uint16_t port);

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// One request and its answer, whatever the answer's status. Error(NotFound) if the socket file is missing;
  /// Error(Io) if the server cannot be reached, hangs up or answers something that is not HTTP; Error(Timeout);
  /// Error(Cancelled).
  Response send(const Request& request, const Limits& limits);

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace fireclaw::http
