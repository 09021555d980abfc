#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "gateway/records/sources.hpp"
#include "http/stream.hpp"

namespace fireclaw::gateway {

/// A machine's connection and the connection to a server that is made for it. Passes bytes both ways, as fast as the
/// slower side takes them, until either ends; bytes that were sent before are passed on first. Owned by the event loop
/// from start() until it has ended.
class Relay : public std::enable_shared_from_this<Relay>, public http::Stream::Handler {
 public:
  Relay(boost::asio::ip::tcp::socket agent, Client client);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  [[nodiscard]] const Client& client() const noexcept { return client_; }
  /// Ends both connections at once.
  void close();

  void on_open() override;
  bool on_bytes(std::string_view bytes) override;
  void on_sent() override;
  void on_end(const http::Stream::End& end) override;

 protected:
  /// Connects to the server. pass_on() must be reached within `patience`.
  void connect(http::Stream::Target target, std::chrono::seconds patience);
  void say_to_server(std::string_view bytes) { server_->send(bytes); }
  /// Passes on the agent's bytes from now on.
  void pass_on();
  /// Tells the agent its last words and ends.
  void end_with(std::string_view last_words);

  /// Called when the server is connected.
  virtual void on_connected() = 0;
  /// Handles the server's bytes, and returns those for the agent.
  virtual std::string on_server_says(std::string_view bytes) = 0;
  /// Called if the server cannot be reached, is lost or takes too long. Calls end_with().
  virtual void on_failure(http::Failure failure, std::string_view detail) = 0;
  /// Called once, at the end.
  virtual void on_closed() = 0;

 private:
  void wait_for_server();
  void read_agent();
  void lose_agent();
  void write_agent();
  void finish();
  void drain();
  void close_after(std::chrono::seconds patience);

  boost::asio::ip::tcp::socket agent_;
  Client client_;
  boost::asio::steady_timer timer_;
  std::optional<boost::asio::posix::stream_descriptor> server_ready_;
  std::unique_ptr<http::Stream> server_;
  bool passing_on_ = false;
  bool reading_ = false;
  bool agent_ended_ = false;
  bool server_ended_ = false;
  bool held_back_ = false;
  bool finishing_ = false;
  bool closed_ = false;
  std::array<char, 16384> from_agent_;
  std::string to_agent_;
  std::string writing_;
};

/// Probes a machine's connection now and then, so that the end of a silent machine is noticed.
void keep_alive(boost::asio::ip::tcp::socket& socket);

/// Tells a machine's connection that it is not served, and ends it.
void turn_away(boost::asio::ip::tcp::socket socket, std::string_view last_words);

}  // namespace fireclaw::gateway
