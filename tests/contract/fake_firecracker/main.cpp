// A stand-in for the Firecracker program: the same command line, API socket, order of calls, error texts and ends,
// and a vsock with a guest behind it, but no virtual machine. It shares no code with the engine that it tests.
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "knobs.hpp"
#include "machine.hpp"

namespace {

constexpr int exit_bad_arguments = 153;

struct Arguments {
  std::string api_socket = "/run/firecracker.socket";
  std::string id = "anonymous-instance";
  std::string log_path;
  std::string metrics_path;
  bool pci = false;
  bool version = false;
};

[[noreturn]] void bad_argument(std::string_view problem) {
  fmt::print(stderr, "Error: ParseArguments({})\n", problem);
  std::exit(exit_bad_arguments);
}

Arguments parse_arguments(const std::vector<std::string>& argv) {
  Arguments arguments;
  std::string ignored;
  for (std::size_t i = 1; i < argv.size(); ++i) {
    const auto value = [&]() -> const std::string& {
      if (i + 1 >= argv.size()) bad_argument(fmt::format("MissingValue(\"{}\")", argv[i]));
      return argv[++i];
    };
    if (argv[i] == "--api-sock") {
      arguments.api_socket = value();
    } else if (argv[i] == "--id") {
      arguments.id = value();
    } else if (argv[i] == "--log-path") {
      arguments.log_path = value();
    } else if (argv[i] == "--metrics-path") {
      arguments.metrics_path = value();
    } else if (argv[i] == "--level") {
      const std::string& level = value();
      constexpr std::string_view levels[] = {"Off", "Error", "Warning", "Info", "Debug", "Trace"};
      if (std::find(std::begin(levels), std::end(levels), level) == std::end(levels)) {
        bad_argument(fmt::format("InvalidLogLevel(\"{}\")", level));
      }
    } else if (argv[i] == "--enable-pci") {
      arguments.pci = true;
    } else if (argv[i] == "--version") {
      arguments.version = true;
    } else if (argv[i] != "--show-level" && argv[i] != "--show-log-origin" && argv[i] != "--no-seccomp") {
      bad_argument(fmt::format("UnexpectedArgument(\"{}\")", argv[i]));
    }
  }
  const auto fits = [](unsigned char c) { return std::isalnum(c) != 0 || c == '-'; };
  if (arguments.id.empty() || arguments.id.size() > 64 ||
      !std::all_of(arguments.id.begin(), arguments.id.end(), fits)) {
    bad_argument("Invalid instance ID");
  }
  return arguments;
}

/// Opens a log or metrics file as Firecracker does: for writing, and without waiting for a pipe's reader.
int open_output(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, 0644);
  if (fd < 0) {
    fmt::print(stderr, "Error: cannot open {}: {}\n", path, std::strerror(errno));
    std::exit(1);
  }
  return fd;
}

int open_owner(const fake::Knobs& knobs) {
  if (knobs.owner == 0) return -1;
  const auto fd = static_cast<int>(::syscall(SYS_pidfd_open, knobs.owner, 0));
  if (fd < 0) std::exit(1);  // it has ended already
  ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  return fd;
}

