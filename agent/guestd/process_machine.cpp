#include "process_machine.hpp"

#include <fcntl.h>
#include <sys/utsname.h>

#include <csignal>
#include <ctime>

#include "identity.hpp"
#include "spawn.hpp"

namespace fireclaw::guestd {

wire::Hello introduce() {
  wire::Hello hello;
  hello.guestd_version = GUESTD_VERSION;
  utsname names{};
  if (uname(&names) == 0) hello.kernel_release = names.release;
  timespec up{};
  clock_gettime(CLOCK_BOOTTIME, &up);
  hello.uptime_ms = static_cast<std::uint64_t>(up.tv_sec) * 1000 + static_cast<std::uint64_t>(up.tv_nsec) / 1000000;
  return hello;
}

wire::Hello ProcessMachine::hello() { return introduce(); }

std::optional<wire::ExecFailed> ProcessMachine::spawn(const wire::Exec& request, Spawned& spawned) {
  return spawn_command(request, spawned);
}

void ProcessMachine::signal_group(pid_t leader, int number) { kill(-leader, number); }

wire::Done ProcessMachine::configure(const wire::Configure& request) { return check_identity(request); }

guest::Base ProcessMachine::files() { return {AT_FDCWD, false}; }

}  // namespace fireclaw::guestd
