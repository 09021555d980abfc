// The guests of machines on the stand-in for Firecracker whose disks are to be mounted. Engines may not mount anything,
// so this is a process beside them, which a test starts as root:
//
//     mounting_guest SOCKET FOLDER OWNER [BOT]
//
// An engine connects to SOCKET, and sends for each connection of its guest: the stream, a descriptor that is told the
// status with which the guest has ended, and open files, the machine's drives in their order. The guest is guestd as
// an ordinary process, in namespaces of the machine's own. Mounts stay when a connection ends. All ends with the
// engine, or with the process OWNER. Pauses do not stop it. BOT is a Python program, which each guest has as its
// service "agent" from the start, as one that was saved with it.
#include <fcntl.h>
#include <linux/loop.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "boot/disks.hpp"
#include "boot/failure.hpp"
#include "guest/wire/service.hpp"
#include "process_machine.hpp"
#include "server.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

bool is_mounted(const std::string& folder) {
  struct stat inside {};
  struct stat outside {};
  return stat(folder.c_str(), &inside) == 0 && stat((folder + "/..").c_str(), &outside) == 0 &&
         inside.st_dev != outside.st_dev;
}

/// A block device that is the file, and goes with its last mount. Its name is put into `name`.
OwnedFd attach(int file, bool read_only, std::string& name) {
  const OwnedFd control{open("/dev/loop-control", O_RDWR | O_CLOEXEC)};
  for (;;) {
    const int number = ioctl(control.get(), LOOP_CTL_GET_FREE);
    if (number < 0) return {};
    name = cat({"/dev/loop", std::to_string(number)});
    OwnedFd device{open(name.c_str(), O_RDWR | O_CLOEXEC)};
    if (!device.open()) return {};
    loop_config config{};
    config.fd = static_cast<__u32>(file);
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    if (read_only) config.info.lo_flags |= LO_FLAGS_READ_ONLY;
    if (ioctl(device.get(), LOOP_CONFIGURE, &config) == 0) return device;
    // Another process has taken it meanwhile.
    if (errno != EBUSY) return {};
  }
}

class MountingMachine final : public ProcessMachine {
 public:
  MountingMachine(Loop& loop, std::vector<int> disks) : ProcessMachine{loop}, disks_{std::move(disks)} {}

  wire::Done mount(const wire::Mount& request) override {
    if (is_mounted(request.target)) return {};
    constexpr std::string_view first = "/dev/vda";
    const bool is_drive = request.device.size() == first.size() && request.device.starts_with(first.substr(0, 7));
    const auto number = static_cast<std::size_t>(request.device.back() - first.back());
    if (!is_drive || number >= disks_.size()) return {ENODEV, cat({"the disk ", request.device, " did not appear"})};
    wire::Mount made = request;
    const OwnedFd device = attach(disks_[number], request.read_only, made.device);
    if (!device.open()) return failure("make a block device");
    return Disks{}.mount(made);
  }

  wire::Done unmount(const wire::Unmount& request) override {
    if (wire::Done problem = check_unmount(request); problem.error != 0) return problem;
    if (!is_mounted(request.target)) return {ENOENT, cat({"no disk is mounted on ", request.target})};
    if (umount2(request.target.c_str(), UMOUNT_NOFOLLOW) < 0) return failure(cat({"unmount ", request.target}));
    return {};
  }

 private:
  std::vector<int> disks_;
};

void unmount_all() {
  std::string mounts;
  read_file("/proc/self/mounts", mounts);
  for (const std::string_view line : split(mounts, '\n')) {
    const std::vector<std::string_view> words = split(line, ' ');
    if (words.size() > 1 && words[0].starts_with("/dev/loop")) umount2(std::string{words[1]}.c_str(), UMOUNT_NOFOLLOW);
  }
}

/// Ends this process with the engine's, which has the other end of the descriptor.
class EngineWatch final : public Watcher {
 public:
  void ready(std::uint32_t events) override {
    if ((events & (EPOLLHUP | EPOLLRDHUP)) != 0) _exit(0);
  }
};

int serve_connection(OwnedFd stream, const OwnedFd& engine, std::vector<int> disks, const std::string& bot) {
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  Loop loop;
  EngineWatch watch;
  loop.watch(engine.get(), watch);
  MountingMachine machine{loop, std::move(disks)};
  Server server{loop, machine.services()};
  if (!bot.empty()) {
    wire::ServiceStart service;
    service.name = "agent";
    service.argv = {"/usr/bin/python3", "-c", bot};
    service.log = "/run/fireclaw/agent.log";
    service.log_limit = wire::min_log_limit;
    service.restart = wire::Restart::Always;
    service.backoff_first_ms = service.backoff_longest_ms = 1;
    if (const wire::Done done = machine.services().start(service); done.error != 0) {
      log({"cannot start the agent: ", done.message});
      return 2;
    }
  }
  server.add(machine, std::move(stream), Connection::Kind::Socket);
  const int status = serve(server, machine);
  if (status == shut_down_status) unmount_all();
  return status;
}

