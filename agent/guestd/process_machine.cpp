#include "process_machine.hpp"

#include <fcntl.h>

#include <csignal>

#include "boot/disks.hpp"
#include "identity.hpp"
#include "introduce.hpp"
#include "processes/spawn.hpp"
#include "processes/users.hpp"
#include "server.hpp"

namespace fireclaw::guestd {

wire::Hello ProcessMachine::hello() { return introduce(); }

std::optional<wire::ExecFailed> ProcessMachine::spawn(const wire::Exec& request, Spawned& spawned) {
  return spawn_command(request, spawned);
}

std::optional<wire::ExecFailed> ProcessMachine::spawn_service(const wire::Exec& request, int output, pid_t& pid) {
  return guestd::spawn_service(request, output, pid);
}

std::optional<wire::ExecFailed> ProcessMachine::spawn_file_call(const wire::FileCall& call, Spawned& spawned) {
  return guestd::spawn_file_call(call, spawned);
}

void ProcessMachine::signal_group(pid_t leader, int number) { kill(-leader, number); }

void ProcessMachine::signal_process(pid_t pid, int number) { kill(pid, number); }

wire::Done ProcessMachine::configure(const wire::Configure& request, Steps&) { return check_identity(request); }

guest::Base ProcessMachine::files() { return {AT_FDCWD, false}; }

std::optional<guest::Failure> ProcessMachine::find_owner(std::string_view user, guest::TreeWriter::Owner& owner) {
  return look_up_owner(user, owner);
}

wire::Done ProcessMachine::mount(const wire::Mount& request) { return check_mount(request); }

wire::Done ProcessMachine::unmount(const wire::Unmount& request) { return check_unmount(request); }

void ProcessMachine::shutdown(std::uint32_t grace_ms) {
  ending_ = true;
  services_.shut_down(grace_ms);
}

int serve(Server& server, const ProcessMachine& machine) {
  while ((server.has_connections() || machine.is_ending()) && !machine.ended()) server.run_once(-1);
  return machine.ended() ? shut_down_status : 0;
}

}  // namespace fireclaw::guestd
