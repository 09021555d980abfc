#pragma once

#include <string>
#include <vector>

namespace fireclaw::netd {

/// `fireclaw-netd hold READY LOCK IDLE TAPS GATEWAY SERVICES UPLINK...`: makes a user and a network namespace and keeps
/// them, leads the gateway's services to this host's loopback, and keeps the program running that is the way out.
/// READY: the descriptor that is told "ok PID", where PID is the process that has the namespaces, and in a second line
/// why there is no way out, if so; or nothing but what went wrong. It is closed then.
/// LOCK: the file whose lock those hold who are about to use the network. Without interfaces that begin with TAPS for
/// IDLE seconds, and without such users, all ends; also when the file is gone.
/// SERVICES: "tcp/6667,udp/53", or "none". UPLINK: the program's arguments; {pid} stands for PID.
/// Returns the exit status.
int hold(const std::vector<std::string>& words);

}  // namespace fireclaw::netd
