#pragma once

#include <netinet/in.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "fd.hpp"

namespace fireclaw::netd {

/// A socket that others connect to, and where they are led. The socket can be of another network namespace than the
/// process: what it accepts belongs there, what the relay connects belongs here.
struct Entrance {
  /// TCP: listening. UDP: bound.
  Fd socket;
  bool tcp = true;
  sockaddr_in target{};

  /// "5=tcp/172.16.0.2:80": descriptor 5. std::invalid_argument for anything else.
  static Entrance parse(const std::string& text);
};

/// Passes bytes and datagrams on, in one thread. Owns its sockets.
class Relay {
 public:
  /// `most_conversations`: connections and clients that send datagrams. Each takes two descriptors at most.
  Relay(std::vector<Entrance> entrances, std::size_t most_conversations);
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay();

  /// For poll(): readable when there is something to do.
  [[nodiscard]] int fd() const { return epoll_.get(); }
  /// Does what there is to do, and does not wait.
  void step();
  /// Ends conversations by datagrams that nobody continues. To be called every few seconds.
  void forget_silent(std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());

 private:
  class Handler;
  class TcpEntrance;
  class Connection;
  class UdpEntrance;
  class Session;

  void watch(int operation, int fd, std::uint32_t events, Handler& handler);
  /// Ends with the step: events that are already fetched may name it.
  void bury(Handler& handler);

  std::size_t most_conversations_;
  Fd epoll_;
  std::map<Handler*, std::unique_ptr<Handler>> handlers_;
  std::vector<std::unique_ptr<Handler>> buried_;
  std::size_t conversations_ = 0;
};

}  // namespace fireclaw::netd
