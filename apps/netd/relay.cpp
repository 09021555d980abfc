#include "relay.hpp"

#include <arpa/inet.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <string_view>

#include "words.hpp"

namespace fireclaw::netd {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t buffer_bytes = std::size_t{32} << 10;
constexpr std::size_t datagram_bytes = std::size_t{64} << 10;
/// As long as the kernel remembers an answered UDP connection.
constexpr std::chrono::seconds silence{120};
/// How much is done before others have their turn.
constexpr int most_at_once = 64;

/// A socket that is connected or about to be; none if it cannot.
Fd connect_to(int type, const sockaddr_in& target) {
  Fd socket{::socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!socket) return {};
  const int result = ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&target), sizeof target);
  return result == 0 || errno == EINPROGRESS ? std::move(socket) : Fd{};
}

/// Closes with a reset, so that the other end knows at once that nobody is there.
void reset(const Fd& socket) {
  const linger at_once{1, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

bool would_block() { return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR; }

}  // namespace

Entrance Entrance::parse(const std::string& text) {
  constexpr const char* kind = "an entrance";
  const std::string_view words{text};
  const auto equals = text.find('=');
  const auto slash = text.find('/');
  const auto colon = text.rfind(':');
  if (equals == std::string::npos || slash == std::string::npos || colon == std::string::npos || slash < equals ||
      colon < slash) {
    refuse(kind, text);
  }
  const auto number = number_in<int>(words.substr(0, equals), kind, text);
  const auto protocol = text.substr(equals + 1, slash - equals - 1);
  if (protocol != "tcp" && protocol != "udp") refuse(kind, text);
  Entrance entrance{Fd{number}, protocol == "tcp", {}};
  entrance.target.sin_family = AF_INET;
  entrance.target.sin_port = htons(number_in<std::uint16_t>(words.substr(colon + 1), kind, text, 1));
  if (::inet_pton(AF_INET, text.substr(slash + 1, colon - slash - 1).c_str(), &entrance.target.sin_addr) != 1) {
    refuse(kind, text);
  }
  return entrance;
}

/// Something that events come for.
class Relay::Handler {
 public:
  explicit Handler(Relay& relay) : relay_{relay} {}
  Handler(const Handler&) = delete;
  Handler& operator=(const Handler&) = delete;
  virtual ~Handler() = default;
  virtual void handle() = 0;
  virtual void forget_silent(Clock::time_point /*now*/) {}

 protected:
  Relay& relay_;
};

/// A client and where it was led: bytes both ways, each end's close passed on alone.
class Relay::Connection final : public Relay::Handler {
 public:
  Connection(Relay& relay, Fd client, Fd server) : Handler{relay}, ends_{std::move(client), std::move(server)} {
    ++relay_.conversations_;
    watch_only(1, EPOLLOUT);  // the client is heard once there is somebody to tell
  }
  ~Connection() override { --relay_.conversations_; }

  void handle() override {
    if (!connected_ && !settle_connection()) return;
    for (std::size_t from = 0; from < 2; ++from) {
      if (!move(from)) return end();
    }
    if (flows_[0].closed && flows_[1].closed) return end();
    for (std::size_t end = 0; end < 2; ++end) look_for(end);
  }

 private:
  struct Flow {
    std::array<std::byte, buffer_bytes> bytes;
    std::size_t begin = 0;
    std::size_t end = 0;
    bool drained = false;  // the sender has closed
    bool closed = false;   // and the receiver knows
  };

  /// False: not connected (yet).
  bool settle_connection() {
    int problem = 0;
    socklen_t size = sizeof problem;
    ::getsockopt(ends_[1].get(), SOL_SOCKET, SO_ERROR, &problem, &size);
    sockaddr_in peer{};
    socklen_t peer_size = sizeof peer;
    if (problem != 0) {
      end();
    } else {
      connected_ = ::getpeername(ends_[1].get(), reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0;
    }
    return connected_;
  }

  bool move(std::size_t from) {
    auto& flow = flows_[from];
    for (int turn = 0; turn < most_at_once; ++turn) {
      if (flow.begin == flow.end) {
        flow.begin = flow.end = 0;
        if (flow.drained) break;
        const auto got = ::recv(ends_[from].get(), flow.bytes.data(), flow.bytes.size(), 0);
        if (got < 0) return would_block();
        flow.drained = got == 0;
        flow.end = static_cast<std::size_t>(got);
        continue;
      }
      const auto sent =
          ::send(ends_[1 - from].get(), flow.bytes.data() + flow.begin, flow.end - flow.begin, MSG_NOSIGNAL);
      if (sent < 0) return would_block();
      flow.begin += static_cast<std::size_t>(sent);
    }
    if (flow.drained && flow.begin == flow.end && !flow.closed) {
      flow.closed = true;
      ::shutdown(ends_[1 - from].get(), SHUT_WR);
    }
    return true;
  }

  void look_for(std::size_t end) {
    const auto& out = flows_[end];
    const auto& in = flows_[1 - end];
    const bool reads = !out.drained && out.begin == out.end;
    const bool writes = in.begin != in.end;
    watch_only(end, (reads ? EPOLLIN : 0U) | (writes ? EPOLLOUT : 0U));
  }
  /// With nothing to look for the descriptor is left out: the kernel would tell of its end again and again.
  void watch_only(std::size_t end, std::uint32_t events) {
    const auto before = std::exchange(interest_[end], events);
    if (before == events) return;
    const int operation = before == 0 ? EPOLL_CTL_ADD : events == 0 ? EPOLL_CTL_DEL : EPOLL_CTL_MOD;
    relay_.watch(operation, ends_[end].get(), events, *this);
  }
  /// What is unsent by now was sent to somebody who is gone.
  void end() {
    if (!connected_ || !flows_[0].closed || !flows_[1].closed) reset(ends_[0]);
    relay_.bury(*this);
  }

  std::array<Fd, 2> ends_;
  std::array<std::uint32_t, 2> interest_{};
  std::array<Flow, 2> flows_{};
  bool connected_ = false;
};

class Relay::TcpEntrance final : public Relay::Handler {
 public:
  TcpEntrance(Relay& relay, Entrance entrance) : Handler{relay}, entrance_{std::move(entrance)} {
    relay_.watch(EPOLL_CTL_ADD, entrance_.socket.get(), EPOLLIN, *this);
  }
  void handle() override {
    for (int turn = 0; turn < most_at_once; ++turn) {
      Fd client{::accept4(entrance_.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
      if (!client) return;
      auto server =
          relay_.conversations_ < relay_.most_conversations_ ? connect_to(SOCK_STREAM, entrance_.target) : Fd{};
      if (!server) {
        reset(client);
        continue;
      }
      auto connection = std::make_unique<Connection>(relay_, std::move(client), std::move(server));
      auto* const key = connection.get();
      relay_.handlers_.emplace(key, std::move(connection));
    }
  }

 private:
  Entrance entrance_;
};

/// One client's datagrams: a socket of their own, so that answers find their way back.
class Relay::Session final : public Relay::Handler {
 public:
  Session(Relay& relay, int entrance, sockaddr_storage client, socklen_t client_size, Fd server)
      : Handler{relay}, entrance_{entrance}, client_{client}, client_size_{client_size}, server_{std::move(server)} {
    ++relay_.conversations_;
    relay_.watch(EPOLL_CTL_ADD, server_.get(), EPOLLIN, *this);
  }
  ~Session() override { --relay_.conversations_; }

  void pass_on(const std::byte* bytes, std::size_t size) {
    used_ = Clock::now();
    ::send(server_.get(), bytes, size, MSG_NOSIGNAL);
  }
  void handle() override {
    std::array<std::byte, datagram_bytes> bytes;
    for (int turn = 0; turn < most_at_once; ++turn) {
      const auto got = ::recv(server_.get(), bytes.data(), bytes.size(), 0);
      if (got < 0) return;  // nothing more, or word that nobody listens there
      used_ = Clock::now();
      ::sendto(entrance_, bytes.data(), static_cast<std::size_t>(got), MSG_NOSIGNAL,
               reinterpret_cast<const sockaddr*>(&client_), client_size_);
    }
  }
  [[nodiscard]] bool is_silent(Clock::time_point now) const { return now - used_ > silence; }

 private:
  int entrance_;
  sockaddr_storage client_;
  socklen_t client_size_;
  Fd server_;
  Clock::time_point used_ = Clock::now();
};

class Relay::UdpEntrance final : public Relay::Handler {
 public:
  UdpEntrance(Relay& relay, Entrance entrance) : Handler{relay}, entrance_{std::move(entrance)} {
    relay_.watch(EPOLL_CTL_ADD, entrance_.socket.get(), EPOLLIN, *this);
  }
  void handle() override {
    std::array<std::byte, datagram_bytes> bytes;
    for (int turn = 0; turn < most_at_once; ++turn) {
      sockaddr_storage client{};
      socklen_t size = sizeof client;
      const auto got = ::recvfrom(entrance_.socket.get(), bytes.data(), bytes.size(), 0,
                                  reinterpret_cast<sockaddr*>(&client), &size);
      if (got < 0) return;
      if (auto* session = session_of(client, size)) session->pass_on(bytes.data(), static_cast<std::size_t>(got));
    }
  }
  void forget_silent(Clock::time_point now) override {
    std::erase_if(sessions_, [&](const auto& entry) {
      if (!entry.second->is_silent(now)) return false;
      relay_.bury(*entry.second);
      return true;
    });
  }

 private:
  Session* session_of(const sockaddr_storage& client, socklen_t size) {
    const std::string key{reinterpret_cast<const char*>(&client), size};
    if (const auto known = sessions_.find(key); known != sessions_.end()) return known->second;
    if (relay_.conversations_ >= relay_.most_conversations_) return nullptr;
    auto server = connect_to(SOCK_DGRAM, entrance_.target);
    if (!server) return nullptr;
    auto session = std::make_unique<Session>(relay_, entrance_.socket.get(), client, size, std::move(server));
    auto* const raw = session.get();
    sessions_.emplace(key, raw);
    relay_.handlers_.emplace(raw, std::move(session));
    return raw;
  }

  Entrance entrance_;
  std::map<std::string, Session*> sessions_;
};

Relay::Relay(std::vector<Entrance> entrances, std::size_t most_conversations)
    : most_conversations_{most_conversations}, epoll_{check(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")} {
  for (auto& entrance : entrances) {
    std::unique_ptr<Handler> handler;
    if (entrance.tcp) {
      handler = std::make_unique<TcpEntrance>(*this, std::move(entrance));
    } else {
      handler = std::make_unique<UdpEntrance>(*this, std::move(entrance));
    }
    auto* const key = handler.get();
    handlers_.emplace(key, std::move(handler));
  }
}

Relay::~Relay() = default;

void Relay::watch(int operation, int fd, std::uint32_t events, Handler& handler) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &handler;
  check(::epoll_ctl(epoll_.get(), operation, fd, &event), "epoll_ctl");
}

void Relay::bury(Handler& handler) {
  const auto found = handlers_.find(&handler);
  if (found == handlers_.end()) return;
  buried_.push_back(std::move(found->second));
  handlers_.erase(found);
}

void Relay::step() {
  std::array<epoll_event, most_at_once> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  for (int i = 0; i < count; ++i) {
    auto* const handler = static_cast<Handler*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (handlers_.contains(handler)) handler->handle();
  }
  buried_.clear();
}

void Relay::forget_silent(std::chrono::steady_clock::time_point now) {
  std::vector<Handler*> all;
  for (const auto& [key, handler] : handlers_) all.push_back(key);
  for (auto* handler : all) {
    if (handlers_.contains(handler)) handler->forget_silent(now);
  }
  buried_.clear();
}

}  // namespace fireclaw::netd
