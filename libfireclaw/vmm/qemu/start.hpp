#pragma once

#include <optional>
#include <string>
#include <vector>

#include "sys/fd.hpp"
#include "sys/sandbox/sandbox.hpp"
#include "vmm/driver.hpp"
#include "vmm/engine_process.hpp"
#include "vmm/qemu/console.hpp"
#include "vmm/qemu/qmp.hpp"
#include "vmm/qemu/run_dir.hpp"
#include "vmm/text_pipe.hpp"

namespace fireclaw::vmm::qemu {

/// A QEMU that has just been started, and our ends of what it was given.
struct StartedEngine {
  EngineProcess process;
  QmpClient qmp;
  /// The first guest channel, connected and claimed.
  GuestStream channel;
  Console console;
  TextPipe log;
};

/// Runs `argv` (of to_argv) in the machine's folder, shut in as `sandbox` says. Returns at once: the sockets listen
/// already and QEMU inherits them, so there is nothing to wait for.
StartedEngine start_engine(const LaunchSpec& spec, std::vector<std::string> argv, sys::Sandbox sandbox,
                           const sys::Fd& memory, const sys::Fd* state);

/// Called when talking to QEMU has failed with `error`: throws Error(Vmm) with the reason if that was QEMU's end, else
/// returns. `hung_up`: QEMU has closed its socket, so its end is a moment away at most.
void throw_if_ended(EngineProcess& process, const TextPipe* log, bool hung_up);

}  // namespace fireclaw::vmm::qemu
