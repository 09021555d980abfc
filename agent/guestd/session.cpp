#include "session.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "services.hpp"

namespace fireclaw::guestd {

using wire::Type;

namespace {

wire::Done too_many() { return {EAGAIN, "the guest has too many commands and copies under way"}; }

}  // namespace

void Session::send(Type type, std::uint32_t channel, std::string_view payload) {
  char* out = output_.reserve(wire::header_bytes + payload.size());
  wire::put_header(out,
                   {type, channel, static_cast<std::uint32_t>(payload.size()), reader_.seal().check(type, payload)});
  std::copy(payload.begin(), payload.end(), out + wire::header_bytes);
  output_.commit(wire::header_bytes + payload.size());
}

char* Session::begin_bulk(std::size_t bytes) {
  return output_.reserve(wire::header_bytes + bytes) + wire::header_bytes;
}

void Session::end_bulk(Type type, std::uint32_t channel, std::size_t bytes) {
  char* out = output_.reserve(wire::header_bytes + bytes);
  wire::put_header(out, {type, channel, static_cast<std::uint32_t>(bytes),
                         reader_.seal().check(type, {out + wire::header_bytes, bytes})});
  output_.commit(wire::header_bytes + bytes);
}

void Session::end_channels() {
  channels_.clear();
  newest_channel_ = 0;
  request_.clear();
  configure_failed_ = false;
}

void Session::end() {
  end_channels();
  reader_.reset();
  output_.clear();
}

void Session::begin(const wire::Preamble& preamble) {
  end_channels();
  output_.clear();
  std::string greeting;
  wire::append_greeting(greeting, preamble.nonce);
  output_.append(greeting);
  send(Type::Hello, 0, wire::encode(machine_.hello()));
  // A host of another version has learnt ours, and whatever it says next would be misunderstood.
  if (preamble.version != wire::protocol_version) reader_.skip_to_preamble();
}

void Session::received() {
  for (;;) {
    const wire::GuestReader::Event event = reader_.next();
    bool broken = false;
    switch (event.kind) {
      case wire::GuestReader::Event::Kind::Starved: return pump();
      case wire::GuestReader::Event::Kind::Session: begin(event.preamble); break;
      case wire::GuestReader::Event::Kind::Frame: broken = !handle(event.frame); break;
      case wire::GuestReader::Event::Kind::Broken: broken = true; break;
    }
    if (broken) {
      end_channels();
      wire::Done done;
      done.error = EPROTO;
      done.message = "guestd could not make sense of what the host sent";
      send(Type::Done, 0, wire::encode(done));
      reader_.skip_to_preamble();
    }
  }
}

bool Session::handle(const wire::Frame& frame) {
  if (frame.type == Type::More) {
    if (!request_.empty() && request_channel_ != frame.channel) return false;
    if (request_.size() + frame.payload.size() > wire::max_request_bytes) return false;
    request_channel_ = frame.channel;
    request_.append(frame.payload);
    return true;
  }
  std::string whole;
  wire::Frame request = frame;
  if (!request_.empty()) {
    if (request_channel_ != frame.channel || request_.size() + frame.payload.size() > wire::max_request_bytes)
      return false;
    whole = std::exchange(request_, {});
    whole.append(frame.payload);
    request.payload = whole;
  }
  if (request.channel > newest_channel_) return open_channel(request);

  const auto found = channels_.find(request.channel);
  // The last words to a channel that has just finished by itself.
  if (found == channels_.end()) return true;
  Channel& channel = *found->second;
  if (request.type == Type::Close) {
    channels_.erase(found);
    return true;
  }
  if (request.type == Type::Window) {
    wire::Window window;
    return wire::decode(request.payload, window) && channel.credit(window.bytes);
  }
  if (wire::is_metered(request.type) && !channel.charge(wire::cost(request.payload.size()))) return false;
  if (!channel.handle(request)) return false;
  if (channel.finished()) channels_.erase(found);
  return true;
}

bool Session::add_channel(std::unique_ptr<Channel> channel) {
  if (!channel->finished()) channels_.emplace(newest_channel_, std::move(channel));
  return true;
}

bool Session::open_channel(const wire::Frame& frame) {
  newest_channel_ = frame.channel;
  const auto done = [&](const wire::Done& answer) { send(Type::Done, frame.channel, wire::encode(answer)); };
  const bool full = channels_.size() >= max_channels;

  if (frame.type == Type::Exec) {
    wire::Exec request;
    if (!wire::decode(frame.payload, request)) return false;
    wire::ExecFailed failed;
    failed.reason = wire::ExecFailure::BadRequest;
    if (full) {
      const wire::Done why = too_many();
      failed.error = why.error;
      failed.message = why.message;
    } else if (configure_failed_) {
      failed.error = ECANCELED;
      failed.message = "the guest could not be configured";
    } else {
      Spawned spawned;
      std::optional<wire::ExecFailed> problem = machine_.spawn(request, spawned);
      if (!problem) {
        wire::Started started;
        started.pid = static_cast<std::uint32_t>(spawned.pid);
        send(Type::Started, frame.channel, wire::encode(started));
        return add_channel(make_exec_channel(*this, frame.channel, std::move(spawned), request.tty));
      }
      failed = std::move(*problem);
    }
    send(Type::ExecFailed, frame.channel, wire::encode(failed));
    return true;
  }
  if (frame.type == Type::Put) {
    wire::Put request;
    if (!wire::decode(frame.payload, request)) return false;
    if (!full) return add_channel(make_put_channel(*this, frame.channel, request));
    done(too_many());
    return true;
  }
  if (frame.type == Type::Get) {
    wire::Get request;
    if (!wire::decode(frame.payload, request)) return false;
    if (!full) return add_channel(make_get_channel(*this, frame.channel, request));
    done(too_many());
    return true;
  }
  if (frame.type == Type::Watch) {
    wire::Watch request;
    if (!wire::decode(frame.payload, request)) return false;
    if (!full) return add_channel(make_watch_channel(*this, frame.channel, request));
    done(too_many());
    return true;
  }
  if (frame.type == Type::Configure) {
    wire::Configure request;
    if (!wire::decode(frame.payload, request)) return false;
    const wire::Done answer = machine_.configure(request);
    configure_failed_ = answer.error != 0;
    done(answer);
    return true;
  }
  if (frame.type == Type::Mount) {
    wire::Mount request;
    if (!wire::decode(frame.payload, request)) return false;
    const wire::Done answer = machine_.mount(request);
    // What comes with it in the same breath was meant to find the disk.
    configure_failed_ = configure_failed_ || answer.error != 0;
    done(answer);
    return true;
  }
  if (frame.type == Type::Unmount) {
    wire::Unmount request;
    if (!wire::decode(frame.payload, request)) return false;
    done(machine_.unmount(request));
    return true;
  }
  if (const std::optional<bool> handled = open_service_channel(frame)) return *handled;
  if (frame.type == Type::SetClock) {
    wire::SetClock request;
    if (!wire::decode(frame.payload, request)) return false;
    done(machine_.set_clock(request.time_ns));
    return true;
  }
  if (frame.type == Type::Ping) {
    done({});
    return frame.payload.empty();
  }
  if (frame.type == Type::PrepareSnapshot) {
    const wire::Done answer = machine_.prepare_snapshot();
    done(answer);
    if (answer.error == 0) {
      end_channels();
      reader_.skip_to_preamble();
    }
    return frame.payload.empty();
  }
  if (frame.type == Type::Shutdown) {
    wire::Shutdown request;
    if (!wire::decode(frame.payload, request)) return false;
    done({});
    machine_.shutdown(request.grace_ms);
    return true;
  }
  return false;
}

std::optional<bool> Session::open_service_channel(const wire::Frame& frame) {
  Services& services = machine_.services();
  const auto done = [&](const wire::Done& answer) { send(Type::Done, frame.channel, wire::encode(answer)); };
  if (frame.type == Type::ServiceStart) {
    wire::ServiceStart request;
    if (!wire::decode(frame.payload, request)) return false;
    done(configure_failed_ ? wire::Done{ECANCELED, "the guest could not be configured"} : services.start(request));
    return true;
  }
  if (frame.type == Type::ServiceSignal) {
    wire::ServiceSignal request;
    if (!wire::decode(frame.payload, request)) return false;
    done(services.signal(request));
    return true;
  }
  if (frame.type == Type::ServiceStop) {
    wire::ServiceStop request;
    if (!wire::decode(frame.payload, request)) return false;
    wire::Done answer = services.stop(request);
    if (answer.error == 0 && channels_.size() >= max_channels) answer = too_many();
    if (answer.error != 0) {
      done(answer);
    } else {
      add_channel(make_stop_channel(*this, frame.channel, std::move(request.name)));
    }
    return true;
  }
  if (frame.type == Type::ServiceList) {
    send(Type::Services, frame.channel, wire::encode(services.list()));
    return frame.payload.empty();
  }
  return {};
}

void Session::forget_finished() {
  std::erase_if(channels_, [](const auto& item) { return item.second->finished(); });
}

void Session::pump() {
  // One piece from each in turn, going on where the room ran out the last time.
  std::size_t idle = 0;
  while (!channels_.empty() && idle < channels_.size() && has_room()) {
    auto turn = channels_.upper_bound(last_turn_);
    if (turn == channels_.end()) turn = channels_.begin();
    last_turn_ = turn->first;
    idle = turn->second->pump() ? 0 : idle + 1;
  }
  forget_finished();
}

bool Session::child_ended(pid_t pid, int status) {
  for (auto& [id, channel] : channels_)
    if (channel->child_ended(pid, status)) return true;
  return false;
}

std::int64_t Session::deadline() const {
  std::int64_t earliest = -1;
  for (const auto& [id, channel] : channels_) {
    const std::int64_t wanted = channel->deadline();
    if (wanted >= 0 && (earliest < 0 || wanted < earliest)) earliest = wanted;
  }
  return earliest;
}

void Session::tick() {
  for (auto& [id, channel] : channels_) channel->tick();
  forget_finished();
}

}  // namespace fireclaw::guestd
