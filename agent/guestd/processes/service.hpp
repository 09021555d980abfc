#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "guest/wire/service.hpp"
#include "loop.hpp"
#include "machine.hpp"
#include "processes/service_log.hpp"

namespace fireclaw::guestd {

/// One service: its process if it has one, its log, and the time of its next start.
class Service final : private Watcher {
 public:
  Service(Loop& loop, Machine& machine, const wire::ServiceStart& request, std::uint64_t number);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  /// Kills its process group.
  ~Service();

  /// Opens the log and the pipe and starts it for the first time. error 0: it runs.
  wire::Done begin();
  /// Whether it runs or is to run again.
  [[nodiscard]] bool is_active() const {
    return state_ == wire::ServiceState::Running || state_ == wire::ServiceState::BackingOff;
  }
  [[nodiscard]] bool is_stopping() const { return stopping_ && pid_ > 0; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Of two services, the one that was asked for later has the larger one.
  [[nodiscard]] std::uint64_t number() const { return number_; }
  [[nodiscard]] wire::ServiceStatus status() const;

  void reopen_log() { log_.reopen(); }
  void stop(std::uint32_t grace_ms);
  void ended(int status);
  [[nodiscard]] std::int64_t deadline() const;
  void tick();

 private:
  void ready(std::uint32_t) override { readable_ = true; }
  /// Starts the process. False, with the reason in `done`.
  bool launch(wire::Done& done);
  void restart();
  void back_off();
  void move_output();

  Loop& loop_;
  Machine& machine_;
  const std::string name_;
  const std::uint64_t number_;
  const wire::Exec command_;
  const wire::Restart policy_;
  const std::int64_t backoff_first_ms_;
  const std::int64_t backoff_longest_ms_;
  ServiceLog log_;
  OwnedFd output_;
  /// The end that its processes write to. Held open, so that the pipe does not end between two of them.
  OwnedFd input_;
  bool readable_ = false;

  wire::ServiceState state_ = wire::ServiceState::Stopped;
  pid_t pid_ = 0;
  bool stopping_ = false;
  bool killed_ = false;
  std::int64_t started_ms_ = 0;
  std::int64_t backoff_ms_ = 0;
  /// When it is to be started again, or killed.
  std::int64_t due_ms_ = -1;
  std::uint32_t restarts_ = 0;
  std::int32_t code_ = 0;
  std::int32_t signal_ = 0;
  std::string problem_;
};

}  // namespace fireclaw::guestd
