#include <fmt/format.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <chrono>

#include "guest/link.hpp"

namespace fireclaw::guest {
namespace {

using namespace std::chrono_literals;

/// How long guestd may keep silent before the preamble is sent again, the first time.
constexpr auto first_patience = 300ms;

/// Whether the other end of the stream has not even taken what was sent: guestd does not listen yet, and a repetition
/// would only queue up behind. (Known for Unix sockets.)
bool is_untouched(int stream) {
  int queued = 0;
  return ::ioctl(stream, SIOCOUTQ, &queued) == 0 && queued > 0;
}

wire::Hello read_hello(const wire::Frame& frame) {
  wire::Hello hello;
  if (frame.type != wire::Type::Hello || frame.channel != 0 || !wire::decode(frame.payload, hello))
    throw Error{ErrorCode::Guest, "the guest broke the protocol: it did not introduce itself"};
  if (hello.protocol != wire::protocol_version)
    throw Error{ErrorCode::Guest,
                fmt::format("the guest's guestd speaks version {} of the protocol and this fireclaw version {}; build "
                            "the image again",
                            hello.protocol, wire::protocol_version)};
  return hello;
}

}  // namespace

wire::Hello Link::greet(Deadline deadline, const std::stop_token& stop) {
  std::string requests;
  {
    const std::scoped_lock lock{mutex_};
    std::swap(requests, outbox_);
  }
  std::string opening;
  wire::append_preamble(opening, nonce_, static_cast<std::uint32_t>(requests.size()));
  opening += requests;

  const sys::StopFd stop_fd{stop};
  std::string sending = opening;
  std::size_t sent = 0;
  auto patience = std::chrono::nanoseconds{first_patience};
  Deadline repeat = Deadline::after(patience);
  std::optional<wire::Hello> hello;
  while (!hello) {
    if (sent < sending.size()) {
      const std::ptrdiff_t count = sys::write_some(stream_.get(), std::as_bytes(std::span{sending}.subspan(sent)));
      if (count > 0) sent += static_cast<std::size_t>(count);
    }
    const short wanted = static_cast<short>(POLLIN | (sent < sending.size() ? POLLOUT : 0));
    pollfd waits[] = {{stream_.get(), wanted, 0}, {stop_fd.fd(), POLLIN, 0}};
    sys::check(sys::retry([&] { return ::poll(waits, 2, deadline.sooner(repeat).poll_timeout_ms()); }), "poll");
    if (stop_fd.requested()) throw Error{ErrorCode::Cancelled, "the greeting of the guest was cancelled"};
    deadline.check("waiting for the guest's greeting");
    if ((waits[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      constexpr std::size_t most = std::size_t{64} << 10;
      char* room = reader_.input().reserve(most);
      const std::ptrdiff_t count = sys::read_some(stream_.get(), std::as_writable_bytes(std::span{room, most}));
      if (count == 0) throw Error{ErrorCode::Guest, "the guest vanished: the connection to it was closed"};
      if (count > 0) reader_.input().commit(static_cast<std::size_t>(count));
      const wire::HostReader::Event event = reader_.next();
      if (event.kind == wire::HostReader::Event::Kind::Broken)
        throw Error{ErrorCode::Guest, "the guest broke the protocol: it did not introduce itself"};
      if (event.kind == wire::HostReader::Event::Kind::Frame) hello = read_hello(event.frame);
    }
    if (hello || !repeat.passed()) continue;
    if (sent == sending.size() && !is_untouched(stream_.get())) {
      // Perhaps guestd was in the middle of a frame that another host process did not finish: fill it up, and start
      // again. If it was only slow, it takes the filling for padding and the rest for a repetition.
      sending.assign(wire::resync_bytes, '\0');
      sending += opening;
      sent = 0;
      patience *= 2;
    }
    repeat = Deadline::after(patience);
  }

  const std::scoped_lock lock{mutex_};
  if (failure_) throw_failure();
  // A repetition that is half written must be finished before anything else can follow.
  outbox_.insert(0, sending, sent);
  running_ = true;
  thread_ = std::thread{[this] { run(); }};
  return *hello;
}

}  // namespace fireclaw::guest
