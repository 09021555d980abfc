#include "core/machines/prepared.hpp"

#include <chrono>
#include <utility>

#include "core/machines/snapshots.hpp"

namespace fireclaw::core {

std::shared_ptr<VM::Impl> start_prepared(const std::shared_ptr<Host::Impl>& host, VMConfig config, Purpose purpose) {
  purpose.kind = Purpose::Kind::Use;
  auto machine = std::make_shared<VM::Impl>(host, std::move(config), std::move(purpose));
  machine->start();
  machine->session(Deadline::after(std::chrono::nanoseconds{machine->waiting.timeout}), machine->waiting.stop);
  return machine;
}

Snapshot save_prepared(const std::shared_ptr<Host::Impl>& host, const VMConfig& config, Purpose purpose,
                       StartOptions waiting) {
  purpose.kind = Purpose::Kind::Save;
  purpose.agent.clear();
  return make_snapshot(host, config, {}, false, std::move(purpose), std::move(waiting));
}

}  // namespace fireclaw::core
