#pragma once

#include <chrono>
#include <functional>

#include "sys/sandbox/sandbox.hpp"
#include "vmm/engine_process.hpp"
#include "vmm/qemu/argv.hpp"
#include "vmm/qemu/qmp.hpp"
#include "vmm/qemu/run_dir.hpp"
#include "vmm/spec.hpp"
#include "vmm/text_pipe.hpp"

namespace fireclaw::vmm::qemu {

/// A snapshot is QEMU's migration stream without RAM (some 50 to 100 KB) and RAM as a sparse file, which restored
/// machines map privately: loading copies nothing. QEMU leaves RAM out of the stream (x-ignore-shared) only where it
/// is a shared mapping, as that of a cold-started machine is. The RAM of a restored machine is private: its state goes,
/// with RAM, to a second QEMU process whose RAM is shared, and the snapshot is made of that.

/// A machine that is to be saved, borrowed from its instance.
struct SavedMachine {
  EngineProcess& process;
  const RunDir& run_dir;
  /// What the second process prints goes here too.
  const TextPipe& log;
  /// The stand-in's program, and how far it is confined. It runs as the first one's user, since its input is a guest's.
  const Engine& program;
  sys::Confinement confinement;
};

/// Saves the paused machine whose control connection `qmp` is. It stays paused. Both files appear only when they are
/// whole and on disk; on failure neither does.
void save_machine(QmpClient& qmp, const SavedMachine& machine, const SnapshotFiles& files, const Wait& wait);

/// Saves a running machine. It is paused while its state and RAM go to a second process and `copy_drives` is called;
/// the files are written after that. It continues even if this fails. Returns how long it was paused. Throws
/// StaysPaused.
std::chrono::nanoseconds save_running_machine(QmpClient& qmp, const SavedMachine& machine, const SnapshotFiles& files,
                                              const std::function<void()>& copy_drives, const Wait& wait);

/// Resumes a machine that was stopped for any reason. QEMU refuses that while it is still sending the machine's state.
void resume_machine(QmpClient& qmp, const Wait& wait);

/// Has a freshly started QEMU load the state at inherited::state. Error(Vmm) if it will not.
void load_state(QmpClient& qmp, const Wait& wait);

/// Error(Corrupt) unless the files can be a machine's state and `memory_mib` of RAM.
void check_snapshot(const sys::Fd& state, const sys::Fd& memory, const SnapshotFiles& files, unsigned memory_mib);

}  // namespace fireclaw::vmm::qemu
