#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "guest/wire/coding.hpp"

/// The messages about services: programs that guestd runs for the guest, not for a session. As wire.hpp, this is part
/// of both ends.
namespace fireclaw::guest::wire {

enum class Restart : std::uint8_t { Never = 1, OnFailure = 2, Always = 3 };

struct ServiceStart {
  std::string name;
  std::vector<std::string> argv;
  std::vector<std::pair<std::string, std::string>> env;
  std::string cwd;
  std::string user;
  std::string log;
  std::uint64_t log_limit = 0;
  Restart restart = Restart::Never;
  std::uint32_t backoff_first_ms = 0;
  std::uint32_t backoff_longest_ms = 0;
};

void layout(auto& field, Is<ServiceStart> auto& start) {
  field(start.name).filled(start.argv)(start.env, start.cwd, start.user, start.log, start.log_limit);
  field.one_of(start.restart, Restart::Never, Restart::Always)(start.backoff_first_ms, start.backoff_longest_ms);
}

struct ServiceSignal {
  std::string name;
  std::uint32_t number = 0;
};

void layout(auto& field, Is<ServiceSignal> auto& signal) { field(signal.name, signal.number); }

struct ServiceStop {
  std::string name;
  std::uint32_t grace_ms = 0;
};

void layout(auto& field, Is<ServiceStop> auto& stop) { field(stop.name, stop.grace_ms); }

enum class ServiceState : std::uint8_t { Running = 1, BackingOff = 2, Stopped = 3, Failed = 4 };

struct ServiceStatus {
  std::string name;
  ServiceState state = ServiceState::Stopped;
  std::uint32_t pid = 0;
  std::uint32_t restarts = 0;
  std::int32_t code = 0;
  std::int32_t signal = 0;
  std::uint64_t started_ms = 0;  ///< when it was started the last time, on the clock of Services::now_ms
  std::string problem;
};

void layout(auto& field, Is<ServiceStatus> auto& status) {
  field(status.name)
      .one_of(status.state, ServiceState::Running, ServiceState::Failed)(
          status.pid, status.restarts, status.code, status.signal, status.started_ms, status.problem);
}

struct Services {
  std::uint64_t now_ms = 0;
  std::vector<ServiceStatus> list;
};

void layout(auto& field, Is<Services> auto& services) { field(services.now_ms, services.list); }

/// How many a guest has at most, so that a list of them all fits one frame.
inline constexpr std::size_t max_services = 64;
inline constexpr std::size_t max_service_name_bytes = 64;
/// The longest text of a problem.
inline constexpr std::size_t max_service_problem_bytes = 512;
inline constexpr std::uint64_t min_log_limit = std::uint64_t{4} << 10;
inline constexpr std::uint64_t max_log_limit = std::uint64_t{1} << 30;
inline constexpr std::uint32_t max_backoff_ms = 24U * 3600 * 1000;

/// Letters, digits, '.', '-', '_', not beginning with '.' or '-', within max_service_name_bytes.
bool is_service_name(std::string_view name) noexcept;

}  // namespace fireclaw::guest::wire
