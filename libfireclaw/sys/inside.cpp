#include "sys/inside.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "sys/file.hpp"
#include "sys/socket.hpp"

namespace fireclaw::sys {
namespace {

constexpr std::size_t longest_message = std::size_t{32} << 10;
// The first byte of a message.
constexpr char told = 't';
constexpr char returned = 'r';
constexpr char failed = 'f';  // with the error's code as the second

void send_message(int socket, char kind, std::string_view text, const Fd* fd = nullptr) {
  const auto bytes = kind + std::string{text.substr(0, longest_message - 1)};
  if (fd != nullptr) {
    send_with_fd(socket, std::as_bytes(std::span{bytes}), fd->get());
  } else {
    check(retry([&] { return ::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL); }), "report to this process");
  }
}

struct Message {
  std::string bytes;
  std::optional<Fd> fd;
};

/// Empty: the other end is closed.
Message receive(int socket) {
  Message message;
  message.bytes.resize(longest_message);
  iovec piece{message.bytes.data(), message.bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr header{};
  header.msg_iov = &piece;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  const auto size = check(retry([&] { return ::recvmsg(socket, &header, MSG_CMSG_CLOEXEC); }), "hear from a child");
  message.bytes.resize(static_cast<std::size_t>(size));
  if (const cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    message.fd.emplace(fd);
  }
  return message;
}

/// In the child all signals stay blocked: what is begun is done, also after Ctrl-C.
pid_t fork_quietly() {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) return 0;
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0) throw system_error(error, "make a process");
  return pid;
}

/// What other threads have locked is locked by this child too, for which the action could wait. Closing a copy of a
/// descriptor does not unlock.
void leave_locks() {
  std::vector<int> locked;
  for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fdinfo"}) {
    if (read_file(entry.path()).find("\nlock:") != std::string::npos) {
      locked.push_back(std::stoi(entry.path().filename().native()));
    }
  }
  for (const int fd : locked) ::close(fd);
}

enum class StandardDescriptors { Keep, Close };

[[noreturn]] void be_inside(const NetworkNamespace& where, int socket,
                            const std::function<std::optional<Fd>(const Tell&)>& action, StandardDescriptors standard) {
  const auto fail = [&](ErrorCode code, std::string_view text) {
    send_message(socket, failed, static_cast<char>(code) + std::string{text});
  };
  try {
    leave_locks();
    for (const auto& [space, kind] : {std::pair{&where.user, CLONE_NEWUSER}, std::pair{&where.network, CLONE_NEWNET}}) {
      if (::setns(space->get(), kind) < 0) {
        throw Error{ErrorCode::InvalidState, fmt::format("cannot enter the network: {}", std::strerror(errno))};
      }
    }
    const auto fd = action([&](std::string_view text) { send_message(socket, told, text); });
    for (const int number : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
      if (standard == StandardDescriptors::Close && number != socket) ::close(number);
    }
    send_message(socket, returned, {}, fd ? &*fd : nullptr);
  } catch (const Error& error) {
    fail(error.code(), error.what());
  } catch (const std::exception& problem) {
    fail(ErrorCode::Internal, problem.what());
  }
  ::_exit(0);
}

}  // namespace

NetworkNamespace NetworkNamespace::of(const ProcessId& process) {
  const auto open = [&](std::string_view name) {
    const auto path = fmt::format("/proc/{}/ns/{}", process.pid, name);
    return Fd{check(::open(path.c_str(), O_RDONLY | O_CLOEXEC), fmt::format("open {}", path))};
  };
  NetworkNamespace found{open("user"), open("net")};
  // If it lives now, it lived when its files were opened.
  if (!is_alive(process)) throw Error{ErrorCode::NotFound, fmt::format("process {} has ended", process.pid)};
  return found;
}

std::optional<std::string_view> find_namespace_obstacle() {
  const pid_t pid = fork_quietly();
  if (pid == 0) ::_exit(::unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0 ? 0 : errno);
  int status = 0;
  if (retry([&] { return ::waitpid(pid, &status, 0); }) < 0 || !WIFEXITED(status)) return "nothing was found out";
  if (WEXITSTATUS(status) == 0) return std::nullopt;
  return std::strerror(WEXITSTATUS(status));
}

EndingChild::~EndingChild() {
  if (pid_ > 0) retry([&] { return ::waitpid(pid_, nullptr, 0); });
}

namespace {

struct Answer {
  EndingChild child;
  std::optional<Fd> fd;
};

Answer ask_inside(const NetworkNamespace& where, const std::function<std::optional<Fd>(const Tell&)>& action,
                  const Tell& heard, StandardDescriptors standard) {
  int ends[2];
  check(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "make a pair of sockets");
  const Fd ours{ends[0]};
  std::optional<Fd> theirs{ends[1]};
  const pid_t pid = fork_quietly();
  if (pid == 0) be_inside(where, theirs->get(), action, standard);
  EndingChild child{pid};
  theirs.reset();
  for (;;) {
    auto message = receive(ours.get());
    if (message.bytes.empty()) throw Error{ErrorCode::Internal, "a child that worked on the network has ended"};
    const auto text = std::string_view{message.bytes}.substr(1);
    switch (message.bytes.front()) {
      case told:
        if (heard) heard(text);
        break;
      case returned: return {std::move(child), std::move(message.fd)};
      default:
        throw Error{text.empty() ? ErrorCode::Internal : static_cast<ErrorCode>(text.front()),
                    std::string{text.substr(std::min<std::size_t>(1, text.size()))}};
    }
  }
}

}  // namespace

std::optional<Fd> run_inside(const NetworkNamespace& where, const std::function<std::optional<Fd>(const Tell&)>& action,
                             const Tell& heard) {
  return ask_inside(where, action, heard, StandardDescriptors::Keep).fd;
}

EndingChild run_inside_unwaited(const NetworkNamespace& where, const std::function<void(const Tell&)>& action,
                                const Tell& heard) {
  const auto without_result = [&](const Tell& tell) -> std::optional<Fd> {
    action(tell);
    return std::nullopt;
  };
  return ask_inside(where, without_result, heard, StandardDescriptors::Close).child;
}

}  // namespace fireclaw::sys
