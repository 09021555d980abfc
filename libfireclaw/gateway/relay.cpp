#include "gateway/relay.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>

#include <utility>

#include "sys/fd.hpp"

namespace fireclaw::gateway {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using tcp = asio::ip::tcp;

/// What is kept for an agent that does not take it as fast as it comes.
constexpr std::size_t most_pending = std::size_t{64} << 10;
/// For a side to take what was said before the other ended.
constexpr std::chrono::seconds last_patience{60};
/// For the agent to see the end.
constexpr std::chrono::seconds drain_patience{5};
constexpr int keepalive_probes = 4;

}  // namespace

Relay::Relay(tcp::socket agent, Client client)
    : agent_{std::move(agent)}, client_{std::move(client)}, timer_{agent_.get_executor()} {
  keep_alive(agent_);
}

void Relay::connect(http::Stream::Target target, std::chrono::seconds patience) {
  server_ = std::make_unique<http::Stream>(std::move(target), *this);
  server_ready_.emplace(agent_.get_executor(), sys::duplicate(server_->fd()).release());
  timer_.expires_after(patience);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (error || self->closed_ || self->passing_on_ || self->server_ended_) return;
    self->on_failure(http::Failure::TimedOut, "it takes too long");
  });
  wait_for_server();
}

void Relay::wait_for_server() {
  server_ready_->async_wait(asio::posix::stream_descriptor::wait_read, [self = shared_from_this()](error_code error) {
    if (error || self->closed_ || self->server_ended_) return;
    self->server_->run();
    if (!self->closed_ && !self->server_ended_) self->wait_for_server();
  });
}

void Relay::on_open() { on_connected(); }

bool Relay::on_bytes(std::string_view bytes) {
  if (server_ended_ || agent_ended_ || closed_) return true;
  if (!to_agent_.empty() && to_agent_.size() + bytes.size() > most_pending) {
    held_back_ = true;
    return false;
  }
  to_agent_ += on_server_says(bytes);
  write_agent();
  return true;
}

void Relay::on_sent() {
  if (agent_ended_) return close();
  if (passing_on_) read_agent();
}

void Relay::on_end(const http::Stream::End& end) {
  if (closed_ || server_ended_) return;
  if (!passing_on_ || end.failure) {
    return on_failure(end.failure.value_or(http::Failure::BrokenOff), end.detail);
  }
  end_with({});
}

void Relay::pass_on() {
  if (closed_ || server_ended_) return;
  passing_on_ = true;
  timer_.cancel();
  read_agent();
}

void Relay::read_agent() {
  if (reading_ || closed_ || server_ended_ || agent_ended_ || server_->unsent() != 0) return;
  reading_ = true;
  agent_.async_read_some(asio::buffer(from_agent_), [self = shared_from_this()](error_code error, std::size_t bytes) {
    self->reading_ = false;
    if (self->closed_ || self->server_ended_) return;
    if (error) return self->lose_agent();
    self->server_->send({self->from_agent_.data(), bytes});
    self->read_agent();
  });
}

/// What it has said is still passed on.
void Relay::lose_agent() {
  agent_ended_ = true;
  if (server_ended_ || server_->unsent() == 0) return close();
  close_after(last_patience);
}

void Relay::write_agent() {
  if (!writing_.empty() || closed_) return;
  if (to_agent_.empty()) {
    if (server_ended_) finish();
    return;
  }
  std::swap(writing_, to_agent_);
  asio::async_write(agent_, asio::buffer(std::as_const(writing_)),
                    [self = shared_from_this()](error_code error, std::size_t) {
                      self->writing_.clear();
                      if (self->closed_) return;
                      if (error) return self->lose_agent();
                      self->write_agent();
                      if (!self->closed_ && self->to_agent_.empty() && std::exchange(self->held_back_, false)) {
                        self->server_->resume();
                      }
                    });
}

void Relay::end_with(std::string_view last_words) {
  if (closed_ || std::exchange(server_ended_, true)) return;
  if (server_ready_) server_ready_->cancel();
  to_agent_ += last_words;
  close_after(last_patience);
  write_agent();
}

/// A connection that is closed while there is something to read is cut, and the agent may not get to read the last
/// words: so what it says is read first.
void Relay::finish() {
  if (std::exchange(finishing_, true)) return;
  error_code ignored;
  agent_.shutdown(tcp::socket::shutdown_send, ignored);
  close_after(drain_patience);
  if (reading_) agent_.cancel(ignored);
  drain();
}

void Relay::drain() {
  agent_.async_read_some(asio::buffer(from_agent_), [self = shared_from_this()](error_code error, std::size_t) {
    if (self->closed_) return;
    if (error) return self->close();
    self->drain();
  });
}

void Relay::close_after(std::chrono::seconds patience) {
  timer_.expires_after(patience);
  timer_.async_wait([self = shared_from_this()](error_code error) {
    if (!error) self->close();
  });
}

void Relay::close() {
  if (std::exchange(closed_, true)) return;
  // Whatever waits for one of these ends, and with the last of them this object and its connection to the server.
  timer_.cancel();
  if (server_ready_) server_ready_->cancel();
  error_code ignored;
  agent_.close(ignored);
  on_closed();
}

void keep_alive(tcp::socket& socket) {
  error_code ignored;
  socket.set_option(tcp::no_delay{true}, ignored);
  socket.set_option(asio::socket_base::keep_alive{true}, ignored);
  const auto set = [&](int option, int value) {
    // Without it the connection is probed as the host's settings say.
    static_cast<void>(::setsockopt(socket.native_handle(), IPPROTO_TCP, option, &value, sizeof value));
  };
  set(TCP_KEEPIDLE, static_cast<int>(http::keepalive_idle.count()));
  set(TCP_KEEPINTVL, static_cast<int>(http::keepalive_interval.count()));
  set(TCP_KEEPCNT, keepalive_probes);
}

void turn_away(tcp::socket socket, std::string_view last_words) {
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(last_words.data(), last_words.size()), ignored);
  socket.shutdown(tcp::socket::shutdown_send, ignored);
}

}  // namespace fireclaw::gateway
