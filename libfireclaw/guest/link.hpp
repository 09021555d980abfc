#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>

#include "base/deadline.hpp"
#include "fireclaw/error.hpp"
#include "guest/wire/frames.hpp"
#include "guest/wire/wire.hpp"
#include "sys/fd.hpp"
#include "sys/made_here.hpp"
#include "sys/poll.hpp"

namespace fireclaw::guest {

/// The Error for errno value `error` that the guest reported, with `message` as its text.
Error guest_error(int error, std::string message);

/// The stream to guestd with its channels. Owns the stream and a thread that moves bytes: what arrives is sorted into
/// the channels at once, so that no command waits for another's reader. Safe from any thread. Destruction closes the
/// stream and ends the thread. In a process that was forked from its owner it sends nothing, and destruction
/// changes nothing: the stream is the owner's.
class Link {
 public:
  /// One command, copy or request. Everything in it belongs to the link and its lock, but `event`.
  struct Channel {
    explicit Channel(std::uint32_t number) : id{number} {}
    struct Item {
      wire::Type type;
      std::string payload;
      /// Its cost in the window.
      std::size_t cost = 0;
    };
    const std::uint32_t id;
    /// Set whenever something has changed: an item, more allowance, the end of the link.
    sys::EventFd event;
    std::deque<Item> inbox;
    /// How much may still be sent.
    std::size_t allowance = wire::window_bytes;
    /// Received and not yet announced as consumed, and of that what the reader is through with.
    std::size_t held = 0;
    std::size_t consumed = 0;
    std::size_t unmetered = 0;
  };
  using ChannelPtr = std::shared_ptr<Channel>;

  /// Sends nothing before greet().
  Link(sys::Fd stream, std::optional<sys::Fd> claim);
  Link(const Link&) = delete;
  Link& operator=(const Link&) = delete;
  ~Link();

  /// Sends the preamble and, in the same breath, all that was asked for until now; waits for guestd's answer. Throws
  /// Error(Timeout), Error(Cancelled), or Error(Guest). Call it once, before anything is waited for.
  wire::Hello greet(Deadline deadline, const std::stop_token& stop);
  /// Closes the stream. Waiting and later calls fail.
  void close();

  /// A new channel, opened by a request of any length. Error(InvalidArgument) if it is too long, naming `what`.
  ChannelPtr open_channel(wire::Type type, std::string_view payload, std::string_view what);
  /// Tells guestd that nobody is interested any more, and forgets the channel.
  void abandon(const ChannelPtr& channel) noexcept;
  /// After the channel's last frame.
  void forget(const ChannelPtr& channel) noexcept;

  void send(const ChannelPtr& channel, wire::Type type, std::string_view payload = {});
  /// Whether the guest has vanished or broken the protocol, or the link was closed.
  bool is_over();
  /// How much metered frames may cost now.
  std::size_t allowance(const ChannelPtr& channel);

  /// Takes the items that have arrived, oldest first; clears the event. If there are none, throws what ended the link.
  std::deque<Channel::Item> take(const ChannelPtr& channel);
  /// The reader is through with an item.
  void consumed(const ChannelPtr& channel, const Channel::Item& item);
  /// Waits for the channel's event. Throws Error(Timeout / Cancelled) with `what`.
  void wait(const ChannelPtr& channel, Deadline deadline, const std::stop_token& stop, std::string_view what);

  /// Waits for the Done that ends a channel; throws what it says if it is not success.
  void finish(const ChannelPtr& channel, Deadline deadline, const std::stop_token& stop, std::string_view what);
  /// Waits for the one message of `type` that ends a channel, and gives its payload.
  std::string answer(const ChannelPtr& channel, wire::Type type, Deadline deadline, std::string_view what);
  /// Ends the link because of what guestd said; throws.
  [[noreturn]] void break_off(std::string_view how);

 private:
  void run();
  void receive();
  /// False if guestd broke the protocol; the reason is in failure_ then.
  bool dispatch(const wire::Frame& frame);
  void fail(Error error);
  void append(wire::Type type, std::uint32_t channel, std::string_view payload);
  [[noreturn]] void throw_failure();

  const sys::MadeHere made_here_;
  const sys::Fd stream_;
  const wire::Nonce nonce_;
  const wire::Seal seal_;
  sys::EventFd wake_;
  wire::HostReader reader_;
  std::thread thread_;

  std::mutex mutex_;
  std::optional<sys::Fd> claim_;
  bool running_ = false;
  bool stopping_ = false;
  std::optional<Error> failure_;
  std::string outbox_;
  std::map<std::uint32_t, ChannelPtr> channels_;
  std::uint32_t newest_channel_ = 0;
};

}  // namespace fireclaw::guest
