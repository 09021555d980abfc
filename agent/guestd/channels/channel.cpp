#include "channels/channel.hpp"

#include <string>

namespace fireclaw::guestd {

bool Channel::charge(std::size_t cost) {
  if (held_ + cost > wire::window_bytes) return false;
  held_ += cost;
  return true;
}

bool Channel::credit(std::uint32_t bytes) {
  if (bytes > wire::window_bytes - allowance_) return false;
  allowance_ += bytes;
  return true;
}

void Channel::consumed(std::size_t cost) {
  unannounced_ += cost;
  if (unannounced_ < wire::window_bytes / 4) return;
  held_ -= unannounced_;
  wire::Window window;
  window.bytes = static_cast<std::uint32_t>(unannounced_);
  unannounced_ = 0;
  send(wire::Type::Window, wire::encode(window));
}

void Channel::send_done(int error, std::string_view message) {
  wire::Done done;
  done.error = error;
  done.message = message;
  send(wire::Type::Done, wire::encode(done));
  finished_ = true;
}

}  // namespace fireclaw::guestd
