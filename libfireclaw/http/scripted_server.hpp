#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "sys/fd.hpp"
#include "sys/poll.hpp"

namespace fireclaw::http::test {

/// One client's connection, seen from the server.
class Peer {
 public:
  Peer(sys::Fd socket, std::stop_token stop) : socket_{std::move(socket)}, stop_{std::move(stop)} {}
  /// Head and body of the next request; empty if the client hung up.
  std::string request();
  /// The client's bytes up to and with `part`; empty if it hung up before.
  std::string until(std::string_view part);
  /// The client's bytes that are left when it has hung up, or when the test is over.
  std::string rest();
  void send(std::string_view bytes);
  /// Returns when the client has hung up or the test is over.
  void wait_until_closed();

 private:
  bool more();

  sys::Fd socket_;
  std::stop_token stop_;
  std::string rest_;
};

/// A server that does to each connection, in the order of their arrival, what its script says; what comes after the
/// script's end is closed at once.
class ScriptedServer {
 public:
  using Step = std::function<void(Peer&)>;
  static ScriptedServer on_unix_socket(const std::filesystem::path& path, std::vector<Step> script);
  /// At a port that is free, or at this one.
  static ScriptedServer on_loopback(std::vector<Step> script, std::uint16_t port = 0);

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] std::string url(std::string_view path) const;

 private:
  ScriptedServer(sys::Fd listener, std::uint16_t port, std::vector<Step> script);

  std::uint16_t port_;
  std::jthread thread_;
};

}  // namespace fireclaw::http::test
