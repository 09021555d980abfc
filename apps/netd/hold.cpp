#include "hold.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <sstream>
#include <stdexcept>

#include "fd.hpp"
#include "forward.hpp"
#include "inside.hpp"
#include "relay.hpp"
#include "words.hpp"

namespace fireclaw::netd {
namespace {

using Clock = std::chrono::steady_clock;

/// The way out is there in a fraction of this, or never.
constexpr std::chrono::seconds uplink_limit{5};
/// A way out that ends, as when this host has none, is tried again after this long.
constexpr std::chrono::seconds uplink_pause{10};
constexpr int forget_every_ms = 30'000;
constexpr std::size_t reason_bytes = 400;

std::vector<Service> parse_services(const std::string& text) {
  std::vector<Service> services;
  if (text == "none") return services;
  for (std::size_t at = 0; at <= text.size();) {
    const auto end = std::min(text.find(',', at), text.size());
    const auto word = text.substr(at, end - at);
    at = end + 1;
    const bool tcp = word.starts_with("tcp/");
    const std::string_view port{word.data() + (tcp || word.starts_with("udp/") ? 4 : word.size())};
    services.push_back({tcp, number_in<unsigned short>(port, "a service", word, 1)});
  }
  return services;
}

/// A child that does not outlive this process.
struct Child {
  pid_t pid = -1;
  Fd pidfd;
};

Fd pidfd_of(pid_t pid) { return Fd{check(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0U)), "watch a process")}; }

void die_with(pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
}

struct Message {
  /// 0: the other end is closed.
  char what = 0;
  std::string text;
  Fd fd;
};

Message receive(const Fd& talk) {
  Message got;
  std::array<char, reason_bytes> bytes;
  iovec piece{bytes.data(), bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const auto size = ::recvmsg(talk.get(), &message, MSG_CMSG_CLOEXEC);
  if (size <= 0) return {};
  got.what = bytes[0];
  got.text.assign(bytes.data() + 1, static_cast<std::size_t>(size) - 1);
  if (const cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(header), sizeof fd);
    got.fd = Fd{fd};
  }
  return got;
}

/// The next message, which must be `what`.
Message expect(const Fd& talk, char what) {
  auto message = receive(talk);
  if (message.what == failure_message) throw std::runtime_error{message.text};
  if (message.what != what) throw std::runtime_error{"the process in the namespaces has ended"};
  return message;
}

/// The program that is the way out, started again when it ends.
class Uplink {
 public:
  Uplink(std::vector<std::string> argv, pid_t holder) : argv_{std::move(argv)} {
    for (auto& word : argv_) {
      if (const auto at = word.find("{pid}"); at != std::string::npos) word.replace(at, 5, std::to_string(holder));
    }
    start();
  }
  Uplink(const Uplink&) = delete;
  Uplink& operator=(const Uplink&) = delete;
  ~Uplink() {
    if (child_.pid > 0) {
      ::kill(child_.pid, SIGKILL);
      ::waitpid(child_.pid, nullptr, 0);
    }
  }

  [[nodiscard]] bool runs() const { return child_.pid > 0; }
  /// Readable once it has ended; -1 when it has.
  [[nodiscard]] int pidfd() const { return child_.pidfd.get(); }
  /// What it said last, on one line.
  [[nodiscard]] std::string reason() {
    std::array<char, reason_bytes> bytes;
    const auto got = ::read(said_.get(), bytes.data(), bytes.size());
    std::istringstream lines{std::string{bytes.data(), got > 0 ? static_cast<std::size_t>(got) : 0}};
    std::string text;
    for (std::string line; std::getline(lines, line);) {
      // pasta says so of each line where there is no syslog.
      if (!line.empty() && !line.starts_with("Failed to send ")) text += (text.empty() ? "" : "; ") + line;
    }
    return argv_.front() + (text.empty() ? " ended" : ": " + text);
  }
  void reap() {
    ::waitpid(child_.pid, nullptr, 0);
    child_ = {};
    ended_ = Clock::now();
  }
  void start_again_if_due() {
    if (!runs() && Clock::now() - ended_ >= uplink_pause) start();
  }

