#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sys/fd.hpp"
#include "vmm/driver.hpp"
#include "vmm/engine_process.hpp"
#include "vmm/qemu/console.hpp"
#include "vmm/qemu/qmp.hpp"
#include "vmm/qemu/run_dir.hpp"

namespace fireclaw::vmm::qemu {

/// A QEMU that has just been started, and our ends of what it was given.
struct StartedEngine {
  EngineProcess process;
  QmpClient qmp;
  /// The first guest channel, connected and claimed.
  GuestStream channel;
  Console console;
};

/// Runs `argv` (of to_argv) in the machine's folder. Returns at once: the sockets listen already and QEMU inherits
/// them, so there is nothing to wait for.
StartedEngine start_engine(const LaunchSpec& spec, std::vector<std::string> argv, const sys::Fd& memory,
                           const sys::Fd* state);

/// What QEMU printed last, on one line.
std::string log_tail(const RunDir& run_dir);

/// Why the engine ended, "exited with status 1; log: ...", or empty while it runs.
std::string exit_reason(EngineProcess& process, const RunDir& run_dir);

/// Called when talking to QEMU has failed with `error`: throws Error(Vmm) with the reason if that was QEMU's end, else
/// returns. `hung_up`: QEMU has closed its socket, so its end is a moment away at most.
void throw_if_ended(EngineProcess& process, const RunDir& run_dir, bool hung_up);

}  // namespace fireclaw::vmm::qemu