void check(long result, std::string_view doing) {
  if (result >= 0) return;
  log({"cannot ", doing, ": ", error_text(errno)});
  _exit(1);
}

/// In mount and PID namespaces: all of this system, with changes and processes that end with the machine.
void enter_machine(const std::string& folder) {
  check(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), "keep mounts private");
  check(mount("changes", folder.c_str(), "tmpfs", 0, nullptr), "mount the machine's changes");
  const std::string root = folder + "/root";
  for (const char* name : {"/root", "/changes", "/work"}) check(mkdir((folder + name).c_str(), 0755), "make a folder");
  const std::string options = cat({"lowerdir=/,upperdir=", folder, "/changes,workdir=", folder, "/work"});
  check(mount("root", root.c_str(), "overlay", 0, options.c_str()), "mount the machine's root");
  check(mount("/dev", (root + "/dev").c_str(), nullptr, MS_BIND | MS_REC, nullptr), "mount /dev");
  check(mount("/sys", (root + "/sys").c_str(), nullptr, MS_BIND | MS_REC, nullptr), "mount /sys");
  check(mount("proc", (root + "/proc").c_str(), "proc", 0, nullptr), "mount /proc");
  check(chroot(root.c_str()), "enter the machine's root");
  check(chdir("/"), "enter the machine's root");
  mkdir("/run/fireclaw", 0755);
}

/// The next connection of the machine: its stream, the descriptor that ends with it, and the disks. Empty at the end.
std::vector<int> receive(int engine) {
  char none = 0;
  iovec data{&none, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 32)];
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  if (recvmsg(engine, &message, MSG_CMSG_CLOEXEC) <= 0) return {};
  const cmsghdr* header = CMSG_FIRSTHDR(&message);
  if (header == nullptr) return {};
  std::vector<int> fds((header->cmsg_len - CMSG_LEN(0)) / sizeof(int));
  std::memcpy(fds.data(), CMSG_DATA(header), fds.size() * sizeof(int));
  return fds;
}

[[noreturn]] void run_machine(int engine, const std::string& folder, const std::string& bot) {
  enter_machine(folder);
  signal(SIGCHLD, SIG_IGN);
  for (;;) {
    std::vector<int> fds = receive(engine);
    // All that runs here ends with process 1.
    if (fds.size() < 2) _exit(0);
    if (fork() == 0) {
      signal(SIGCHLD, SIG_DFL);
      close(engine);
      const OwnedFd connection{fds[1]};
      const auto status =
          static_cast<char>(serve_connection(OwnedFd{fds[0]}, connection, {fds.begin() + 2, fds.end()}, bot));
      (void)!write(connection.get(), &status, 1);
      _exit(0);
    }
    for (const int fd : fds) close(fd);
  }
}

void run_machines(int listener, int owner, const std::string& folder, const std::string& bot) {
  for (;;) {
    pollfd polled[] = {{listener, POLLIN, 0}, {owner, POLLIN, 0}};
    if (poll(polled, 2, -1) < 0 || polled[1].revents != 0) return;
    const int engine = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (engine >= 0 && fork() == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      close(listener);
      check(unshare(CLONE_NEWNS | CLONE_NEWPID), "make namespaces");
      if (fork() == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        run_machine(engine, folder, bot);
      }
      close(engine);
      wait(nullptr);
      _exit(0);
    }
    close(engine);
  }
}

}  // namespace
}  // namespace fireclaw::guestd

int main(int argc, char** argv) {
  using namespace fireclaw::guestd;
  unsigned long owner_pid = 0;
  if (argc < 4 || !parse_number(argv[3], 1UL << 22, owner_pid)) return 2;
  const int listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
  check(bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof address), "bind the socket");
  check(listen(listener, 16), "listen");
  mkdir(argv[2], 0755);
  const int owner = static_cast<int>(syscall(SYS_pidfd_open, owner_pid, 0));
  check(owner, "look at the owner");
  // From here on beside the caller.
  if (fork() != 0) return 0;
  signal(SIGCHLD, SIG_IGN);
  const int output = open(cat({argv[2], ".log"}).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int input = open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(input, 0);
  dup2(output, 1);
  dup2(output, 2);
  run_machines(listener, owner, argv[2], argc > 4 ? argv[4] : "");
  return 0;
}
