#include <utility>

#include <fmt/format.h>

#include "core/agent_guest.hpp"
#include "core/agents_impl.hpp"
#include "core/end_run.hpp"
#include "core/vm_impl.hpp"
#include "fireclaw/error.hpp"
#include "guest/session.hpp"

namespace fireclaw {
namespace {

/// What a living machine may take to answer.
constexpr std::chrono::seconds answer_limit{10};

}  // namespace

bool AgentManager::Impl::adopt(const state::AgentRecord& record) {
  const auto run = running(record);
  if (!run) return false;
  try {
    const auto found = machine(record);
    const auto deadline = Deadline::after(answer_limit);
    if (!run->paused) found->session(deadline, {})->ping(deadline);
    return true;
  } catch (const Error& problem) {
    // All ways into the guest may be taken by others who talk to it: then it is well.
    if (problem.code() == ErrorCode::InvalidState) return true;
    host->logger.warning(fmt::format("agent '{}' does not answer: {}", record.name, problem.what()));
    return false;
  }
}

ReconcileReport AgentManager::Impl::reconcile() {
  ReconcileReport report;
  std::vector<std::string> owned;
  for (const auto& listed : agents.list()) {
    // Who holds the lock is starting or stopping the agent, and does what there is to do.
    const auto turn =
        sys::FileLock::try_acquire(host->layout.lock("agent-" + listed.name), sys::FileLock::Mode::Exclusive);
    if (!turn) {
      report.busy.push_back(listed.name);
      owned.push_back(listed.name);
      continue;
    }
    auto record = agents.find(listed.name);
    if (!record) continue;
    owned.push_back(record->name);
    if (record->phase == state::AgentPhase::Stopped || record->phase == state::AgentPhase::Crashed) {
      clean_up(*record);
      continue;
    }
    if (record->phase == state::AgentPhase::Running && adopt(*record)) {
      report.adopted.push_back(record->name);
      continue;
    }
    const bool was_stopping = record->phase == state::AgentPhase::Stopping;
    const auto why = describe(*record).last_error;
    clean_up(*record);
    record->phase = was_stopping ? state::AgentPhase::Stopped : state::AgentPhase::Crashed;
    record->last_error = was_stopping ? std::string{} : why.empty() ? "its machine did not answer" : why;
    record->run.clear();
    record->worker.reset();
    agents.put(*record);
    if (!was_stopping) report.crashed.push_back(record->name);
  }
  for (const auto& run : host->runs.list()) {
    if (run.agent.empty() || sys::is_alive(run.owner)) continue;
    const auto turn =
        sys::FileLock::try_acquire(host->layout.lock("agent-" + run.agent), sys::FileLock::Mode::Exclusive);
    if (!turn) continue;
    const auto record = agents.find(run.agent);
    if (record && record->run == run.id) continue;
    core::end_run(*host, run);
    report.orphans.push_back(run.id);
  }
  return report;
}

}  // namespace fireclaw
