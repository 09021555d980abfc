#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "common/files/fd.hpp"
#include "event_loop.hpp"

namespace fireclaw::overseer {

/// A listening Unix socket for its owner alone, in place of one that a dead process left there. Error(AlreadyExists) if
/// anything else is there; Error(Io).
cli::Fd listen_unix(const std::filesystem::path& path);
/// "127.0.0.1:9464" or "[::1]:9464". Error(InvalidArgument) for addresses that others could reach.
cli::Fd listen_loopback(const std::string& address);
/// What a server on a Unix socket answers to GET. Error(NotFound) if nobody listens; Error(Timeout).
std::string get_unix(const std::filesystem::path& path, std::string_view target);

/// Answers GET over HTTP on sockets that listen. Lives on the loop's thread. Few and slow clients are all it is for:
/// at most 16 at once, each for at most five seconds.
class StatusServer {
 public:
  struct Page {
    std::string type;
    std::string body;
  };
  /// The page at a path, if there is one: nothing is an answer, too (404).
  using Pages = std::map<std::string, std::function<Page()>, std::less<>>;

  StatusServer(EventLoop& loop, Pages pages) : loop_{loop}, pages_{std::move(pages)} {}
  StatusServer(const StatusServer&) = delete;
  StatusServer& operator=(const StatusServer&) = delete;
  ~StatusServer();

  void add(cli::Fd listener);

 private:
  struct Client {
    cli::Fd socket;
    EventLoop::Id watching = 0;
    EventLoop::Id timer = 0;
    std::string request;
    std::string reply;
  };
  using ClientId = std::uint64_t;

  void accept_one(int listener);
  /// Accepts nobody for a while.
  void pause();
  void on_ready(ClientId id);
  /// False once there is nothing more to do.
  bool serve(Client& client);
  [[nodiscard]] std::string reply_to(std::string_view request) const;
  void drop(ClientId id);

  EventLoop& loop_;
  Pages pages_;
  std::map<EventLoop::Id, cli::Fd> listeners_;
  std::map<ClientId, Client> clients_;
  ClientId next_ = 0;
  EventLoop::Id resuming_ = 0;
};

}  // namespace fireclaw::overseer
