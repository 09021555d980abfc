#include "irc/link.hpp"

#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <random>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::overseer {
namespace {

/// What a server that says nothing of its limits takes.
constexpr unsigned usual_burst = 5;
constexpr Seconds usual_interval{1.0};
/// The network that `fireclaw irc` gives its server, whose limits are ours.
constexpr std::string_view our_network = "fireclaw";
constexpr unsigned our_burst = 100;
constexpr Seconds our_interval{0.01};
/// A connection that lasted this long was a good one: the next outage starts with short delays again.
constexpr std::chrono::seconds good_connection{60};
/// The session takes two of them for what is still to be said.
constexpr std::chrono::seconds goodbye_limit{4};
/// What may wait for a server that does not read, beside what the outbox holds back.
constexpr std::size_t most_unsent = std::size_t{64} << 10;
/// Read at a time, so that a server that never stops talking cannot keep the loop to itself.
constexpr std::size_t most_read = std::size_t{64} << 10;

bool is_this_machine(std::string_view host) { return host == "localhost" || host == "::1" || host.starts_with("127."); }

}  // namespace

IrcLink::IrcLink(EventLoop& loop, IrcServer server, IrcIdentity identity, IrcTimes times, IrcPace pace,
                 std::function<void(const IrcEvent&)> on_event)
    : loop_{loop},
      server_{std::move(server)},
      identity_{std::move(identity)},
      times_{times},
      pace_{pace},
      on_event_{std::move(on_event)},
      pacer_{pace.burst.value_or(usual_burst), pace.interval.value_or(usual_interval), EventLoop::Clock::now()},
      backoff_{pace.reconnect_first, pace.reconnect_longest, 2.0, std::random_device{}()} {}

IrcLink::~IrcLink() {
  drop();
  loop_.cancel(timer_);
}

std::string IrcLink::where() const { return fmt::format("{}:{}", server_.host, server_.port); }

void IrcLink::connect() {
  drop();
  began_ = EventLoop::Clock::now();
  loop_.cancel(timer_);
  timer_ = loop_.after(pace_.connect_timeout, [this] { end(fmt::format("no connection to {} in time", where())); });
  lookup_ = std::make_unique<Lookup>(loop_, server_.host, server_.port,
                                     [this](Lookup::Result result) { on_resolved(std::move(result)); });
}

void IrcLink::on_resolved(Lookup::Result result) {
  addresses_ = std::move(result.addresses);
  std::ranges::reverse(addresses_);
  if (server_.only_loopback) {
    std::erase_if(addresses_, [](const SocketAddress& address) { return !address.is_loopback(); });
    if (addresses_.empty() && result.problem.empty()) {
      return end(
          fmt::format("'{}' is not this machine, and without operators only a server here is trusted", server_.host));
    }
  }
  try_next(result.problem);
}

void IrcLink::try_next(const std::string& problem) {
  loop_.cancel(std::exchange(watching_, 0));
  loop_.cancel(std::exchange(patience_timer_, 0));
  socket_.reset();
  if (addresses_.empty()) return end(fmt::format("no connection to {}: {}", where(), problem));
  const auto address = addresses_.back();
  addresses_.pop_back();
  socket_ = cli::Fd{::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)};
  if (!socket_) return try_next(std::strerror(errno));
  if (::connect(socket_.get(), address.get(), address.size) != 0 && errno != EINPROGRESS) {
    return try_next(std::strerror(errno));
  }
  watching_ = loop_.watch(socket_.get(), POLLOUT, [this](short) { on_connecting(); });
  if (addresses_.empty()) return;
  // One that does not answer must not use up the time of those behind it.
  const auto left = began_ + pace_.connect_timeout - EventLoop::Clock::now();
  const auto share = left / static_cast<int>(addresses_.size() + 1);
  patience_timer_ = loop_.after(share, [this] { try_next("no answer in time"); });
}

void IrcLink::on_connecting() {
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error == ECONNREFUSED && is_this_machine(server_.host)) {
    return try_next(fmt::format("{}; to serve IRC here run: fireclaw irc", std::strerror(error)));
  }
  if (error != 0) return try_next(std::strerror(error));
  loop_.cancel(std::exchange(watching_, 0));
  loop_.cancel(std::exchange(patience_timer_, 0));
  try {
    stream_ = server_.tls ? tls_stream(socket_.get(), {server_.host, server_.tls_ca, server_.tls_verify})
                          : plain_stream(socket_.get());
  } catch (const Error& problem) {
    return end(fmt::format("no connection to {}: {}", where(), problem.what()));
  }
  shaking_hands_ = true;
  watching_ = loop_.watch(socket_.get(), POLLIN | POLLOUT, [this](short events) { on_ready(events); });
}

