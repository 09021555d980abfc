#pragma once

#include <filesystem>
#include <optional>

#include "sys/fd.hpp"
#include "sys/sandbox/sandbox.hpp"
#include "vmm/driver.hpp"
#include "vmm/engine_process.hpp"
#include "vmm/firecracker/api.hpp"
#include "vmm/text_pipe.hpp"

namespace fireclaw::vmm::firecracker {

/// A process that has been started and whose API answers.
struct Started {
  EngineProcess process;
  Api api;
  TextPipe console;
  TextPipe log;
  /// To be kept for a while: the kernel takes some 10 ms to close an inotify descriptor whose watch ended just now,
  /// and no time once it has disposed of the watch by itself.
  sys::Fd ended_watch;
};

/// Checks files and taps, whose absence Firecracker reports badly, and lays out the machine's folder: links to the
/// drives, and no sockets of an earlier engine.
void prepare_folder(const LaunchSpec& spec);

/// Starts the process in the prepared folder, confined as `sandbox` says, and waits for its API, without a fixed delay.
/// On failure the process is gone again. The error says why it ended, if it did.
Started start_process(const std::filesystem::path& binary, sys::Sandbox sandbox, const LaunchSpec& spec,
                      const StartOptions& options);

}  // namespace fireclaw::vmm::firecracker
