#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/machines/full_disk.hpp"
#include "core/machines/impl.hpp"
#include "fireclaw/error.hpp"
#include "sys/process.hpp"
#include "vmm/brief_pause.hpp"

// How a machine's state is written to files.

namespace fireclaw {

std::chrono::nanoseconds VM::Impl::save_running(const vmm::SnapshotFiles& files,
                                                const std::function<void()>& copy_disks, Deadline deadline,
                                                const std::stop_token& stop) {
  require_own_process();
  if (image.manifest.digest.empty()) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("image '{}' is gone or was built again: VM {} cannot be saved", record.image, record.id)};
  }
  {
    const std::scoped_lock lock{control};
    if (state == VMState::Paused) {
      core::naming_full_disk(files.state.parent_path(), [&] { instance->snapshot(files, deadline, stop); });
      copy_disks();
      return {};
    }
  }
  const auto current = session(deadline, stop);
  const std::scoped_lock lock{control};
  require_running();
  // Noted first: a caller whose connection the guest ends now looks at that.
  begin_copy();
  const ScopeGuard done{[&] { end_copy(); }};
  current->prepare_snapshot(deadline);
  open_session.reset();
  return core::naming_full_disk(files.state.parent_path(), [&] {
    try {
      return instance->snapshot_running(files, copy_disks, deadline, stop);
    } catch (const vmm::StaysPaused& problem) {
      note_left_paused(problem);
      throw;
    }
  });
}

void VM::Impl::begin_copy() {
  note([](state::RunRecord& now) {
    now.copier = sys::current_process();
    now.clock_late = true;
  });
}

void VM::Impl::end_copy() noexcept {
  record.copier.reset();
  try {
    if (!instance->exit_reason().empty()) return;
    const bool left_paused = state == VMState::Paused;
    note([&](state::RunRecord& now) {
      now.copier.reset();
      now.paused = now.paused || left_paused;
    });
    if (state == VMState::Running) catch_up();
  } catch (const std::exception& problem) {
    host->logger.warning(problem.what());
  }
}

void VM::Impl::note_left_paused(const Error& problem) {
  host->logger.error(fmt::format("VM {} is left paused: {}", record.id, problem.what()));
  state = VMState::Paused;
  record.paused = true;
}

void VM::Impl::copy_paused(const std::function<void()>& copy, Deadline deadline) {
  require_own_process();
  const std::scoped_lock lock{control};
  if (state == VMState::Paused) return copy();
  require_running();
  begin_copy();
  const ScopeGuard done{[&] { end_copy(); }};
  const ScopeGuard resumed{[&] {
    try {
      instance->resume(Deadline::after(vmm::resume_limit));
      if (instance->resume_resets_streams()) open_session.reset();
    } catch (const Error& problem) {
      note_left_paused(problem);
    }
  }};
  instance->pause(deadline);
  copy();
}

void VM::Impl::save(const vmm::SnapshotFiles& files, Deadline deadline) {
  const auto current = session(deadline, waiting.stop);
  const std::scoped_lock lock{control};
  require_running();
  current->prepare_snapshot(deadline);
  open_session.reset();
  instance->pause(deadline);
  note_state(VMState::Paused);
  core::naming_full_disk(files.state.parent_path(), [&] { instance->snapshot(files, deadline, waiting.stop); });
}

}  // namespace fireclaw