class Server {
 public:
  Server(const std::string& path, fake::Machine& machine, fake::Knobs knobs, int log, int owner)
      : machine_{machine},
        knobs_{std::move(knobs)},
        log_{log},
        owner_{owner},
        listener_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) < 0) {
      say(fmt::format("RunWithApi error: failed to bind {}: {}", path, std::strerror(errno)));
      std::exit(1);
    }
    if (knobs_.die_at == "listen") ::kill(::getpid(), SIGKILL);
    if (knobs_.listen_ms > 0) ::usleep(static_cast<useconds_t>(knobs_.listen_ms) * 1000);
    ::listen(listener_, 128);
  }

  void run() {
    for (;;) {
      std::vector<pollfd> polled{{listener_, POLLIN, 0}, {owner_, POLLIN, 0}};
      for (const Client& client : clients_) polled.push_back({client.fd, POLLIN, 0});
      machine_.add_to(polled);
      ::poll(polled.data(), polled.size(), timeout());
      if ((polled[1].revents & POLLIN) != 0) std::exit(1);
      machine_.work();
      if (machine_.rebooted()) std::exit(0);
      if ((polled[0].revents & POLLIN) != 0) {
        clients_.push_back({::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK), {}});
      }
      for (Client& client : clients_) serve(client);
      std::erase_if(clients_, [](const Client& client) { return client.fd < 0; });
    }
  }

 private:
  struct Client {
    int fd;
    std::string unread;
  };

  void say(std::string_view text) const {
    const std::string line = fmt::format("[{}] {}\n", "main:ERROR", text);
    if (::write(log_, line.data(), line.size()) < 0) return;  // a full log does not stop it
  }

  [[nodiscard]] int timeout() const {
    const auto next = machine_.next_event();
    if (!next) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - std::chrono::steady_clock::now());
    return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
  }

  void serve(Client& client) {
    char buffer[16384];
    for (;;) {
      const auto got = ::read(client.fd, buffer, sizeof buffer);
      if (got < 0 && errno == EAGAIN) break;
      if (got <= 0) {
        ::close(client.fd);
        client.fd = -1;
        return;
      }
      client.unread.append(buffer, static_cast<std::size_t>(got));
    }
    while (answer_one(client)) {
    }
  }

  bool answer_one(Client& client) {
    const auto head_end = client.unread.find("\r\n\r\n");
    if (head_end == std::string::npos) return false;
    const std::string head = client.unread.substr(0, head_end);
    std::size_t length = 0;
    if (const auto at = head.find("Content-Length: "); at != std::string::npos) {
      length = std::strtoul(head.c_str() + at + 16, nullptr, 10);
    }
    if (client.unread.size() < head_end + 4 + length) return false;
    const std::string body = client.unread.substr(head_end + 4, length);
    client.unread.erase(0, head_end + 4 + length);
    const auto first = head.find(' ');
    const auto second = head.find(' ', first + 1);
    const std::string path = head.substr(first + 1, second - first - 1);
    if (path == knobs_.die_at) ::kill(::getpid(), SIGKILL);
    if (path == knobs_.hang_at) return true;
    if (!knobs_.requests.empty()) {
      std::ofstream{knobs_.requests, std::ios::app} << head.substr(0, second) << ' ' << body << '\n';
    }
    const fake::Reply reply = machine_.handle(std::string_view{head}.substr(0, first), path, body);
    if (path == knobs_.slow_at) ::usleep(static_cast<useconds_t>(knobs_.slow_ms) * 1000);
    send(client.fd, reply);
    if (reply.ends) {
      say(reply.body);
      std::exit(1);
    }
    return true;
  }

  static void send(int fd, const fake::Reply& reply) {
    std::string text =
        fmt::format("HTTP/1.1 {} \r\nServer: Firecracker API\r\nConnection: keep-alive\r\n", reply.status);
    if (!reply.body.empty()) {
      text += fmt::format("Content-Type: application/json\r\nContent-Length: {}\r\n", reply.body.size());
    }
    text += "\r\n" + reply.body;
    // Short enough for the socket's buffer.
    if (::write(fd, text.data(), text.size()) < 0) return;
  }

  fake::Machine& machine_;
  fake::Knobs knobs_;
  int log_;
  /// Readable once the owner has ended; -1, which poll() passes over, without one.
  int owner_;
  int listener_;
  std::vector<Client> clients_;
};

}  // namespace

int main(int argc, char** argv) {
  const fake::Knobs knobs = fake::read_knobs(argv[0]);
  const Arguments arguments = parse_arguments({argv, argv + argc});
  if (arguments.version) {
    fmt::print("Firecracker v{}\n\n", knobs.version);
    return 0;
  }
  ::signal(SIGPIPE, SIG_IGN);
  const int log = arguments.log_path.empty() ? STDOUT_FILENO : open_output(arguments.log_path);
  if (!arguments.metrics_path.empty()) open_output(arguments.metrics_path);
  ::fcntl(STDOUT_FILENO, F_SETFL, ::fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
  if (!knobs.crash_at_start.empty()) {
    fmt::print(stderr, "Error: {}\n", knobs.crash_at_start);
    return 1;
  }
  const int owner = open_owner(knobs);
  if (knobs.hang_at_start) {
    pollfd end{owner, POLLIN, 0};
    while (::poll(&end, 1, -1) < 1) {
    }
    return 1;
  }
  if (knobs.start_ms > 0) ::usleep(static_cast<useconds_t>(knobs.start_ms) * 1000);
  fake::Machine machine{arguments.id, arguments.pci, knobs};
  Server{arguments.api_socket, machine, knobs, log, owner}.run();
}
