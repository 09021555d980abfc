#include "core/machines/named.hpp"

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::core {
namespace {

/// A start where every instruction is emulated, behind which another command waits.
constexpr std::chrono::minutes lock_limit{2};

Error no_such_run(const std::string& id) {
  return Error{ErrorCode::NotFound, fmt::format("no VM '{}' runs; see: fireclaw vm list", id)};
}

}  // namespace

state::MachineStore machine_store(const Host::Impl& host) { return {host.layout.machines(), host.logger}; }

sys::FileLock lock_machine(const Host::Impl& host, const std::string& name) {
  return sys::FileLock::acquire(host.layout.lock("machine-" + name), sys::FileLock::Mode::Exclusive,
                                Deadline::after(lock_limit), fmt::format("machine '{}'", name));
}

state::MachineRecord require_machine(const Host::Impl& host, const std::string& name) {
  if (state::is_run_id(name)) throw no_such_run(name);
  auto record = machine_store(host).find(name);
  if (!record) throw Error{ErrorCode::NotFound, fmt::format("no machine named '{}'; see: fireclaw vm list", name)};
  return std::move(*record);
}

std::optional<state::RunRecord> run_of_machine(const Host::Impl& host, const std::string& name) {
  for (auto& run : host.runs.list()) {
    if (run.machine == name && state::is_running(run)) return std::move(run);
  }
  return std::nullopt;
}

Error machine_stopped(const std::string& name) {
  return Error{ErrorCode::InvalidState,
               fmt::format("machine '{}' is stopped; start it with: fireclaw vm start {}", name, name)};
}

state::RunRecord require_run(const Host::Impl& host, const std::string& id_or_name) {
  if (state::is_run_id(id_or_name)) {
    auto run = host.runs.find(id_or_name);
    if (run && state::is_running(*run)) return std::move(*run);
    throw no_such_run(id_or_name);
  }
  static_cast<void>(require_machine(host, id_or_name));
  auto run = run_of_machine(host, id_or_name);
  if (!run) throw machine_stopped(id_or_name);
  return std::move(*run);
}

}  // namespace fireclaw::core
