#include "process_machine.hpp"

#include <fcntl.h>

#include <csignal>

#include "identity.hpp"
#include "introduce.hpp"
#include "spawn.hpp"

namespace fireclaw::guestd {

wire::Hello ProcessMachine::hello() { return introduce(); }

std::optional<wire::ExecFailed> ProcessMachine::spawn(const wire::Exec& request, Spawned& spawned) {
  return spawn_command(request, spawned);
}

void ProcessMachine::signal_group(pid_t leader, int number) { kill(-leader, number); }

wire::Done ProcessMachine::configure(const wire::Configure& request) { return check_identity(request); }

guest::Base ProcessMachine::files() { return {AT_FDCWD, false}; }

}  // namespace fireclaw::guestd
