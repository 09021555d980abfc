#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string_view>

#include "init.hpp"
#include "process_machine.hpp"
#include "server.hpp"
#include "text.hpp"

namespace {

using namespace fireclaw::guestd;

/// As an ordinary process: one connection, until the host hangs up.
int serve_fd(int fd) {
  if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
    log({"--serve-fd: ", std::to_string(fd), " is no open descriptor"});
    return 2;
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Loop loop;
  Server server{loop};
  ProcessMachine machine;
  server.add(machine, OwnedFd{fd}, Connection::Kind::Socket);
  while (server.has_connections() && !machine.ending()) server.run_once(-1);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (getpid() == 1) run_as_init();
  unsigned long fd = 0;
  if (argc == 3 && std::string_view{argv[1]} == "--serve-fd" && parse_number(argv[2], 1 << 20, fd))
    return serve_fd(static_cast<int>(fd));
  if (argc == 2 && std::string_view{argv[1]} == "--version") {
    log({"version ", GUESTD_VERSION});
    return 0;
  }
  log({"runs as a virtual machine's init, or as: guestd --serve-fd NUMBER"});
  return 2;
}
