#pragma once

#include <sys/socket.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "http/failure.hpp"

namespace fireclaw::http {

/// When a silent connection is first probed, and how often after that.
inline constexpr std::chrono::seconds keepalive_idle{120};
inline constexpr std::chrono::seconds keepalive_interval{30};

/// One connection to a server, over TCP or TLS, for what is not HTTP. Works within an event loop of the caller's, as
/// Transfers does: whenever fd() is readable, run() is called. No proxy of the environment is used. Use from one
/// thread.
class Stream {
 public:
  struct Target {
    /// A name, or an address; of IPv6 without brackets.
    std::string host;
    std::uint16_t port = 0;
    bool tls = false;
    /// Whether the server's certificate must be right.
    bool verify = true;
    /// Certificates to trust instead of the system's; empty: those.
    std::string ca_file;
    std::chrono::seconds connect_limit{10};
    /// Whether to connect to an address of the name. Unset: to any.
    std::function<bool(const sockaddr& address)> admits;
  };

  struct End {
    /// Unset: the server has closed the connection.
    std::optional<Failure> failure;
    /// What went wrong, in libcurl's words. It can name addresses.
    std::string detail;
  };

  /// Receives the server's bytes. It is called only from run(), resume() or send().
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_open() = 0;
    /// Takes bytes. False: not now; the same bytes are offered again after resume().
    virtual bool on_bytes(std::string_view bytes) = 0;
    /// The kernel has taken all bytes of send().
    virtual void on_sent() = 0;
    /// The last call.
    virtual void on_end(const End& end) = 0;
  };

  /// The handler must outlive it. Error(Unsupported) without libcurl.
  Stream(Target target, Handler& handler);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  /// Cuts the connection without another call. Not within a call of the handler's.
  ~Stream();

  [[nodiscard]] int fd() const noexcept;
  void run();

  /// After on_open(). What the kernel does not take at once is kept: the caller waits for on_sent() before it sends
  /// more.
  void send(std::string_view bytes);
  /// How many bytes are kept.
  [[nodiscard]] std::size_t unsent() const noexcept;
  /// Offers again what on_bytes() did not take, perhaps before it returns.
  void resume();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fireclaw::http
