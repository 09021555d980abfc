#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

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

struct ServiceSignal {
  std::string name;
  std::uint32_t number = 0;
};

struct ServiceStop {
  std::string name;
  std::uint32_t grace_ms = 0;
};

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

struct Services {
  std::uint64_t now_ms = 0;
  std::vector<ServiceStatus> list;
};

/// How many a guest has at most, so that a list of them all fits one frame.
inline constexpr std::size_t max_services = 64;
inline constexpr std::size_t max_service_name_bytes = 64;
/// What is told of a problem.
inline constexpr std::size_t max_service_problem_bytes = 512;
inline constexpr std::uint64_t min_log_limit = std::uint64_t{4} << 10;
inline constexpr std::uint64_t max_log_limit = std::uint64_t{1} << 30;
inline constexpr std::uint32_t max_backoff_ms = 24U * 3600 * 1000;

/// Letters, digits, '.', '-', '_', not beginning with '.' or '-', within max_service_name_bytes.
bool is_service_name(std::string_view name) noexcept;

std::string encode(const ServiceStart& message);
std::string encode(const ServiceSignal& message);
std::string encode(const ServiceStop& message);
std::string encode(const Services& message);

bool decode(std::string_view payload, ServiceStart& message);
bool decode(std::string_view payload, ServiceSignal& message);
bool decode(std::string_view payload, ServiceStop& message);
bool decode(std::string_view payload, Services& message);

}  // namespace fireclaw::guest::wire
