#include "core/agents/machine.hpp"

#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/units.hpp"
#include "core/agents/guest.hpp"
#include "core/machines/prepared.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::core {
namespace {

/// A cold boot, with everything that the bot loads, where every instruction is emulated.
constexpr std::chrono::minutes prepare_limit{5};

}  // namespace

VMConfig agent_machine(const state::Template& from) {
  VMConfig machine;
  machine.image = from.text("image", std::string{default_image});
  machine.cpus = static_cast<unsigned>(from.number("cpus", 1));
  machine.memory_mib = static_cast<unsigned>(from.number("memory_mib", default_memory_mib));
  machine.scratch_mib = static_cast<unsigned>(from.number("scratch_mib", default_scratch_mib));
  machine.scratch_target = agent_home;
  machine.disk_mib_per_second = static_cast<unsigned>(from.number("disk_mib_per_second", 0));
  machine.scratch_uid = machine.scratch_gid = agent_uid;
  return machine;
}

Purpose agent_purpose(Deadline deadline, std::stop_token stop) {
  Purpose purpose;
  purpose.prepared = agent_preparation;
  purpose.prepare = [deadline, stop = std::move(stop)](guest::Session& session) {
    prepare_agent(session, deadline, stop);
  };
  return purpose;
}

void ensure_agent_snapshot(const std::shared_ptr<Host::Impl>& host, const VMConfig& machine, const Purpose& purpose,
                           const StartOptions& waiting) {
  try {
    save_prepared(host, machine, purpose, waiting);
  } catch (const Error& problem) {
    if (problem.code() == ErrorCode::Cancelled) throw;
    host->logger.warning(
        fmt::format("no snapshot could be made for agents of image '{}': {}", machine.image, problem.what()));
  }
}

bool ensure_agent_snapshots(const std::shared_ptr<Host::Impl>& host, NetworkMode network, const std::stop_token& stop) {
  const auto before = host->snapshots.names();
  for (const auto& from : state::TemplateStore{host->layout.templates(), host->logger}.list()) {
    auto machine = agent_machine(from);
    if (machine.image != default_image) continue;
    machine.network = network;
    auto purpose = agent_purpose(Deadline::after(prepare_limit), stop);
    purpose.workspace_bytes = from.number("workspace_mib", default_workspace_mib) * mib;
    ensure_agent_snapshot(host, machine, purpose, {prepare_limit, stop});
  }
  return host->snapshots.names() != before;
}

}  // namespace fireclaw::core
