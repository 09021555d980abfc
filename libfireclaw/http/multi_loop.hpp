#pragma once

#include <cstdint>

#include "http/curl.hpp"
#include "http/failure.hpp"
#include "sys/fd.hpp"

namespace fireclaw::http {

/// The failure that libcurl's code means.
Failure failure_of(CURLcode code);

/// A set of libcurl's transfers within an event loop of the caller's: whenever fd() is readable, run() is called. Use
/// from one thread.
class MultiLoop {
 public:
  MultiLoop();
  MultiLoop(const MultiLoop&) = delete;
  MultiLoop& operator=(const MultiLoop&) = delete;
  ~MultiLoop() = default;

  [[nodiscard]] CURLM* get() const noexcept { return multi_.get(); }
  [[nodiscard]] int fd() const noexcept { return epoll_.get(); }
  void run();
  /// Watches a socket that libcurl leaves to its user, for epoll's events; 0: not any more.
  void watch(curl_socket_t socket, std::uint32_t events);
  /// When run() is due at the latest; negative: never.
  void set_timer(long milliseconds);

 private:
  static int on_socket(CURL* easy, curl_socket_t socket, int what, void* user, void* of_socket) noexcept;
  static int on_timer(CURLM* multi, long milliseconds, void* user) noexcept;

  const CurlLibrary& curl_ = CurlLibrary::get();
  sys::Fd epoll_;
  sys::Fd timer_;
  Multi multi_;
};

}  // namespace fireclaw::http
