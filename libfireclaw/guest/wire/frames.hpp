#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "guest/wire/wire.hpp"

namespace fireclaw::guest::wire {

/// Bytes received and not yet used, in one piece.
class ByteQueue {
 public:
  /// Room for at least `bytes` more at the end; say with commit() how many were written there. Views of the content
  /// are void afterwards.
  char* reserve(std::size_t bytes);
  void commit(std::size_t bytes) { end_ += bytes; }
  void append(std::string_view bytes);
  [[nodiscard]] std::string_view view() const { return {buffer_.data() + begin_, end_ - begin_}; }
  /// Drops from the front; views stay readable until reserve().
  void consume(std::size_t bytes) { begin_ += bytes; }
  void clear() { begin_ = end_ = 0; }

 private:
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
};

struct Frame {
  Type type = Type::Ping;
  std::uint32_t channel = 0;
  /// Valid until more bytes are received.
  std::string_view payload;
};

/// guestd's end of the stream: preambles, frames and padding, and rubbish up to the next preamble.
class GuestReader {
 public:
  struct Event {
    enum class Kind {
      Starved,  ///< nothing more without more bytes
      Session,  ///< a new session has begun; the old one, if any, is over
      Frame,
      Broken,  ///< a protocol error: the session is over, and Session is the next event
    };
    Kind kind = Kind::Starved;
    Preamble preamble;
    Frame frame;
  };

  [[nodiscard]] ByteQueue& input() { return input_; }
  Event next();
  /// As after a protocol error: up to the next preamble everything is skipped.
  void skip_to_preamble();
  /// As new: what was received is dropped (the stream has ended and may come back).
  void reset();
  /// The current session's seal.
  [[nodiscard]] Seal seal() const { return seal_; }

 private:
  Event broken();
  std::optional<Event> take_preamble(const Preamble& preamble);

  ByteQueue input_;
  bool in_session_ = false;
  Nonce nonce_{};
  Seal seal_;
  std::uint32_t repeated_ = 0;
};

/// The host's end: skips everything up to the greeting with its nonce, then takes frames.
class HostReader {
 public:
  explicit HostReader(const Nonce& nonce);

  struct Event {
    enum class Kind { Starved, Frame, Broken };
    Kind kind = Kind::Starved;
    Frame frame;
  };

  [[nodiscard]] ByteQueue& input() { return input_; }
  [[nodiscard]] bool greeted() const { return greeted_; }
  /// Broken is final.
  Event next();

 private:
  ByteQueue input_;
  Seal seal_;
  std::string greeting_;
  bool greeted_ = false;
  bool broken_ = false;
};

}  // namespace fireclaw::guest::wire
