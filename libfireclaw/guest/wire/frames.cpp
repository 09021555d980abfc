#include "guest/wire/frames.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace fireclaw::guest::wire {
namespace {

struct Taken {
  bool broken = false;
  std::optional<Frame> frame;
};

/// The frame at the front of `input`, taken off it once it is there as a whole.
Taken take_frame(ByteQueue& input, Seal seal) {
  const std::string_view bytes = input.view();
  if (bytes.size() < header_bytes) return {};
  const std::optional<Header> header = get_header(bytes);
  if (!header) return {true, {}};
  if (bytes.size() < header_bytes + header->length) return {};
  const std::string_view payload = bytes.substr(header_bytes, header->length);
  if (header->check != seal.check(header->type, payload)) return {true, {}};
  input.consume(header_bytes + payload.size());
  return {false, Frame{header->type, header->channel, payload}};
}

/// Drops what cannot be the beginning of `wanted`.
void skip_to(ByteQueue& input, std::string_view wanted) {
  const std::string_view bytes = input.view();
  const std::size_t found = bytes.find(wanted);
  if (found != std::string_view::npos) return input.consume(found);
  std::size_t keep = std::min(bytes.size(), wanted.size() - 1);
  while (bytes.substr(bytes.size() - keep) != wanted.substr(0, keep)) --keep;
  input.consume(bytes.size() - keep);
}

}  // namespace

char* ByteQueue::reserve(std::size_t bytes) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (buffer_.size() - end_ >= bytes) return buffer_.data() + end_;
  // Moving at most as much as was consumed since the last time keeps the cost per byte constant.
  const std::size_t held = end_ - begin_;
  if (begin_ > 0 && begin_ >= held) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, held);
    begin_ = 0;
    end_ = held;
  }
  if (buffer_.size() - end_ < bytes) buffer_.resize(std::max(end_ + bytes, buffer_.size() * 2));
  return buffer_.data() + end_;
}

void ByteQueue::append(std::string_view bytes) {
  if (bytes.empty()) return;
  std::memcpy(reserve(bytes.size()), bytes.data(), bytes.size());
  commit(bytes.size());
}

void GuestReader::skip_to_preamble() {
  in_session_ = false;
  repeated_ = 0;
}

void GuestReader::reset() {
  skip_to_preamble();
  input_.clear();
}

GuestReader::Event GuestReader::broken() {
  skip_to_preamble();
  Event event;
  event.kind = Event::Kind::Broken;
  return event;
}

std::optional<GuestReader::Event> GuestReader::take_preamble(const Preamble& preamble) {
  input_.consume(preamble_bytes);
  if (in_session_ && preamble.nonce == nonce_) {
    repeated_ = preamble.repeatable;
    return {};
  }
  in_session_ = true;
  nonce_ = preamble.nonce;
  seal_ = Seal{nonce_};
  Event event;
  event.kind = Event::Kind::Session;
  event.preamble = preamble;
  return event;
}

GuestReader::Event GuestReader::next() {
  for (;;) {
    if (repeated_ > 0) {
      const auto known = static_cast<std::uint32_t>(std::min<std::size_t>(repeated_, input_.view().size()));
      input_.consume(known);
      repeated_ -= known;
    }
    const std::string_view bytes = input_.view();
    if (bytes.empty()) return {};

    if (!in_session_) {
      skip_to(input_, magic());
      if (input_.view().size() < preamble_bytes) return {};
      const std::optional<Preamble> preamble = get_preamble(input_.view());
      if (!preamble) {
        input_.consume(1);
        continue;
      }
      if (std::optional<Event> event = take_preamble(*preamble)) return *event;
      continue;
    }

    if (bytes.front() == '\0') {
      const std::size_t content = bytes.find_first_not_of('\0');
      input_.consume(content == std::string_view::npos ? bytes.size() : content);
      continue;
    }
    if (bytes.front() == magic().front()) {
      const std::size_t known = std::min(bytes.size(), magic_bytes);
      if (bytes.substr(0, known) != magic().substr(0, known)) return broken();
      if (bytes.size() < preamble_bytes) return {};
      const std::optional<Preamble> preamble = get_preamble(bytes);
      if (!preamble) return broken();
      if (std::optional<Event> event = take_preamble(*preamble)) return *event;
      continue;
    }
    const Taken taken = take_frame(input_, seal_);
    if (taken.broken) return broken();
    Event event;
    if (taken.frame) {
      event.kind = Event::Kind::Frame;
      event.frame = *taken.frame;
    }
    return event;
  }
}

HostReader::HostReader(const Nonce& nonce) : seal_{nonce} { append_greeting(greeting_, nonce); }

HostReader::Event HostReader::next() {
  Event event;
  if (broken_) {
    event.kind = Event::Kind::Broken;
    return event;
  }
  if (!greeted_) {
    skip_to(input_, greeting_);
    if (input_.view().size() < greeting_bytes) return event;
    input_.consume(greeting_bytes);
    greeted_ = true;
  }
  const Taken taken = take_frame(input_, seal_);
  if (taken.broken) {
    broken_ = true;
    event.kind = Event::Kind::Broken;
  } else if (taken.frame) {
    event.kind = Event::Kind::Frame;
    event.frame = *taken.frame;
  }
  return event;
}

}  // namespace fireclaw::guest::wire
