#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "http/failure.hpp"

namespace fireclaw::http {

/// Requests over TCP and TLS, any number of them at once, whose answers are delivered as they come. Works within an
/// event loop of the caller's: whenever fd() is readable, run() is called. Keeps connections for the next request.
/// Redirections are not followed. Use from one thread.
class Transfers {
 public:
  using Id = std::uint64_t;

  struct Request {
    std::string url;
    /// "Name: value"
    std::vector<std::string> headers;
    /// Unset: GET; else POST.
    std::optional<std::string> body;
    /// Certificates to trust instead of the system's; empty: those.
    std::string ca_file;
    std::chrono::seconds connect_limit{10};
    /// How long the server may send nothing.
    std::chrono::seconds idle_limit{600};
  };

  using Failure = http::Failure;
  struct End {
    /// Unset: the answer is whole.
    std::optional<Failure> failure;
    /// What went wrong, in libcurl's words. It can name addresses.
    std::string detail;
  };

  /// Receives an answer. An exception from it ends the transfer as BrokenOff.
  class Handler {
   public:
    virtual ~Handler() = default;
    virtual void on_head(int status, const std::map<std::string, std::string>& headers) = 0;
    /// Takes bytes. False: not now; the same bytes are offered again after resume().
    virtual bool on_body(std::string_view bytes) = 0;
    /// The last call; the transfer is gone. Others may be started and cancelled here, but not in the calls above.
    virtual void on_end(const End& end) = 0;
  };

  Transfers();
  Transfers(const Transfers&) = delete;
  Transfers& operator=(const Transfers&) = delete;
  /// Cancels all.
  ~Transfers();

  [[nodiscard]] int fd() const noexcept;
  void run();

  /// The handler must live until on_end() or cancel().
  Id start(Request request, Handler& handler);
  /// Offers again what on_body() did not take, perhaps before it returns.
  void resume(Id id);
  /// Ends it without another call. Nothing if it has ended.
  void cancel(Id id);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fireclaw::http
