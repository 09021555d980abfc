#include "core/machines/resume_abandoned.hpp"

#include <chrono>

#include <fmt/format.h>

#include "core/machines/impl.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds resume_limit{20};

}  // namespace

bool is_abandoned(const state::RunRecord& run) {
  return run.copier && !sys::is_alive(*run.copier) && state::is_running(run);
}

void resume_abandoned(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run) {
  if (!is_abandoned(run)) return;
  try {
    VM::Impl machine{host, run};
    if (!run.paused) machine.instance->resume(Deadline::after(resume_limit));
    machine.note([](state::RunRecord& now) { now.copier.reset(); });
    if (!run.paused) machine.catch_up();
    host->logger.info(fmt::format("VM {} is resumed: the process that copied it has ended", run.id));
  } catch (const Error& problem) {
    host->logger.warning(fmt::format("VM {} may be paused: {}", run.id, problem.what()));
  }
}

void try_resume_abandoned(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run) {
  if ((run.agent.empty() && run.machine.empty()) || !is_abandoned(run)) return;
  const auto turn =
      sys::FileLock::try_acquire(host->layout.lock(run.agent.empty() ? "machine-" + run.machine : "agent-" + run.agent),
                                 sys::FileLock::Mode::Exclusive);
  if (!turn) return;
  if (const auto now = host->runs.find(run.id)) resume_abandoned(host, *now);
}

void resume_all_abandoned(const std::shared_ptr<Host::Impl>& host) {
  for (const auto& run : host->runs.list()) try_resume_abandoned(host, run);
}

}  // namespace fireclaw::core
