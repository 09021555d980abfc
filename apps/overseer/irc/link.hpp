#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "event_loop.hpp"
#include "irc/byte_stream.hpp"
#include "irc/pacing.hpp"
#include "irc/resolver.hpp"
#include "irc/session.hpp"

namespace fireclaw::overseer {

struct IrcServer {
  std::string host = "localhost";
  std::uint16_t port = 6667;
  bool tls = false;
  bool tls_verify = true;
  std::filesystem::path tls_ca;
  /// Refuse a server whose address turns out not to be this machine's own.
  bool only_loopback = false;
};

struct IrcPace {
  /// nullopt: the pace that strangers' servers accept, 5 lines and then one a second; on the server of `fireclaw irc`,
  /// which says that it is ours, 100 and then 100 a second.
  std::optional<unsigned> burst;
  std::optional<Seconds> interval;
  Seconds reconnect_first{1.0};
  Seconds reconnect_longest{120.0};
  std::chrono::seconds connect_timeout{30};
};

/// Keeps us on IRC: resolves, connects, hands bytes to an IrcSession, and connects again when that ends. Lives on the
/// loop's thread; destruction drops the connection.
class IrcLink {
 public:
  /// `on_event` may call any member but must not destroy the link.
  IrcLink(EventLoop& loop, IrcServer server, IrcIdentity identity, IrcTimes times, IrcPace pace,
          std::function<void(const IrcEvent&)> on_event);
  IrcLink(const IrcLink&) = delete;
  IrcLink& operator=(const IrcLink&) = delete;
  ~IrcLink();

  void connect();
  /// False if it was dropped: we are not on IRC, or too much waits already.
  bool say(const std::string& target, std::string_view line);
  /// Says goodbye; `done` is called once the connection is over, at the latest four seconds later.
  void quit(std::string_view reason, std::function<void()> done);

  /// Null while there is no connection.
  [[nodiscard]] const IrcSession* session() const { return session_.get(); }
  [[nodiscard]] std::uint64_t connections() const { return connections_; }

 private:
  void on_resolved(Lookup::Result result);
  void try_next(const std::string& problem);
  void on_connecting();
  void start_session();
  void on_ready(short events);
  void pump();
  bool flush();
  void dispatch(const std::vector<IrcEvent>& events);
  void end(const std::string& reason);
  void drop();
  void set_events(short events);
  void set_pace(bool ours);
  [[nodiscard]] std::string where() const;

  EventLoop& loop_;
  IrcServer server_;
  IrcIdentity identity_;
  IrcTimes times_;
  IrcPace pace_;
  std::function<void(const IrcEvent&)> on_event_;
  Pacer pacer_;
  Backoff backoff_;
  std::uint64_t connections_ = 0;

  std::unique_ptr<Lookup> lookup_;
  std::vector<SocketAddress> addresses_;
  cli::Fd socket_;
  EventLoop::Id watching_ = 0;
  EventLoop::Id timer_ = 0;
  EventLoop::Id pump_timer_ = 0;
  /// With an address while there are others to try.
  EventLoop::Id patience_timer_ = 0;
  /// With bytes that the stream holds.
  EventLoop::Id more_timer_ = 0;
  std::unique_ptr<ByteStream> stream_;
  bool shaking_hands_ = false;
  std::unique_ptr<IrcSession> session_;
  std::string unsent_;
  TimePoint began_;
  std::function<void()> on_quit_;
};

}  // namespace fireclaw::overseer
