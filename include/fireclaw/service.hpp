#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// When a service that has ended is started again. After VM::stop_service() it stays stopped.
enum class RestartPolicy {
  Never,
  OnFailure,  ///< after a status other than 0, or a signal
  Always,
};

/// "never", "on-failure", "always".
FIRECLAW_API std::string_view to_string(RestartPolicy policy) noexcept;
/// Parses what to_string() returns. Error(InvalidArgument) for any other.
FIRECLAW_API RestartPolicy restart_policy_from_string(std::string_view text);

/// A long-lived program in a guest. It belongs to the guest: it continues when the handle or the host's process ends,
/// and in every machine that is restored from a snapshot in which it runs.
struct ServiceOptions {
  /// Its name: 1 to 64 letters, digits, '.', '-', '_', not beginning with '.' or '-'.
  std::string name;
  /// The program and its arguments; like `env`, `cwd` and `user` as in ExecOptions.
  std::vector<std::string> argv;
  /// Variables to add to those of the guest.
  std::vector<std::pair<std::string, std::string>> env;
  /// Working directory in the guest.
  std::string cwd;
  /// User in the guest.
  std::string user;
  /// The file in the guest for its stdout and stderr, an absolute path; its folder is made if it is missing. Empty:
  /// /var/log/fireclaw/NAME.log. The file is root's, with mode 0644; symbolic links on the way are refused.
  std::string log;
  /// When the log reaches this size, it is renamed to end in ".1"; the older one is dropped. 4 KiB to 1 GiB.
  std::uint64_t log_limit_bytes = std::uint64_t{1} << 20;
  /// Whether it is started again when it has ended.
  RestartPolicy restart = RestartPolicy::OnFailure;
  /// The first wait before it is started again; each further wait is twice as long, up to `backoff_longest`. Once the
  /// service has run for `backoff_longest`, waits begin with the first again. 1 ms to a day.
  std::chrono::milliseconds backoff_first{500};
  /// The longest wait before it is started again.
  std::chrono::milliseconds backoff_longest{30'000};
};

/// What a service is doing.
enum class ServiceState {
  Running,
  BackingOff,  ///< it has ended, and will be started again
  Stopped,     ///< VM::stop_service() ended it, or it ended with status 0 and is not started again
  Failed,      ///< it ended otherwise, and is not started again
};

/// "running", "backing-off", "stopped", "failed".
FIRECLAW_API std::string_view to_string(ServiceState state) noexcept;

/// A service as its guest describes it.
struct ServiceInfo {
  /// As ServiceOptions::name.
  std::string name;
  /// As of the guest's answer.
  ServiceState state = ServiceState::Stopped;
  /// In the guest; 0 unless it is running.
  std::uint32_t pid = 0;
  /// How many times it was started again.
  std::uint32_t restarts = 0;
  /// How it last ended, as ExecResult::exit_code; this and `signal` are 0 if it has not ended yet.
  int exit_code = 0;
  /// The signal that last ended it, or 0.
  int signal = 0;
  /// How long it has been running, by the guest's clock; 0 unless it is running.
  std::chrono::milliseconds uptime{0};
  /// Why the last attempt to start it again failed; empty: it did not.
  std::string problem;
};

}  // namespace fireclaw
