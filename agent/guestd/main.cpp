#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <string>
#include <string_view>
#include <vector>

#include "capabilities.hpp"
#include "init.hpp"
#include "process_machine.hpp"
#include "processes/services.hpp"
#include "server.hpp"
#include "text.hpp"

namespace {

using namespace fireclaw::guestd;

/// As an ordinary process: the connections on these descriptors, until the host has hung up on all of them.
int serve_fds(const std::vector<int>& fds) {
  for (const int fd : fds) {
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0) {
      log({"--serve-fd: ", std::to_string(fd), " is not an open descriptor"});
      return 2;
    }
  }
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Loop loop;
  ProcessMachine machine{loop};
  Server server{loop, machine.services()};
  for (const int fd : fds) server.add(machine, OwnedFd{fd}, Connection::Kind::Socket);
  return serve(server, machine);
}

}  // namespace

int main(int argc, char** argv) {
  if (getpid() == 1) run_as_init();
  if (argc >= 3 && std::string_view{argv[1]} == "--serve-fd") {
    std::vector<int> fds;
    unsigned long fd = 0;
    for (int i = 2; i < argc && parse_number(argv[i], 1 << 20, fd); ++i) fds.push_back(static_cast<int>(fd));
    if (fds.size() == static_cast<std::size_t>(argc - 2)) return serve_fds(fds);
  }
  if (argc == 3 && std::string_view{argv[1]} == "--capabilities") return print_capabilities(argv[2]);
  if (argc == 2 && std::string_view{argv[1]} == "--version") {
    log({"version ", GUESTD_VERSION});
    return 0;
  }
  log({"runs as a virtual machine's init, or as: guestd --serve-fd NUMBER..."});
  return 2;
}
