#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/host/impl.hpp"
#include "core/host/launch_plan.hpp"
#include "core/machines/disks.hpp"
#include "core/machines/machine_use.hpp"
#include "core/machines/purpose.hpp"
#include "core/networks/connection.hpp"
#include "fireclaw/vm.hpp"
#include "guest/session.hpp"
#include "image/store/store.hpp"
#include "state/records/runs.hpp"
#include "state/records/snapshots.hpp"
#include "state/settings/sandbox.hpp"
#include "sys/made_here.hpp"
#include "vmm/driver.hpp"

namespace fireclaw {

/// One machine as this process holds it. Owns the engine's instance, the session with its guest and, unless
/// detached, the run's folder; destruction ends what it owns.
///
/// `control` serialises changes of the machine (start, pause, snapshot, ...). Commands do not take it: they keep the
/// session alive by a shared pointer while they run.
struct VM::Impl {
  Impl(std::shared_ptr<Host::Impl> host, VMConfig config, core::Purpose purpose = {}, StartOptions waiting = {});
  /// Attaches to a running machine, no matter which process started it, and leaves it running. Error(NotFound) if it
  /// has ended meanwhile.
  Impl(std::shared_ptr<Host::Impl> host, state::RunRecord record);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  void start();
  /// The session with the guest, opened on first use.
  std::shared_ptr<guest::Session> session(Deadline deadline, const std::stop_token& stop);
  /// Starts a command. In a restored machine, the first one goes out in the round trip that opens the session.
  guest::Process start_command(ExecOptions options);
  void pause(Deadline deadline);
  void resume(Deadline deadline);
  /// Call after a pause: sets the guest's clock. If that fails, the next session sets it.
  void catch_up() noexcept;
  /// Changes the machine's record, here and on disk. Changes of others on disk stay.
  void note(const std::function<void(state::RunRecord&)>& change);
  /// `problem` with what is known of the machine: why the engine ended, the console's last lines.
  [[nodiscard]] Error explain(const Error& problem) const;
  /// Whether a process that lives is copying it, as its record on disk says.
  [[nodiscard]] bool is_being_copied() const;
  void stop(std::chrono::milliseconds grace);
  void kill();
  /// Writes the machine's state to `files` and leaves it paused. Running commands are ended.
  void save(const vmm::SnapshotFiles& files, Deadline deadline);
  /// Writes its state to `files` while it runs; it continues, and a paused one stays paused. `copy_disks` is called
  /// while nothing is written to its disks: they then match the state. Commands of this process's session are ended.
  /// Returns how long the machine was paused.
  std::chrono::nanoseconds save_running(const vmm::SnapshotFiles& files, const std::function<void()>& copy_disks,
                                        Deadline deadline, const std::stop_token& stop = {});
  /// Calls `copy` while the machine is paused, then resumes it; a paused one stays paused. Its disks are as after a
  /// power cut.
  void copy_paused(const std::function<void()>& copy, Deadline deadline);
  /// The key by which a snapshot of it is found.
  [[nodiscard]] state::SnapshotKey snapshot_key() const;
  /// Whether it has writable disks.
  [[nodiscard]] bool has_disks() const { return !record.workspace.empty() || record.scratch_mib != 0; }

  /// Error(InvalidState) in a process that was forked from the one that made this.
  void require_own_process() const;

  const sys::MadeHere made_here;
  std::shared_ptr<Host::Impl> host;
  VMConfig config;
  StartOptions waiting;
  image::Entry image;
  core::Shape shape;
  core::Purpose purpose;
  /// nullopt for a machine that another process has started.
  std::optional<core::MachineDisks> disks;
  std::unique_ptr<vmm::Driver> driver;
  /// What start() restores; nullopt: it boots.
  std::optional<state::SnapshotRecord> snapshot;
  std::optional<core::VmNetwork> network;
  /// The limits of config.json for its start.
  state::LimitSettings limits;
  /// While it is being started: its engine's user.
  std::optional<core::EngineUser> user;
  /// The use of a machine with a name, for as long as this holds it.
  std::optional<core::MachineUse> use;

  mutable std::mutex control;
  state::RunRecord record;
  VMState state = VMState::Created;
  std::unique_ptr<vmm::Instance> instance;
  std::shared_ptr<guest::Session> open_session;
  /// The guest has been given its identity and its disks (again after each restore).
  bool configured = false;
  std::vector<Phase> phases;

 private:
  /// In a forked process: gives up without ending what belongs to the owner.
  void abandon() noexcept;
  void restore_or_boot(const vmm::StartOptions& options);
  void start_engine(const vmm::StartOptions& options);
  void connect_network(const vmm::PhaseCallback& on_phase);
  void boot(const vmm::StartOptions& options);
  /// Whether nobody needs to wait for the engine's end: it holds nothing that others could want.
  [[nodiscard]] bool may_end_alone() const;
  void end_engine() noexcept;
  void remove_folder() noexcept;
  vmm::LaunchSpec launch_spec();
  void note_configured();
  /// In a machine that has booted: prepares the guest, then mounts its disks.
  void prepare_guest(guest::Session& session, Deadline deadline) const;
  [[nodiscard]] bool prepares() const { return purpose.prepare && !snapshot; }
  /// Whether the snapshot to look for is one that is made again automatically when it no longer fits.
  [[nodiscard]] bool renews() const;
  void require_running() const;
  /// Records that others must resume the machine if this process is killed while it copies it.
  void begin_copy();
  void end_copy() noexcept;
  /// Call if it could not be resumed: records it as paused, so that it can be resumed later.
  void note_left_paused(const Error& problem);
  void note_state(VMState now);
  void set_clock(guest::Session& session, Deadline deadline);
  /// The identity that the guest must get first; nullopt if it has one.
  std::optional<guest::Identity> fresh_identity() const;
  guest::Process open_with_command(ExecOptions options, Deadline deadline, const std::stop_token& stop);
  std::shared_ptr<guest::Session> open(Deadline deadline, const std::stop_token& stop);
  /// session(), with the lock held.
  std::shared_ptr<guest::Session> open_now(Deadline deadline, const std::stop_token& stop);
};

}  // namespace fireclaw
