#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string_view>

#include "guest/tree/tree.hpp"
#include "guest/tree/writer.hpp"
#include "guest/wire/files.hpp"
#include "guest/wire/wire.hpp"
#include "steps.hpp"

namespace fireclaw::guestd {

namespace wire = guest::wire;
using guest::OwnedFd;

/// A command that runs: the leader of a session and process group of its own.
struct Spawned {
  pid_t pid = -1;
  /// Our ends, non-blocking. With a terminal `out` is its master side, written and read, and the others are unused.
  OwnedFd in;
  OwnedFd out;
  OwnedFd err;
};

class Services;

/// What sessions can do to their machine. The fuzzers replace it by something harmless.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual wire::Hello hello() = 0;
  virtual std::optional<wire::ExecFailed> spawn(const wire::Exec& request, Spawned& spawned) = 0;
  /// As spawn(), but without input, and with all output to `output`.
  virtual std::optional<wire::ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid) = 0;
  /// As spawn(), but the process carries out `call` and answers as in wire/files.hpp.
  virtual std::optional<wire::ExecFailed> spawn_file_call(const wire::FileCall& call, Spawned& spawned) = 0;
  virtual void signal_group(pid_t leader, int number) = 0;
  virtual void signal_process(pid_t pid, int number) = 0;
  virtual Services& services() = 0;
  virtual wire::Done configure(const wire::Configure& request, Steps& steps) = 0;
  virtual wire::Done set_clock(std::int64_t time_ns) = 0;
  /// The folder in which file copies look up names.
  virtual guest::Base files() = 0;
  /// The user that `user` (as wire::Exec has it) names; a Failure if there is none.
  virtual std::optional<guest::Failure> find_owner(std::string_view user, guest::TreeWriter::Owner& owner) = 0;
  virtual wire::Done mount(const wire::Mount& request) = 0;
  virtual wire::Done unmount(const wire::Unmount& request) = 0;
  virtual wire::Done prepare_snapshot() = 0;
  /// Begins to end the machine; returns at once.
  virtual void shutdown(std::uint32_t grace_ms) = 0;
};

}  // namespace fireclaw::guestd
