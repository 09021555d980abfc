#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "guest/tree/tree.hpp"
#include "guest/wire/frames.hpp"
#include "guest/wire/wire.hpp"
#include "loop.hpp"
#include "machine.hpp"

namespace fireclaw::guestd {

/// The session as its channels see it.
class Outlet {
 public:
  /// Whether bulk data may be added: the queue for the host is bounded.
  [[nodiscard]] virtual bool has_room() const = 0;
  virtual void send(wire::Type type, std::uint32_t channel, std::string_view payload = {}) = 0;
  /// Room for the payload of one bulk frame, to be filled at once and sent by end_bulk(); nothing else may be sent
  /// between the two. Not calling end_bulk() takes it back.
  virtual char* begin_bulk(std::size_t bytes) = 0;
  virtual void end_bulk(wire::Type type, std::uint32_t channel, std::size_t bytes) = 0;
  virtual Loop& loop() = 0;
  virtual Machine& machine() = 0;
  virtual Steps& steps() = 0;

 protected:
  ~Outlet() = default;
};

/// One thing under way for the host: a command or a copy.
class Channel {
 public:
  Channel(Outlet& outlet, std::uint32_t id) : outlet_{outlet}, id_{id} {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  /// Ends its process.
  virtual ~Channel() = default;

  /// A frame for it, already checked against the window if it is metered. False: a protocol error.
  virtual bool handle(const wire::Frame& frame) = 0;
  /// Sends a little of its data; true if something was sent.
  virtual bool pump() { return false; }
  virtual bool child_ended(pid_t, int) { return false; }
  [[nodiscard]] virtual std::int64_t deadline() const { return -1; }
  virtual void tick() {}

  /// Whether it has ended: it sends no more.
  [[nodiscard]] bool finished() const { return finished_; }
  /// False: the host sent more than it had been allowed to.
  bool charge(std::size_t cost);
  /// False: the host allowed more than a window.
  bool credit(std::uint32_t bytes);

 protected:
  /// `cost` of the received data has been handled; the host is told in large pieces.
  void consumed(std::size_t cost);
  void send(wire::Type type, std::string_view payload = {}) { outlet_.send(type, id_, payload); }
  void send_done(int error, std::string_view message);

  Outlet& outlet_;
  const std::uint32_t id_;
  /// How much may still be sent to the host.
  std::size_t allowance_ = wire::window_bytes;
  bool finished_ = false;

 private:
  std::size_t held_ = 0;
  std::size_t unannounced_ = 0;
};

std::unique_ptr<Channel> make_exec_channel(Outlet& outlet, std::uint32_t id, Spawned spawned, bool tty);
std::unique_ptr<Channel> make_put_channel(Outlet& outlet, std::uint32_t id, const wire::Put& request);
std::unique_ptr<Channel> make_get_channel(Outlet& outlet, std::uint32_t id, const wire::Get& request);
/// Says when the file that the request names is written or replaced.
std::unique_ptr<Channel> make_watch_channel(Outlet& outlet, std::uint32_t id, const wire::Watch& request);
/// Answers once the service, which has been asked to end, has ended.
std::unique_ptr<Channel> make_stop_channel(Outlet& outlet, std::uint32_t id, std::string service);

}  // namespace fireclaw::guestd
