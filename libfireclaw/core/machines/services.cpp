#include <chrono>
#include <utility>

#include "core/machines/impl.hpp"
#include "core/machines/run_defaults.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw {
namespace {

/// A guest that answers at all does so at once.
constexpr std::chrono::seconds answer_limit{20};

/// Asks the guest, over the session that is open or a new one.
template <typename Ask>
auto with_guest(VM::Impl& vm, std::chrono::milliseconds more, const Ask& ask) {
  const auto deadline = Deadline::after(std::chrono::nanoseconds{vm.waiting.timeout});
  const auto session = vm.session(deadline, {});
  try {
    return ask(*session, Deadline::after(std::chrono::nanoseconds{answer_limit} + more));
  } catch (const Error& problem) {
    throw vm.explain(problem);
  }
}

}  // namespace

void VM::start_service(ServiceOptions options) {
  core::apply_defaults(options, impl_->image.manifest.defaults);
  if (impl_->record.nat) core::apply_proxy(options, impl_->record.nat->http_proxy);
  with_guest(*impl_, {}, [&](auto& guest, Deadline deadline) { guest.service_start(options, deadline); });
}

void VM::signal_service(const std::string& name, int number) {
  with_guest(*impl_, {}, [&](auto& guest, Deadline deadline) { guest.service_signal(name, number, deadline); });
}

void VM::stop_service(const std::string& name, std::chrono::milliseconds grace) {
  with_guest(*impl_, grace, [&](auto& guest, Deadline deadline) { guest.service_stop(name, grace, deadline); });
}

std::vector<ServiceInfo> VM::services() {
  return with_guest(*impl_, {}, [](auto& guest, Deadline deadline) { return guest.services(deadline); });
}

std::vector<Phase> VM::guest_phases() {
  std::vector<Phase> phases;
  for (auto& [name, duration] : with_guest(*impl_, {}, [](auto&guest, Deadline limit) { return guest.steps(limit); })) {
    phases.push_back({std::move(name), duration});
  }
  return phases;
}

}  // namespace fireclaw
