#pragma once

#include <poll.h>

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "base/deadline.hpp"
#include "guest/wire/frames.hpp"
#include "guest/wire/wire.hpp"
#include "sys/fd.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"

namespace fireclaw::guest::testing {

/// The guest's end of a stream, played by a script on a thread of its own: for what the real guestd never does.
/// When the script returns, the guest hangs up.
class FakeGuest {
 public:
  using Script = std::function<void(FakeGuest&)>;

  explicit FakeGuest(Script script) : FakeGuest{std::move(script), sys::socket_pair()} {}
  ~FakeGuest() { thread_.join(); }
  FakeGuest(const FakeGuest&) = delete;
  FakeGuest& operator=(const FakeGuest&) = delete;

  /// The host's end; once.
  sys::Fd take_stream() { return std::move(host_end_); }

  // For the script.

  /// Waits for a preamble and answers it.
  wire::Preamble greet(const wire::Hello& hello = {}) {
    const wire::Preamble preamble = await_preamble();
    std::string answer;
    wire::append_greeting(answer, preamble.nonce);
    wire::append_frame(answer, reader_.seal(), wire::Type::Hello, 0, wire::encode(hello));
    send_raw(answer);
    return preamble;
  }
  wire::Preamble await_preamble() { return await(wire::GuestReader::Event::Kind::Session).preamble; }
  wire::Frame await_frame() { return await(wire::GuestReader::Event::Kind::Frame).frame; }
  void send(wire::Type type, std::uint32_t channel, std::string_view payload = {}) {
    std::string frame;
    wire::append_frame(frame, reader_.seal(), type, channel, payload);
    send_raw(frame);
  }
  void send_done(std::uint32_t channel) { send(wire::Type::Done, channel, wire::encode(wire::Done{})); }
  void send_raw(std::string_view bytes) {
    try {
      sys::write_all(own_end_.get(), bytes, Deadline::after(std::chrono::seconds{20}));
    } catch (const Error&) {
      // The host has hung up, as it may when it has seen enough.
    }
  }
  /// Until the host hangs up.
  void await_hang_up() {
    char buffer[4096];
    try {
      while (receive(buffer) > 0) {
      }
    } catch (const Error& error) {
      // A host that hangs up without having read everything resets the connection.
      if (error.code() != ErrorCode::Io) throw;
    }
  }

 private:
  FakeGuest(Script script, std::pair<sys::Fd, sys::Fd> ends)
      : host_end_{std::move(ends.first)}, own_end_{std::move(ends.second)}, thread_{[this, script = std::move(script)] {
          script(*this);
          sys::Fd{std::move(own_end_)};
        }} {}

  std::ptrdiff_t receive(std::span<char> buffer) {
    sys::require_fd(own_end_.get(), POLLIN, Deadline::after(std::chrono::seconds{20}), "waiting for the host");
    return sys::read_some(own_end_.get(), std::as_writable_bytes(buffer));
  }

  wire::GuestReader::Event await(wire::GuestReader::Event::Kind kind) {
    for (;;) {
      wire::GuestReader::Event event = reader_.next();
      if (event.kind == kind) return event;
      if (event.kind != wire::GuestReader::Event::Kind::Starved) continue;
      char buffer[4096];
      const std::ptrdiff_t got = receive(buffer);
      if (got <= 0) throw Error{ErrorCode::Io, "the host hung up"};
      reader_.input().append({buffer, static_cast<std::size_t>(got)});
    }
  }

  sys::Fd host_end_;
  sys::Fd own_end_;
  wire::GuestReader reader_;
  std::thread thread_;
};

}  // namespace fireclaw::guest::testing