 private:
  void start() {
    int ends[2];
    check(::pipe2(ends, O_CLOEXEC | O_NONBLOCK), "make a pipe");
    said_ = Fd{ends[0]};
    const Fd write{ends[1]};
    std::vector<char*> words;
    for (auto& word : argv_) words.push_back(word.data());
    words.push_back(nullptr);
    const auto self = ::getpid();
    const auto pid = check(::fork(), "start the way out");
    if (pid == 0) {
      die_with(self);
      ::dup2(write.get(), STDERR_FILENO);
      ::dup2(write.get(), STDOUT_FILENO);
      ::execv(words[0], words.data());
      ::_exit(127);
    }
    child_ = {pid, pidfd_of(pid)};
  }

  std::vector<std::string> argv_;
  Child child_;
  Fd said_;
  Clock::time_point ended_;
};

void answer(Fd ready, const std::string& text) {
  if (::write(ready.get(), text.data(), text.size()) < 0) return;  // nobody waits any more
}

/// Waits for the way out; empty, or why there is none.
std::string await_route(const Fd& talk, Uplink& uplink) {
  const auto deadline = Clock::now() + uplink_limit;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return "the way out is not there in time";
    std::array<pollfd, 2> watched{{{talk.get(), POLLIN, 0}, {uplink.pidfd(), POLLIN, 0}}};
    const int ready = ::poll(watched.data(), watched.size(), static_cast<int>(left));
    if (ready < 0 && errno != EINTR) check(ready, "poll");
    if (watched[0].revents != 0) {
      expect(talk, route_message);
      return {};
    }
    if (watched[1].revents != 0) {
      uplink.reap();
      return uplink.reason();
    }
  }
}

std::vector<Entrance> receive_services(const Fd& talk, const std::vector<Service>& services) {
  std::vector<Entrance> entrances;
  for (const auto& service : services) {
    Entrance entrance{expect(talk, service_message).fd, service.tcp, {}};
    entrance.target.sin_family = AF_INET;
    entrance.target.sin_port = htons(service.port);
    entrance.target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    entrances.push_back(std::move(entrance));
  }
  expect(talk, ready_message);
  return entrances;
}

void serve_until_the_end(Relay& relay, const Fd& talk, const Fd& holder, Uplink& uplink) {
  for (;;) {
    std::array<pollfd, 4> watched{
        {{relay.fd(), POLLIN, 0}, {holder.get(), POLLIN, 0}, {uplink.pidfd(), POLLIN, 0}, {talk.get(), POLLIN, 0}}};
    const auto pause = static_cast<int>(std::chrono::milliseconds{uplink_pause}.count());
    const int ready = ::poll(watched.data(), watched.size(), uplink.runs() ? forget_every_ms : pause);
    if (ready < 0 && errno != EINTR) check(ready, "poll");
    if (ready == 0) relay.forget_silent();
    if (watched[1].revents != 0) return;
    if (watched[2].revents != 0) uplink.reap();
    if (watched[3].revents != 0 && receive(talk).what == 0) return;
    uplink.start_again_if_due();
    relay.step();
  }
}

}  // namespace

int hold(const std::vector<std::string>& words) {
  if (words.size() < 7) throw std::invalid_argument{"usage: hold READY LOCK IDLE TAPS GATEWAY SERVICES UPLINK..."};
  Fd ready{number_in<int>(words[0], "a descriptor", words[0])};
  check(::fcntl(ready.get(), F_SETFD, FD_CLOEXEC), "keep a descriptor from others");
  const Inside wanted{words[1], std::chrono::seconds{number_in<int>(words[2], "a time", words[2])}, words[3], words[4],
                      parse_services(words[5])};
  const auto most_conversations = raise_descriptor_limit();
  try {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "make a pair of sockets");
    Fd talk{ends[0]};
    Fd inner{ends[1]};
    const auto self = ::getpid();
    const auto holder = check(::fork(), "make a process");
    if (holder == 0) {
      die_with(self);
      talk = Fd{};
      ready = Fd{};
      keep_namespaces(wanted, inner);
      ::_exit(0);
    }
    inner = Fd{};
    const auto holder_end = pidfd_of(holder);
    Relay relay{receive_services(talk, wanted.services), most_conversations};
    Uplink uplink{{words.begin() + 6, words.end()}, holder};
    const auto problem = await_route(talk, uplink);
    answer(std::move(ready), "ok " + std::to_string(holder) + (problem.empty() ? "" : "\n" + problem));
    serve_until_the_end(relay, talk, holder_end, uplink);
    ::kill(holder, SIGKILL);
    ::waitpid(holder, nullptr, 0);
    return 0;
  } catch (const std::exception& problem) {
    answer(std::move(ready), problem.what());
    return 1;
  }
}

}  // namespace fireclaw::netd
