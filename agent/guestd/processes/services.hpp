#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "guest/tree/tree.hpp"
#include "guest/wire/service.hpp"
#include "guest/wire/wire.hpp"
#include "loop.hpp"

namespace fireclaw::guestd {

namespace wire = guest::wire;

class Machine;
class Service;

/// The programs that guestd keeps running. They belong to the machine, not to a session: they continue when
/// hosts come and go, also through a snapshot. Each has one pipe for all its life, whose other end becomes its stdout
/// and stderr each time it is started; guestd moves what comes out of it into the log.
class Services {
 public:
  Services(Loop& loop, Machine& machine);
  Services(const Services&) = delete;
  Services& operator=(const Services&) = delete;
  /// Kills all processes.
  ~Services();

  /// Starts a service. EEXIST if one of that name runs; an ended one is replaced.
  wire::Done start(const wire::ServiceStart& request);
  wire::Done signal(const wire::ServiceSignal& request);
  /// Sends SIGTERM to its process group, SIGKILL after the grace. The stop is over once is_stopping() is false.
  wire::Done stop(const wire::ServiceStop& request);
  [[nodiscard]] bool is_stopping(const std::string& name) const;
  [[nodiscard]] wire::Services list() const;

  /// Call when disks have come or gone: logs are looked up again.
  void reopen_logs();
  /// True if `pid` was a service. To be called while the dead process still holds its number: then what is left of its
  /// process group can be killed without hitting another.
  bool child_ended(pid_t pid, int status);
  /// When tick() wants to be called, in now_ms() time, or -1.
  [[nodiscard]] std::int64_t deadline() const;
  /// Moves output, starts services again that are due, kills those whose grace has passed.
  void tick();

  /// Stops all services, and starts none any more.
  void shut_down(std::uint32_t grace_ms);
  /// Forgets all, and closes their logs.
  void end();
  /// Whether none has a process.
  [[nodiscard]] bool idle() const;

 private:
  /// Makes room for one more, if need be at the cost of the oldest one that has ended.
  bool make_room();

  Loop& loop_;
  Machine& machine_;
  std::map<std::string, std::unique_ptr<Service>> services_;
  /// How many were asked for so far.
  std::uint64_t started_ = 0;
  bool shutting_down_ = false;
};

}  // namespace fireclaw::guestd
