// A guest's whole user space for tests of an engine driver alone: PID 1 that answers one-line commands on the
// virtio-serial ports org.fireclaw.0..3, and nothing else. Built statically, packed as /init of an initramfs.
//
//   echo WORDS      answers WORDS
//   count           answers how often it was asked, which shows whose memory a clone has
//   read PATH       answers the file's first line
//   write PATH WORD writes WORD to the file's start and syncs it; answers "ok" or the errno
//   flood KIB       writes KIB kibibytes to the console, then answers "ok"
//   reboot          ends the machine
#include <fcntl.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace {

constexpr std::size_t port_count = 4;

struct Port {
  int fd;
  std::string input;
  std::string output;
};

void say(const std::string& text) {
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) return;
}

bool load(const std::filesystem::path& module) {
  const int fd = ::open(module.c_str(), O_RDONLY | O_CLOEXEC);
  const bool loaded = ::syscall(SYS_finit_module, fd, "", 0) == 0;
  ::close(fd);
  return loaded;
}

// Every module of the initramfs. One that needs another fails until that is there, so what failed is tried again for as
// long as some succeed.
void load_modules() {
  std::error_code none;
  std::vector<std::filesystem::path> left;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{"/lib/modules", none}) {
    if (entry.path().extension() == ".ko") left.push_back(entry.path());
  }
  while (std::erase_if(left, load) > 0) continue;
  for (const auto& module : left) say("cannot load " + module.string() + "\n");
}

// A port's node is there a moment before the port is.
int open_port(const std::string& node) {
  for (;;) {
    const int fd = ::open(node.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
    if (fd >= 0 || errno != ENXIO) return fd;
    ::sched_yield();
  }
}

// Opens the four ports once the kernel has made their nodes, which it does some time after the driver is loaded.
std::vector<Port> open_ports() {
  const int watch = ::inotify_init1(IN_CLOEXEC);
  ::inotify_add_watch(watch, "/dev", IN_CREATE);
  for (;;) {
    std::set<std::string> names;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator{"/dev", none}) {
      if (entry.path().filename().string().starts_with("vport")) names.insert(entry.path());
    }
    if (names.size() == port_count) {
      std::vector<Port> ports;
      for (const auto& name : names) ports.push_back({open_port(name), {}, {}});
      ::close(watch);
      return ports;
    }
    char events[4096];
    if (::read(watch, events, sizeof events) < 0) say("inotify failed\n");
  }
}

std::string first_line(const std::string& path) {
  std::string line;
  std::getline(std::ifstream{path}, line);
  return line;
}

std::string write_start(const std::string& path, const std::string& word) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return "errno " + std::to_string(errno);
  const std::string line = word + "\n";
  const bool good = ::write(fd, line.data(), line.size()) == static_cast<ssize_t>(line.size()) && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  return good ? "ok" : "errno " + std::to_string(error);
}

std::string answer(const std::string& line) {
  static unsigned count = 0;
  const auto space = line.find(' ');
  const std::string verb = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (verb == "echo") return rest;
  if (verb == "count") return std::to_string(++count);
  if (verb == "read") return first_line(rest);
  if (verb == "write") return write_start(rest.substr(0, rest.find(' ')), rest.substr(rest.find(' ') + 1));
  if (verb == "flood") {
    const std::string kibibyte = std::string(1023, 'x') + "\n";
    for (int i = std::atoi(rest.c_str()); i > 0; --i) say(kibibyte);
    return "ok";
  }
  if (verb == "reboot") {
    ::sync();
    ::reboot(RB_AUTOBOOT);
  }
  return "what?";
}

// Reads all there is, answers each whole line, and writes as much of the answers as goes. The kernel may deliver a
// client's first bytes before it knows that there is a client: until then reads say 0 and writes EAGAIN.
void serve(Port& port) {
  char buffer[4096];
  for (ssize_t n = 0; (n = ::read(port.fd, buffer, sizeof buffer)) > 0;) {
    port.input.append(buffer, static_cast<std::size_t>(n));
    for (auto end = port.input.find('\n'); end != std::string::npos; end = port.input.find('\n')) {
      const std::string line = port.input.substr(0, end);
      port.input.erase(0, end + 1);
      port.output += answer(line) + "\n";
    }
  }
  while (!port.output.empty()) {
    const ssize_t n = ::write(port.fd, port.output.data(), port.output.size());
    if (n <= 0) return;
    port.output.erase(0, static_cast<std::size_t>(n));
  }
}

}  // namespace

int main() {
  for (const char* folder : {"/proc", "/sys", "/dev"}) ::mkdir(folder, 0755);
  ::mount("proc", "/proc", "proc", 0, nullptr);
  ::mount("sysfs", "/sys", "sysfs", 0, nullptr);
  ::mount("devtmpfs", "/dev", "devtmpfs", 0, nullptr);
  const int console = ::open("/dev/console", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3 && console >= 0; ++fd) ::dup2(console, fd);
  load_modules();
  auto ports = open_ports();
  say("echo_init: " + std::to_string(ports.size()) + " ports\n");
  // Edge-triggered: a port without a client on the host's side reports a hang-up for as long as that lasts.
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (std::size_t i = 0; i < ports.size(); ++i) {
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLET, {.u64 = i}};
    ::epoll_ctl(epoll, EPOLL_CTL_ADD, ports[i].fd, &event);
  }
  for (;;) {
    epoll_event event{};
    if (::epoll_wait(epoll, &event, 1, -1) == 1) serve(ports[event.data.u64]);
  }
}
