#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/agents/guest.hpp"
#include "core/agents/impl.hpp"
#include "core/machines/end_run.hpp"
#include "core/machines/impl.hpp"
#include "core/machines/resume_abandoned.hpp"
#include "core/networks/anchor.hpp"
#include "fireclaw/error.hpp"
#include "guest/session.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

/// What a machine may take to answer that is emulated on a host with much else to do. All are asked at once.
constexpr std::chrono::seconds answer_limit{30};

}  // namespace

/// An agent that is thought to run, and its lock, while its machine is asked.
struct AgentManager::Impl::Asked {
  sys::FileLock turn;
  state::AgentRecord record;
  bool answers = false;
};

/// No answer is not proof of death: the host may be busy, or somebody may have stopped the engine to look at it.
bool AgentManager::Impl::answers(const state::AgentRecord& record, Deadline deadline) {
  try {
    const auto found = machine(record);
    if (found->record.paused) return true;
    found->session(deadline, {})->ping(deadline);
    return true;
  } catch (const Error& problem) {
    // All ways into the guest may be taken by others who talk to it: then it is well.
    if (problem.code() == ErrorCode::InvalidState) return true;
    host->logger.warning(fmt::format("agent '{}' does not answer: {}", record.name, problem.what()));
  } catch (const std::exception& problem) {
    host->logger.warning(fmt::format("agent '{}' could not be asked: {}", record.name, problem.what()));
  }
  return false;
}

void AgentManager::Impl::ask_all(std::vector<Asked>& all) {
  const auto deadline = Deadline::after(answer_limit);
  std::vector<std::jthread> threads;
  for (auto& one : all) {
    threads.emplace_back([this, &one, deadline] { one.answers = answers(one.record, deadline); });
  }
}

void AgentManager::Impl::bury(state::AgentRecord record, ReconcileReport& report) {
  const bool was_stopping = record.phase == state::AgentPhase::Stopping;
  const auto why = describe(record).last_error;
  clean_up(record);
  record.phase = was_stopping ? state::AgentPhase::Stopped : state::AgentPhase::Crashed;
  record.last_error = was_stopping ? std::string{} : why.empty() ? "its machine ended unexpectedly" : why;
  record.run.clear();
  record.worker.reset();
  agents.put(record);
  if (!was_stopping) report.crashed.push_back(record.name);
}

ReconcileReport AgentManager::Impl::reconcile() {
  ReconcileReport report;
  std::vector<Asked> asked;
  for (const auto& listed : agents.list()) {
    // The lock's holder is starting or stopping the agent, and does what there is to do.
    auto turn = sys::FileLock::try_acquire(host->layout.lock("agent-" + listed.name), sys::FileLock::Mode::Exclusive);
    if (!turn) {
      report.busy.push_back(listed.name);
      continue;
    }
    const auto record = find_whole(listed.name);
    if (!record) continue;
    if (record->phase == state::AgentPhase::Stopped || record->phase == state::AgentPhase::Crashed) {
      clean_up(*record);
    } else if (const auto run = running(*record); run && record->phase == state::AgentPhase::Running) {
      core::resume_abandoned(host, *run);
      asked.push_back({std::move(*turn), *record});
    } else {
      bury(*record, report);
    }
  }
  ask_all(asked);
  for (auto& one : asked) {
    if (const auto run = running(one.record); run && core::has_lost_network(*run)) {
      host->logger.warning(fmt::format(
          "agent '{0}' has lost its network: the process that kept it has ended; to give it a new one: fireclaw agent "
          "restart {0}",
          one.record.name));
    }
    if (one.answers) {
      report.adopted.push_back(one.record.name);
    } else if (const auto run = running(one.record); run && run->process && !sys::is_ending(*run->process)) {
      report.silent.push_back(one.record.name);
    } else {
      bury(one.record, report);
    }
  }
  for (const auto& run : host->runs.list()) {
    if (run.agent.empty() || sys::is_alive(run.owner)) continue;
    const bool known = std::ranges::any_of(asked, [&](const Asked& one) { return one.record.run == run.id; });
    if (known) continue;
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
