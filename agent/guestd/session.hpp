#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "channel.hpp"
#include "guest/frames.hpp"
#include "loop.hpp"
#include "machine.hpp"

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
  /// What is to be sent; consumed by the stream's owner, who then calls pump().
  [[nodiscard]] wire::ByteQueue& output() { return output_; }
  /// Lets commands and copies add to the output as far as windows and room allow.
  void pump();
  /// The stream is gone: everything started through it is ended. A preamble may begin a new session.
  void end();

  /// True if `pid` was a command of this session.
  bool child_ended(pid_t pid, int status);
  /// When tick() wants to be called, in now_ms() time, or -1.
  [[nodiscard]] std::int64_t deadline() const;
  void tick();

 private:
  // Outlet: what channels see of the session.
  bool has_room() const override { return output_.view().size() < output_limit; }
  void send(wire::Type type, std::uint32_t channel, std::string_view payload) override;
  char* begin_bulk(std::size_t bytes) override;
  void end_bulk(wire::Type type, std::uint32_t channel, std::size_t bytes) override;
  Loop& loop() override { return loop_; }
  Machine& machine() override { return machine_; }

  void begin(const wire::Preamble& preamble);
  /// False: a protocol error.
  bool handle(const wire::Frame& frame);
  bool open_channel(const wire::Frame& frame);
  /// nullopt: the frame is about something else.
  std::optional<bool> open_service_channel(const wire::Frame& frame);
  bool add_channel(std::unique_ptr<Channel> channel);
  void end_channels();
  void forget_finished();

  static constexpr std::size_t output_limit = std::size_t{192} << 10;
  static constexpr std::size_t max_channels = 256;

  Machine& machine_;
  Loop& loop_;
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
