#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "channels/channel.hpp"
#include "guest/wire/frames.hpp"
#include "guest/wire/service.hpp"
#include "loop.hpp"
#include "machine.hpp"
#include "steps.hpp"

namespace fireclaw::guestd {

/// The protocol on one stream: takes bytes in, gives bytes out, and owns what the host has started through it.
class Session final : private Outlet {
 public:
  Session(Machine& machine, Loop& loop) : machine_{machine}, loop_{loop} {}
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() { end(); }

  /// Where received bytes are put; then call received().
  [[nodiscard]] wire::ByteQueue& input() { return reader_.input(); }
  void received();
  /// Bytes to send. The stream's owner consumes them, then calls pump().
  [[nodiscard]] wire::ByteQueue& output() { return output_; }
  /// Lets commands and copies add to the output as far as windows and room allow.
  void pump();
  /// Call when the stream has ended: ends everything that was started through it. A preamble may begin a new session.
  void end();

  /// True if `pid` was a command of this session.
  bool child_ended(pid_t pid, int status);
  /// When tick() wants to be called, in now_ms() time, or -1.
  [[nodiscard]] std::int64_t deadline() const;
  void tick();

 private:
  // Outlet: the session as channels see it.
  bool has_room() const override { return output_.view().size() < output_limit; }
  void send(wire::Type type, std::uint32_t channel, std::string_view payload) override;
  char* begin_bulk(std::size_t bytes) override;
  void end_bulk(wire::Type type, std::uint32_t channel, std::size_t bytes) override;
  Loop& loop() override { return loop_; }
  Machine& machine() override { return machine_; }
  Steps& steps() override { return steps_; }

  void begin(const wire::Preamble& preamble);
  /// False: a protocol error.
  bool handle(const wire::Frame& frame);
  bool open_channel(const wire::Frame& frame);
  /// How a request is opened: its payload decoded into what `answer` takes, or without any.
  template <class Request, void (Session::*answer)(std::uint32_t channel, Request& request)>
  bool decoded(const wire::Frame& frame);
  template <void (Session::*answer)(std::uint32_t channel)>
  bool bare(const wire::Frame& frame);

  // One for each type of request; open_channel() has the table.
  void exec(std::uint32_t channel, wire::Exec& request);
  void call_file(std::uint32_t channel, wire::FileCall& request);
  /// A channel for the process that `spawn` starts.
  template <class Spawn>
  void run(std::uint32_t channel, bool tty, Spawn spawn);
  template <class Request, std::unique_ptr<Channel> (*make)(Outlet&, std::uint32_t, const Request&)>
  void copy(std::uint32_t channel, Request& request);
  void configure(std::uint32_t channel, wire::Configure& request);
  void mount(std::uint32_t channel, wire::Mount& request);
  void unmount(std::uint32_t channel, wire::Unmount& request);
  void start_service(std::uint32_t channel, wire::ServiceStart& request);
  void signal_service(std::uint32_t channel, wire::ServiceSignal& request);
  void stop_service(std::uint32_t channel, wire::ServiceStop& request);
  void list_services(std::uint32_t channel);
  void set_clock(std::uint32_t channel, wire::SetClock& request);
  void ping(std::uint32_t channel);
  void tell_steps(std::uint32_t channel);
  void prepare_snapshot(std::uint32_t channel);
  void shutdown(std::uint32_t channel, wire::Shutdown& request);

  void done(std::uint32_t channel, const wire::Done& answer);
  [[nodiscard]] bool is_full() const { return channels_.size() >= max_channels; }
  void add_channel(std::unique_ptr<Channel> channel);
  void end_channels();
  void forget_finished();

  static constexpr std::size_t output_limit = std::size_t{192} << 10;
  static constexpr std::size_t max_channels = 256;

  Machine& machine_;
  Loop& loop_;
  Steps steps_;
  wire::GuestReader reader_;
  wire::ByteQueue output_;
  std::map<std::uint32_t, std::unique_ptr<Channel>> channels_;
  std::uint32_t newest_channel_ = 0;
  std::uint32_t last_turn_ = 0;
  std::string request_;
  std::uint32_t request_channel_ = 0;
  bool configure_failed_ = false;
};

}  // namespace fireclaw::guestd
