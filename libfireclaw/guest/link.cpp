#include "guest/link.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <cerrno>
#include <utility>

#include "sys/random.hpp"

namespace fireclaw::guest {
namespace {

using wire::Type;

constexpr std::size_t read_bytes = std::size_t{128} << 10;
/// Frames that cost no window, in one inbox, unread. An honest guest has a handful.
constexpr std::size_t max_unmetered = 64;

wire::Nonce make_nonce() {
  wire::Nonce nonce{};
  sys::random_bytes(std::as_writable_bytes(std::span{nonce}));
  return nonce;
}

/// Whether guestd may send this on a channel: what trees consist of, and what it says after its Hello.
bool comes_from_guest(Type type) {
  return type > Type::Hello || type == Type::Data || type == Type::Entry || type == Type::Leave || type == Type::Hole;
}

Error broken(std::string_view how) { return {ErrorCode::Guest, fmt::format("the guest broke the protocol: {}", how)}; }

constexpr std::string_view no_answer = "that does not answer what it was asked";

Error vanished() { return {ErrorCode::Guest, "the guest vanished: the connection to it was closed"}; }

}  // namespace

Error guest_error(int error, std::string message) {
  if (error == EPROTO) return {ErrorCode::Guest, std::move(message)};
  if (error == EINVAL) return {ErrorCode::InvalidArgument, std::move(message)};
  if (error == EBUSY || error == ESRCH || error == ESHUTDOWN) return {ErrorCode::InvalidState, std::move(message)};
  return {sys::system_error(error, {}).code(), std::move(message)};
}

Link::Link(sys::Fd stream, std::optional<sys::Fd> claim)
    : stream_{std::move(stream)}, nonce_{make_nonce()}, seal_{nonce_}, reader_{nonce_}, claim_{std::move(claim)} {
  sys::set_nonblocking(stream_.get(), true);
}

Link::~Link() { close(); }

void Link::close() {
  if (!made_here_.holds()) {
    // The thread is not here, and a lock can be held by one that is not here either.
    if (thread_.joinable()) thread_.detach();
    return;
  }
  {
    const std::scoped_lock lock{mutex_};
    stopping_ = true;
    if (!failure_) failure_ = Error{ErrorCode::InvalidState, "the session with the guest is closed"};
    for (auto& [id, channel] : channels_) channel->event.set();
  }
  wake_.set();
  if (thread_.joinable()) thread_.join();
  ::shutdown(stream_.get(), SHUT_RDWR);
  const std::scoped_lock lock{mutex_};
  claim_.reset();
}

void Link::throw_failure() { throw Error{*failure_}; }

void Link::fail(Error error) {
  const std::scoped_lock lock{mutex_};
  if (!failure_) failure_ = std::move(error);
  for (auto& [id, channel] : channels_) channel->event.set();
  // So that guestd ends what was started, although the stream's owner may still hold it for a while.
  ::shutdown(stream_.get(), SHUT_RDWR);
}

Link::ChannelPtr Link::open_channel(Type type, std::string_view payload, std::string_view what) {
  made_here_.require("the session with the guest");
  // Under one lock: guestd expects new channels in the order of their numbers.
  const std::scoped_lock lock{mutex_};
  if (failure_) throw_failure();
  const bool idle = outbox_.empty();
  if (!wire::append_request(outbox_, seal_, type, newest_channel_ + 1, payload))
    throw Error{ErrorCode::InvalidArgument, fmt::format("{} takes {} bytes; at most {} can be sent", what,
                                                        payload.size(), wire::max_request_bytes)};
  auto channel = std::make_shared<Channel>(++newest_channel_);
  channels_.emplace(channel->id, channel);
  if (idle && running_) wake_.set();
  return channel;
}

void Link::forget(const ChannelPtr& channel) noexcept {
  if (!made_here_.holds()) return;
  const std::scoped_lock lock{mutex_};
  channels_.erase(channel->id);
}

void Link::append(Type type, std::uint32_t channel, std::string_view payload) {
  const bool idle = outbox_.empty();
  wire::append_frame(outbox_, seal_, type, channel, payload);
  if (idle && running_) wake_.set();
}

void Link::abandon(const ChannelPtr& channel) noexcept {
  if (!made_here_.holds()) return;
  const std::scoped_lock lock{mutex_};
  if (channels_.erase(channel->id) == 0 || failure_) return;
  try {
    append(Type::Close, channel->id, {});
  } catch (const std::bad_alloc&) {
    // Then guestd hears of it when the stream is closed.
  }
}

void Link::send(const ChannelPtr& channel, Type type, std::string_view payload) {
  made_here_.require("the session with the guest");
  const std::scoped_lock lock{mutex_};
  if (failure_) throw_failure();
  if (wire::is_metered(type)) channel->allowance -= wire::cost(payload.size());
  append(type, channel->id, payload);
}

bool Link::is_over() {
  const std::scoped_lock lock{mutex_};
  return failure_.has_value();
}

std::size_t Link::allowance(const ChannelPtr& channel) {
  made_here_.require("the session with the guest");
  const std::scoped_lock lock{mutex_};
  return channel->allowance;
}

std::deque<Link::Channel::Item> Link::take(const ChannelPtr& channel) {
  made_here_.require("the session with the guest");
  channel->event.clear();
  const std::scoped_lock lock{mutex_};
  if (failure_) {
    if (channel->inbox.empty()) throw_failure();
    // Nothing else wakes the next call, which must hear of the end.
    channel->event.set();
  }
  channel->unmetered = 0;
  return std::exchange(channel->inbox, {});
}

void Link::consumed(const ChannelPtr& channel, const Channel::Item& item) {
  if (!wire::is_metered(item.type)) return;
  const std::scoped_lock lock{mutex_};
  channel->consumed += item.cost;
  if (channel->consumed < wire::window_bytes / 4 || failure_) return;
  wire::Window window;
  window.bytes = static_cast<std::uint32_t>(channel->consumed);
  channel->held -= std::exchange(channel->consumed, 0);
  append(Type::Window, channel->id, wire::encode(window));
}

void Link::wait(const ChannelPtr& channel, Deadline deadline, const std::stop_token& stop, std::string_view what) {
  made_here_.require("the session with the guest");
  sys::require_fd(channel->event.fd(), POLLIN, deadline, what, stop);
}

void Link::finish(const ChannelPtr& channel, Deadline deadline, const std::stop_token& stop, std::string_view what) {
  for (;;) {
    wait(channel, deadline, stop, what);
    for (const Channel::Item& item : take(channel)) {
      wire::Done done;
      if (item.type != Type::Done || !wire::decode(item.payload, done)) break_off(no_answer);
      forget(channel);
      if (done.error != 0) throw guest_error(done.error, fmt::format("{}: {}", what, done.message));
      return;
    }
  }
}

std::string Link::answer(const ChannelPtr& channel, Type type, Deadline deadline, std::string_view what) {
  for (;;) {
    wait(channel, deadline, {}, what);
    for (const Channel::Item& item : take(channel)) {
      if (item.type != type) break_off(no_answer);
      forget(channel);
      return item.payload;
    }
  }
}

void Link::break_off(std::string_view how) {
  const Error error = broken(how);
  fail(error);
  throw Error{error};
}

bool Link::dispatch(const wire::Frame& frame) {
  const std::scoped_lock lock{mutex_};
  const auto refuse = [&](std::string_view how) {
    failure_ = broken(how);
    return false;
  };
  if (failure_) return false;
  if (frame.channel == 0) {
    wire::Done done;
    if (frame.type != Type::Done || !wire::decode(frame.payload, done)) return refuse("unexpected greeting");
    failure_ = Error{ErrorCode::Guest, fmt::format("the guest ended the session: {}", done.message)};
    return false;
  }
  if (frame.channel > newest_channel_) return refuse("an answer to a question that was not asked");
  const auto found = channels_.find(frame.channel);
  if (found == channels_.end()) return true;
  Channel& channel = *found->second;
  if (frame.type == Type::Window) {
    wire::Window window;
    if (!wire::decode(frame.payload, window) || window.bytes > wire::window_bytes - channel.allowance)
      return refuse("more credit than was ever used");
    channel.allowance += window.bytes;
    channel.event.set();
    return true;
  }
  if (!comes_from_guest(frame.type)) return refuse("a message that only the host sends");
  std::size_t cost = 0;
  if (wire::is_metered(frame.type)) {
    cost = wire::cost(frame.payload.size());
    if (channel.held + cost > wire::window_bytes) return refuse("more data than it was allowed to send");
    channel.held += cost;
  } else if (++channel.unmetered > max_unmetered) {
    return refuse("far too many answers");
  }
  // Output often comes in small pieces; kept as one they take little more than their own size.
  const bool joins = (frame.type == Type::Stdout || frame.type == Type::Stderr) && !channel.inbox.empty() &&
                     channel.inbox.back().type == frame.type;
  if (joins) {
    channel.inbox.back().payload.append(frame.payload);
    channel.inbox.back().cost += cost;
  } else {
    channel.inbox.push_back({frame.type, std::string{frame.payload}, cost});
  }
  channel.event.set();
  return true;
}

void Link::receive() {
  for (;;) {
    const wire::HostReader::Event event = reader_.next();
    switch (event.kind) {
      case wire::HostReader::Event::Kind::Starved: return;
      case wire::HostReader::Event::Kind::Frame:
        // What dispatch() found wrong is the failure already; fail() then only tells everybody.
        if (!dispatch(event.frame)) return fail(vanished());
        break;
      case wire::HostReader::Event::Kind::Broken: return fail(broken("what it sent makes no sense"));
    }
  }
}

/// The thread: moves bytes until the link has failed or is closed.
void Link::run() try {
  std::string writing;
  std::size_t written = 0;
  receive();
  for (;;) {
    {
      const std::scoped_lock lock{mutex_};
      if (stopping_ || failure_) return;
      if (written == writing.size()) {
        writing.clear();
        written = 0;
        std::swap(writing, outbox_);
      }
    }
    const bool has_output = written < writing.size();
    pollfd waits[] = {{stream_.get(), static_cast<short>(POLLIN | (has_output ? POLLOUT : 0)), 0},
                      {wake_.fd(), POLLIN, 0}};
    sys::retry([&] { return ::poll(waits, 2, -1); });
    if (waits[1].revents != 0) wake_.clear();
    if ((waits[0].revents & POLLOUT) != 0) {
      const std::ptrdiff_t count = sys::write_some(stream_.get(), std::as_bytes(std::span{writing}.subspan(written)));
      if (count > 0) written += static_cast<std::size_t>(count);
    }
    if ((waits[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
      char* room = reader_.input().reserve(read_bytes);
      const std::ptrdiff_t count = sys::read_some(stream_.get(), std::as_writable_bytes(std::span{room, read_bytes}));
      if (count == 0) return fail(vanished());
      if (count > 0) {
        reader_.input().commit(static_cast<std::size_t>(count));
        receive();
      }
    }
  }
} catch (const Error& error) {
  fail(Error{ErrorCode::Guest, fmt::format("the guest vanished: {}", error.what())});
} catch (const std::exception& error) {
  fail(Error{ErrorCode::Internal, error.what()});
}

}  // namespace fireclaw::guest
