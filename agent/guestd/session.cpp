#include "session.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "processes/services.hpp"

namespace fireclaw::guestd {

using wire::Type;

namespace {

constexpr const char* not_configured = "the guest could not be configured";

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
  steps_.begin();
  end_channels();
  output_.clear();
  std::string greeting;
  wire::append_greeting(greeting, preamble.nonce);
  output_.append(greeting);
  send(Type::Hello, 0, wire::encode(machine_.hello()));
  steps_.done("greeting");
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

void Session::add_channel(std::unique_ptr<Channel> channel) {
  if (!channel->finished()) channels_.emplace(newest_channel_, std::move(channel));
}

template <class Request, void (Session::*answer)(std::uint32_t channel, Request& request)>
bool Session::decoded(const wire::Frame& frame) {
  Request request;
  if (!wire::decode(frame.payload, request)) return false;
  (this->*answer)(frame.channel, request);
  return true;
}

template <void (Session::*answer)(std::uint32_t channel)>
bool Session::bare(const wire::Frame& frame) {
  (this->*answer)(frame.channel);
  return frame.payload.empty();
}

bool Session::open_channel(const wire::Frame& frame) {
  struct Opening {
    Type type;
    bool (Session::*open)(const wire::Frame& frame);
  };
  static constexpr Opening openings[] = {
      {Type::Exec, &Session::decoded<wire::Exec, &Session::exec>},
      {Type::FileCall, &Session::decoded<wire::FileCall, &Session::call_file>},
      {Type::Put, &Session::decoded<wire::Put, &Session::copy<wire::Put, make_put_channel>>},
      {Type::Get, &Session::decoded<wire::Get, &Session::copy<wire::Get, make_get_channel>>},
      {Type::Watch, &Session::decoded<wire::Watch, &Session::copy<wire::Watch, make_watch_channel>>},
      {Type::Configure, &Session::decoded<wire::Configure, &Session::configure>},
      {Type::Mount, &Session::decoded<wire::Mount, &Session::mount>},
      {Type::Unmount, &Session::decoded<wire::Unmount, &Session::unmount>},
      {Type::ServiceStart, &Session::decoded<wire::ServiceStart, &Session::start_service>},
      {Type::ServiceSignal, &Session::decoded<wire::ServiceSignal, &Session::signal_service>},
      {Type::ServiceStop, &Session::decoded<wire::ServiceStop, &Session::stop_service>},
      {Type::ServiceList, &Session::bare<&Session::list_services>},
      {Type::SetClock, &Session::decoded<wire::SetClock, &Session::set_clock>},
      {Type::Ping, &Session::bare<&Session::ping>},
      {Type::Steps, &Session::bare<&Session::tell_steps>},
      {Type::PrepareSnapshot, &Session::bare<&Session::prepare_snapshot>},
      {Type::Shutdown, &Session::decoded<wire::Shutdown, &Session::shutdown>},
  };
  newest_channel_ = frame.channel;
  for (const Opening& opening : openings) {
    if (opening.type == frame.type) return (this->*opening.open)(frame);
  }
  return false;
}

void Session::done(std::uint32_t channel, const wire::Done& answer) { send(Type::Done, channel, wire::encode(answer)); }

void Session::exec(std::uint32_t channel, wire::Exec& request) {
  run(channel, request.tty, [&](Spawned& spawned) { return machine_.spawn(request, spawned); });
}

void Session::call_file(std::uint32_t channel, wire::FileCall& request) {
  run(channel, false, [&](Spawned& spawned) { return machine_.spawn_file_call(request, spawned); });
}

template <class Spawn>
void Session::run(std::uint32_t channel, bool tty, Spawn spawn) {
  wire::ExecFailed failed;
  failed.reason = wire::ExecFailure::BadRequest;
  if (is_full()) {
    const wire::Done why = too_many();
    failed.error = why.error;
    failed.message = why.message;
  } else if (configure_failed_) {
    failed.error = ECANCELED;
    failed.message = not_configured;
  } else {
    Spawned spawned;
    std::optional<wire::ExecFailed> problem = spawn(spawned);
    if (!problem) {
      steps_.done("start");
      wire::Started started;
      started.pid = static_cast<std::uint32_t>(spawned.pid);
      send(Type::Started, channel, wire::encode(started));
      return add_channel(make_exec_channel(*this, channel, std::move(spawned), tty));
    }
    failed = std::move(*problem);
  }
  send(Type::ExecFailed, channel, wire::encode(failed));
}

template <class Request, std::unique_ptr<Channel> (*make)(Outlet&, std::uint32_t, const Request&)>
void Session::copy(std::uint32_t channel, Request& request) {
  if (is_full()) return done(channel, too_many());
  add_channel(make(*this, channel, request));
}

void Session::configure(std::uint32_t channel, wire::Configure& request) {
  const wire::Done answer = machine_.configure(request, steps_);
  configure_failed_ = answer.error != 0;
  done(channel, answer);
}

void Session::mount(std::uint32_t channel, wire::Mount& request) {
  const wire::Done answer = machine_.mount(request);
  steps_.done("disks");
  // What comes with it in the same breath was meant to find the disk.
  configure_failed_ = configure_failed_ || answer.error != 0;
  done(channel, answer);
}

void Session::unmount(std::uint32_t channel, wire::Unmount& request) { done(channel, machine_.unmount(request)); }

void Session::start_service(std::uint32_t channel, wire::ServiceStart& request) {
  done(channel, configure_failed_ ? wire::Done{ECANCELED, not_configured} : machine_.services().start(request));
}

void Session::signal_service(std::uint32_t channel, wire::ServiceSignal& request) {
  done(channel, machine_.services().signal(request));
}

void Session::stop_service(std::uint32_t channel, wire::ServiceStop& request) {
  wire::Done answer = machine_.services().stop(request);
  if (answer.error == 0 && is_full()) answer = too_many();
  if (answer.error != 0) return done(channel, answer);
  add_channel(make_stop_channel(*this, channel, std::move(request.name)));
}

void Session::list_services(std::uint32_t channel) {
  send(Type::Services, channel, wire::encode(machine_.services().list()));
}

void Session::set_clock(std::uint32_t channel, wire::SetClock& request) {
  done(channel, machine_.set_clock(request.time_ns));
}

void Session::ping(std::uint32_t channel) { done(channel, {}); }

void Session::tell_steps(std::uint32_t channel) { send(Type::StepTimes, channel, wire::encode(steps_.times())); }

void Session::prepare_snapshot(std::uint32_t channel) {
  const wire::Done answer = machine_.prepare_snapshot();
  done(channel, answer);
  if (answer.error != 0) return;
  end_channels();
  reader_.skip_to_preamble();
}

void Session::shutdown(std::uint32_t channel, wire::Shutdown& request) {
  done(channel, {});
  machine_.shutdown(request.grace_ms);
}

void Session::forget_finished() {
  std::erase_if(channels_, [](const auto& item) { return item.second->finished(); });
}

void Session::pump() {
  // One piece from each in turn, from where the room ran out the last time.
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
