#include "processes/services.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "machine.hpp"
#include "processes/service.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

wire::Done unknown(const std::string& name) { return {ENOENT, cat({"there is no service '", name, "'"})}; }

wire::Done refused(std::string message) { return {EINVAL, std::move(message)}; }

wire::Done check(const wire::ServiceStart& request) {
  if (!wire::is_service_name(request.name))
    return refused(cat({"'", request.name, "' is not a name for a service: use letters, digits, '.', '-', '_'"}));
  if (request.log_limit < wire::min_log_limit || request.log_limit > wire::max_log_limit)
    return refused("the limit of a service's log must be 4 KiB to 1 GiB");
  if (request.backoff_first_ms < 1 || request.backoff_longest_ms < request.backoff_first_ms ||
      request.backoff_longest_ms > wire::max_backoff_ms)
    return refused("the waits before a service is started again grow from at least 1 ms to at most a day");
  return {};
}

}  // namespace

Services::Services(Loop& loop, Machine& machine) : loop_{loop}, machine_{machine} {}

Services::~Services() = default;

bool Services::make_room() {
  if (services_.size() < wire::max_services) return true;
  auto oldest = services_.end();
  for (auto item = services_.begin(); item != services_.end(); ++item) {
    if (item->second->is_active()) continue;
    if (oldest == services_.end() || item->second->number() < oldest->second->number()) oldest = item;
  }
  if (oldest == services_.end()) return false;
  services_.erase(oldest);
  return true;
}

wire::Done Services::start(const wire::ServiceStart& request) {
  if (shutting_down_) return {ESHUTDOWN, "the guest is shutting down"};
  if (wire::Done problem = check(request); problem.error != 0) return problem;
  const auto known = services_.find(request.name);
  if (known != services_.end()) {
    if (known->second->is_stopping())
      return {EBUSY, cat({"service '", request.name, "' is being stopped; start it once it has ended"})};
    if (known->second->is_active())
      return {EEXIST, cat({"service '", request.name, "' runs already; stop it first, or give this one another name"})};
  } else if (!make_room()) {
    return {EAGAIN, cat({"the guest runs ", std::to_string(services_.size()), " services, which is the limit"})};
  }
  auto service = std::make_unique<Service>(loop_, machine_, request, ++started_);
  wire::Done done = service->begin();
  if (done.error == 0) services_[request.name] = std::move(service);
  return done;
}

wire::Done Services::signal(const wire::ServiceSignal& request) {
  if (request.number < 1 || request.number > 64)
    return refused(cat({std::to_string(request.number), " is not a signal"}));
  const auto found = services_.find(request.name);
  if (found == services_.end()) return unknown(request.name);
  if (found->second->pid() <= 0) return {ESRCH, cat({"service '", request.name, "' is not running"})};
  machine_.signal_process(found->second->pid(), static_cast<int>(request.number));
  return {};
}

wire::Done Services::stop(const wire::ServiceStop& request) {
  const auto found = services_.find(request.name);
  if (found == services_.end()) return unknown(request.name);
  found->second->stop(request.grace_ms);
  return {};
}

bool Services::is_stopping(const std::string& name) const {
  const auto found = services_.find(name);
  return found != services_.end() && found->second->is_stopping();
}

wire::Services Services::list() const {
  wire::Services answer;
  answer.now_ms = static_cast<std::uint64_t>(now_ms());
  for (const auto& [name, service] : services_) answer.list.push_back(service->status());
  return answer;
}

bool Services::child_ended(pid_t pid, int status) {
  for (const auto& [name, service] : services_) {
    if (service->pid() != pid) continue;
    service->ended(status);
    return true;
  }
  return false;
}

std::int64_t Services::deadline() const {
  std::int64_t earliest = -1;
  for (const auto& [name, service] : services_) {
    const std::int64_t wanted = service->deadline();
    if (wanted >= 0 && (earliest < 0 || wanted < earliest)) earliest = wanted;
  }
  return earliest;
}

void Services::tick() {
  for (const auto& [name, service] : services_) service->tick();
}

void Services::shut_down(std::uint32_t grace_ms) {
  shutting_down_ = true;
  for (const auto& [name, service] : services_) service->stop(grace_ms);
}

void Services::reopen_logs() {
  for (auto& [name, service] : services_) service->reopen_log();
}

void Services::end() { services_.clear(); }

bool Services::idle() const {
  return std::none_of(services_.begin(), services_.end(), [](const auto& item) { return item.second->pid() > 0; });
}

}  // namespace fireclaw::guestd
