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
/// `control` serialises what changes the machine (start, pause, snapshot, ...). Commands do not take it: they hold
/// the session alive by a shared pointer while they run.
struct VM::Impl {
  Impl(std::shared_ptr<Host::Impl> host, VMConfig config, core::Purpose purpose = {}, StartOptions waiting = {});
  /// Takes hold of a machine that runs, no matter who started it, and leaves it running. Error(NotFound) if it has
  /// ended meanwhile.
  Impl(std::shared_ptr<Host::Impl> host, state::RunRecord record);
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;
  ~Impl();

  void start();
  /// The session with the guest, opened on first use.
  std::shared_ptr<guest::Session> session(Deadline deadline, const std::stop_token& stop);
  /// Starts a command; the first one in a restored machine in the same round trip that opens the session.
  guest::Process start_command(ExecOptions options);
  void pause(Deadline deadline);
  void resume(Deadline deadline);
  /// After the machine stood still: sets its guest's clock. What cannot be set now is set when a session opens next.
  void catch_up() noexcept;
  /// Changes the machine's record, here and on disk. What others have changed there meanwhile stays.
  void note(const std::function<void(state::RunRecord&)>& change);
  /// `problem` with what is known of the machine: why the engine ended, the console's last lines.
  [[nodiscard]] Error explain(const Error& problem) const;
  void stop(std::chrono::milliseconds grace);
  void kill();
  /// Writes the machine's state to `files` and leaves it paused. Commands that run are ended.
  void save(const vmm::SnapshotFiles& files, Deadline deadline);
  /// Writes its state to `files` while it runs, and lets it run on; one that is paused stays so. `copy_disks` is called
  /// when nothing is written to its disks: they then are as the state has them. Commands of this process's session are
  /// ended. Returns how long it stood still for it.
  std::chrono::nanoseconds save_running(const vmm::SnapshotFiles& files, const std::function<void()>& copy_disks,
                                        Deadline deadline, const std::stop_token& stop = {});
  /// Calls `copy` while it stands still, and lets it run on; one that is paused stays so. Its disks are then as after a
  /// power cut.
  void copy_paused(const std::function<void()>& copy, Deadline deadline);
  /// What a snapshot of it is found by.
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
  /// nullopt for a machine that somebody else has started.
  std::optional<core::MachineDisks> disks;
  std::unique_ptr<vmm::Driver> driver;
  /// What start() restores; nullopt: it boots.
  std::optional<state::SnapshotRecord> snapshot;
  std::optional<core::VmNetwork> network;
  /// config.json's, for its start.
  state::LimitSettings limits;
  /// While it is being started: the user that its engine is to have.
  std::optional<core::EngineUser> user;
  /// Of a machine that has a name, for as long as this holds it.
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
  /// In a forked process: keeps what only the owner may end.
  void abandon() noexcept;
  void restore_or_boot(const vmm::StartOptions& options);
  void start_engine(const vmm::StartOptions& options);
  void connect_network(const vmm::PhaseCallback& on_phase);
  void boot(const vmm::StartOptions& options);
  /// Whether the engine's end need not be waited for: it holds nothing that others could want and get only then.
  [[nodiscard]] bool may_end_alone() const;
  void end_engine() noexcept;
  void remove_folder() noexcept;
  vmm::LaunchSpec launch_spec();
  void note_configured();
  /// In a machine that has booted: what it is to be prepared with, and then its disks.
  void prepare_guest(guest::Session& session, Deadline deadline) const;
  [[nodiscard]] bool prepares() const { return purpose.prepare && !snapshot; }
  /// Whether the snapshot that it is looked for is one that is made by itself when it no longer fits.
  [[nodiscard]] bool renews() const;
  void require_running() const;
  /// Others know from now on that the machine is to continue if this process is killed while it copies it.
  void begin_copy();
  void end_copy() noexcept;
  /// It could not be told to continue: said to be paused it can be resumed, which is tried again.
  void note_left_paused(const Error& problem);
  void note_state(VMState now);
  void set_clock(guest::Session& session, Deadline deadline);
  /// What the guest must be given first, unless it has it already.
  std::optional<guest::Identity> fresh_identity() const;
  guest::Process open_with_command(ExecOptions options, Deadline deadline, const std::stop_token& stop);
  std::shared_ptr<guest::Session> open(Deadline deadline, const std::stop_token& stop);
  /// session(), with the lock held.
  std::shared_ptr<guest::Session> open_now(Deadline deadline, const std::stop_token& stop);
};

}  // namespace fireclaw