void IrcLink::start_session() {
  shaking_hands_ = false;
  loop_.cancel(std::exchange(timer_, 0));
  const auto now = EventLoop::Clock::now();
  set_pace(false);
  ++connections_;
  session_ = std::make_unique<IrcSession>(identity_, times_, pacer_, std::random_device{}(), now,
                                          std::chrono::system_clock::now());
  pump();
}

void IrcLink::on_ready(short events) {
  try {
    if (shaking_hands_) {
      if (const auto waits_for = stream_->handshake()) return set_events(*waits_for);
      return start_session();
    }
    if ((events & (POLLIN | POLLHUP | POLLERR)) != 0) {
      char buffer[8192];
      for (std::size_t total = 0; total < most_read;) {
        const auto got = stream_->read(buffer, sizeof buffer);
        if (!got) break;
        if (*got == 0) return end("the server closed the connection");
        total += *got;
        dispatch(session_->feed({buffer, *got}, EventLoop::Clock::now()));
        if (!session_ || session_->closed()) break;
      }
      if (stream_ && stream_->holds_more()) {
        loop_.cancel(more_timer_);
        more_timer_ = loop_.after({}, [this] { on_ready(POLLIN); });
      }
    }
    pump();
  } catch (const Error& problem) {
    end(problem.what());
  }
}

void IrcLink::pump() {
  loop_.cancel(std::exchange(pump_timer_, 0));
  if (!session_) return;
  const auto now = EventLoop::Clock::now();
  dispatch(session_->tick(now));
  if (!session_) return;
  try {
    unsent_ += session_->transmit(now);
    if (!flush()) return end("the server does not read what we send");
  } catch (const Error& problem) {
    return end(problem.what());
  }
  const auto when = session_->deadline(now);
  if (when != TimePoint::max()) pump_timer_ = loop_.at(when, [this] { pump(); });
}

bool IrcLink::flush() {
  while (!unsent_.empty()) {
    const auto taken = stream_->write(unsent_);
    if (!taken) break;
    unsent_.erase(0, *taken);
  }
  set_events(static_cast<short>(unsent_.empty() ? POLLIN : POLLIN | POLLOUT));
  return unsent_.size() <= most_unsent;
}

void IrcLink::dispatch(const std::vector<IrcEvent>& events) {
  for (const auto& event : events) {
    if (const auto* closed = std::get_if<IrcClosed>(&event)) return end(closed->reason);
    const auto* online = std::get_if<IrcOnline>(&event);
    if (online != nullptr && online->network == our_network) set_pace(true);
    on_event_(event);
  }
}

void IrcLink::set_pace(bool ours) {
  pacer_.set(pace_.burst.value_or(ours ? our_burst : usual_burst),
             pace_.interval.value_or(ours ? our_interval : usual_interval), EventLoop::Clock::now());
}

void IrcLink::set_events(short events) { loop_.change(watching_, events); }

void IrcLink::drop() {
  lookup_.reset();
  loop_.cancel(std::exchange(watching_, 0));
  loop_.cancel(std::exchange(pump_timer_, 0));
  loop_.cancel(std::exchange(patience_timer_, 0));
  loop_.cancel(std::exchange(more_timer_, 0));
  session_.reset();
  stream_.reset();
  socket_.reset();
  addresses_.clear();
  unsent_.clear();
  shaking_hands_ = false;
}

void IrcLink::end(const std::string& reason) {
  const auto now = EventLoop::Clock::now();
  if (session_) {
    if (session_->flooded()) pacer_.slow_down(now);
    if (session_->unwelcome()) {
      backoff_.give_up();
    } else if (now - began_ >= good_connection) {
      backoff_.reset();
    }
  }
  drop();
  loop_.cancel(std::exchange(timer_, 0));
  if (on_quit_) return std::exchange(on_quit_, nullptr)();
  const auto wait = backoff_.next();
  timer_ = loop_.after(std::chrono::duration_cast<EventLoop::Clock::duration>(wait), [this] { connect(); });
  on_event_(IrcClosed{fmt::format("{}; connecting again in {:.1f} s", reason, wait.count())});
}

bool IrcLink::say(const std::string& target, std::string_view line) {
  if (!session_ || !session_->online() || session_->quitting()) return false;
  const bool taken = session_->say(target, line);
  // Later, not from here: the caller may be in the middle of one of our own callbacks.
  if (pump_timer_ != 0) loop_.cancel(pump_timer_);
  pump_timer_ = loop_.after({}, [this] { pump(); });
  return taken;
}

void IrcLink::quit(std::string_view reason, std::function<void()> done) {
  on_quit_ = std::move(done);
  loop_.cancel(std::exchange(timer_, 0));
  if (!session_) {
    timer_ = loop_.after({}, [this] { end(""); });
    return;
  }
  session_->quit(reason, EventLoop::Clock::now());
  pump();
  if (!session_) return;
  timer_ = loop_.after(goodbye_limit, [this] { end(""); });
}

}  // namespace fireclaw::overseer
