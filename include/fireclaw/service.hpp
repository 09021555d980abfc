#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// Says when a service that has ended is started again. One that was stopped by VM::stop_service stays stopped.
enum class RestartPolicy {
  Never,
  OnFailure,  ///< after a status other than 0, or a signal
  Always,
};

/// "never", "on-failure", "always".
FIRECLAW_API std::string_view to_string(RestartPolicy policy) noexcept;
/// The other way; Error(InvalidArgument) for any other text.
FIRECLAW_API RestartPolicy restart_policy_from_string(std::string_view text);

/// A long-lived program in a guest. It belongs to the guest: it continues when the handle, the session or the host's
/// process goes away, and in every machine restored from a snapshot in which it runs.
struct ServiceOptions {
  /// Its name: 1 to 64 letters, digits, '.', '-', '_', not beginning with '.' or '-'.
  std::string name;
  /// Program, environment, working directory and user mean what they do in ExecOptions.
  std::vector<std::string> argv;
  /// Added to what the guest sets.
  std::vector<std::pair<std::string, std::string>> env;
  /// In the guest.
  std::string cwd;
  /// In the guest.
  std::string user;
  /// The file in the guest that takes its stdout and stderr, absolute; its folder is made if it is missing. Empty:
  /// /var/log/fireclaw/NAME.log. It is root's, created with mode 0644, and never reached through a symbolic link.
  std::string log;
  /// Once the log has grown to this, it is renamed to end in ".1", in place of the one before. 4 KiB to 1 GiB.
  std::uint64_t log_limit_bytes = std::uint64_t{1} << 20;
  /// Whether it is started again when it has ended.
  RestartPolicy restart = RestartPolicy::OnFailure;
  /// How long to wait before it is started again: at first, then doubled each time up to the longest. Once the service
  /// has run for `backoff_longest`, the wait starts at the first again. 1 ms to a day.
  std::chrono::milliseconds backoff_first{500};
  /// What the wait doubles up to.
  std::chrono::milliseconds backoff_longest{30'000};
};

/// What a service is doing.
enum class ServiceState {
  Running,
  BackingOff,  ///< has ended, and will be started again
  Stopped,     ///< by VM::stop_service, or ended with status 0 and is not to be started again
  Failed,      ///< ended otherwise, and is not to be started again
};

/// "running", "backing-off", "stopped", "failed".
FIRECLAW_API std::string_view to_string(ServiceState state) noexcept;

/// What a guest says of a service.
struct ServiceInfo {
  /// As ServiceOptions::name.
  std::string name;
  /// As of the guest's answer.
  ServiceState state = ServiceState::Stopped;
  /// In the guest; 0 unless it is running.
  std::uint32_t pid = 0;
  /// How often it was started again.
  std::uint32_t restarts = 0;
  /// How it ended the last time, as ExecResult says it; both 0 if it has not ended yet.
  int exit_code = 0;
  /// The signal that ended it the last time.
  int signal = 0;
  /// How long it has been running, by the guest's clock; 0 unless it is running.
  std::chrono::milliseconds uptime{0};
  /// Why it could not be started again the last time, or empty.
  std::string problem;
};

}  // namespace fireclaw
