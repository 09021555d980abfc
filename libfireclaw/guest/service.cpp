#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "guest/session.hpp"
#include "guest/session_impl.hpp"
#include "guest/wire/service.hpp"

namespace fireclaw::guest {
namespace {

using wire::Type;

void check_name(const std::string& name) {
  if (wire::is_service_name(name)) return;
  throw Error{
      ErrorCode::InvalidArgument,
      fmt::format("'{}' is not a name for a service: use 1 to {} letters, digits, '.', '-', '_', beginning with a "
                  "letter, a digit or '_'",
                  name, wire::max_service_name_bytes)};
}

wire::Restart to_wire(RestartPolicy policy) {
  switch (policy) {
    case RestartPolicy::Never: return wire::Restart::Never;
    case RestartPolicy::OnFailure: return wire::Restart::OnFailure;
    case RestartPolicy::Always: return wire::Restart::Always;
  }
  throw Error{ErrorCode::InvalidArgument, "unknown restart policy"};
}

ServiceState from_wire(wire::ServiceState state) {
  switch (state) {
    case wire::ServiceState::Running: return ServiceState::Running;
    case wire::ServiceState::BackingOff: return ServiceState::BackingOff;
    case wire::ServiceState::Stopped: return ServiceState::Stopped;
    case wire::ServiceState::Failed: return ServiceState::Failed;
  }
  return ServiceState::Failed;
}

wire::ServiceStart make_request(const ServiceOptions& options) {
  check_name(options.name);
  if (options.argv.empty())
    throw Error{ErrorCode::InvalidArgument, fmt::format("service '{}' needs at least a program", options.name)};
  if (!options.log.empty() && options.log.front() != '/')
    throw Error{ErrorCode::InvalidArgument, fmt::format("the log '{}' of service '{}' is not named by an absolute path",
                                                        options.log, options.name)};
  if (options.log_limit_bytes < wire::min_log_limit || options.log_limit_bytes > wire::max_log_limit)
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("the limit of a service's log must be {} to {} bytes, not {}", wire::min_log_limit,
                            wire::max_log_limit, options.log_limit_bytes)};
  const auto first = options.backoff_first.count();
  const auto longest = options.backoff_longest.count();
  if (first < 1 || longest < first || longest > wire::max_backoff_ms)
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("the waits before a service is started again grow from at least 1 ms to at most {} ms, not "
                            "from {} ms to {} ms",
                            wire::max_backoff_ms, first, longest)};
  wire::ServiceStart request;
  request.name = options.name;
  request.argv = options.argv;
  request.env = options.env;
  request.cwd = options.cwd;
  request.user = options.user;
  request.log = options.log.empty() ? fmt::format("/var/log/fireclaw/{}.log", options.name) : options.log;
  request.log_limit = options.log_limit_bytes;
  request.restart = to_wire(options.restart);
  request.backoff_first_ms = static_cast<std::uint32_t>(first);
  request.backoff_longest_ms = static_cast<std::uint32_t>(longest);
  return request;
}

ServiceInfo to_info(const wire::ServiceStatus& status, std::uint64_t now_ms) {
  ServiceInfo info;
  info.name = status.name;
  info.state = from_wire(status.state);
  info.pid = status.pid;
  info.restarts = status.restarts;
  info.exit_code = status.code;
  info.signal = status.signal;
  if (info.state == ServiceState::Running && now_ms > status.started_ms)
    info.uptime = std::chrono::milliseconds{now_ms - status.started_ms};
  info.problem = status.problem;
  return info;
}

/// What the guest says is shown to users and put into records.
bool is_sound(const wire::Services& answer) {
  return answer.list.size() <= wire::max_services &&
         std::all_of(answer.list.begin(), answer.list.end(), [](const wire::ServiceStatus& status) {
           return wire::is_service_name(status.name) && status.problem.size() <= wire::max_service_problem_bytes &&
                  status.code >= 0 && status.code <= 255 && status.signal >= 0 && status.signal <= 64;
         });
}

}  // namespace

void Session::service_start(const ServiceOptions& options, Deadline deadline) {
  impl_->ask(Type::ServiceStart, wire::encode(make_request(options)), deadline,
             fmt::format("starting service '{}'", options.name));
}

void Session::service_signal(const std::string& name, int number, Deadline deadline) {
  check_name(name);
  if (number < 1 || number > 64) throw Error{ErrorCode::InvalidArgument, fmt::format("{} is not a signal", number)};
  wire::ServiceSignal request;
  request.name = name;
  request.number = static_cast<std::uint32_t>(number);
  impl_->ask(Type::ServiceSignal, wire::encode(request), deadline, fmt::format("sending service '{}' a signal", name));
}

void Session::service_stop(const std::string& name, std::chrono::milliseconds grace, Deadline deadline) {
  check_name(name);
  wire::ServiceStop request;
  request.name = name;
  request.grace_ms = static_cast<std::uint32_t>(std::clamp<std::int64_t>(grace.count(), 0, 3600 * 1000));
  impl_->ask(Type::ServiceStop, wire::encode(request), deadline, fmt::format("stopping service '{}'", name));
}

std::vector<ServiceInfo> Session::services(Deadline deadline) {
  constexpr std::string_view what = "listing the guest's services";
  const Link::ChannelPtr channel = impl_->link->open_channel(Type::ServiceList, {}, what);
  ScopeGuard undo{[&] { impl_->link->abandon(channel); }};
  const std::string payload = impl_->link->answer(channel, Type::Services, deadline, what);
  undo.release();
  wire::Services answer;
  if (!wire::decode(payload, answer) || !is_sound(answer))
    impl_->link->break_off("its list of services makes no sense");
  std::vector<ServiceInfo> infos;
  infos.reserve(answer.list.size());
  for (const wire::ServiceStatus& status : answer.list) infos.push_back(to_info(status, answer.now_ms));
  return infos;
}

}  // namespace fireclaw::guest
