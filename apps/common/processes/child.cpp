#include "common/processes/child.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::cli {
namespace {

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (auto& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// This process's environment; `more` replaces what has the same name.
std::vector<std::string> environment_with(const std::vector<std::string>& more) {
  auto all = more;
  const auto is_replaced = [&](std::string_view entry) {
    const auto name = entry.substr(0, entry.find('=') + 1);
    for (const auto& other : more) {
      if (other.starts_with(name)) return true;
    }
    return false;
  };
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!is_replaced(*entry)) all.emplace_back(*entry);
  }
  return all;
}

}  // namespace

Child::Child(const ChildOptions& options) {
  auto words = options.argv;
  auto variables = environment_with(options.environment);
  const auto argv = pointers_to(words);
  const auto environment = pointers_to(variables);
  const auto parent = ::getpid();
  pid_ = ::fork();
  if (pid_ < 0) throw Error{ErrorCode::Io, fmt::format("fork: {}", std::strerror(errno))};
  if (pid_ == 0) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (::getppid() != parent) ::_exit(0);
    if (options.own_group) ::setpgid(0, 0);
    if (options.output >= 0) {
      ::dup2(options.output, STDOUT_FILENO);
      ::dup2(options.output, STDERR_FILENO);
    }
    ::execve(argv.front(), argv.data(), environment.data());
    ::_exit(127);
  }
  ended_ = Fd{static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0))};
  if (!ended_) {
    const int problem = errno;
    signal(SIGKILL);
    wait();
    throw Error{ErrorCode::Io, fmt::format("pidfd_open: {}", std::strerror(problem))};
  }
}

Child::~Child() {
  signal(SIGKILL);
  wait();
}

void Child::signal(int number) const {
  if (pid_ > 0) ::kill(pid_, number);
}

int Child::wait() {
  int status = 0;
  if (pid_ <= 0) return status;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  pid_ = 0;
  return status;
}

std::string output_of(std::vector<std::string> argv) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error{ErrorCode::Io, fmt::format("make a pipe: {}", std::strerror(errno))};
  const Fd read{ends[0]};
  Fd write{ends[1]};
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_adddup2(&files, write.get(), STDOUT_FILENO);
  std::vector<char*> words;
  words.reserve(argv.size() + 1);
  for (auto& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  pid_t pid = 0;
  const int problem = ::posix_spawnp(&pid, words.front(), &files, nullptr, words.data(), ::environ);
  ::posix_spawn_file_actions_destroy(&files);
  write.reset();
  if (problem != 0) {
    throw Error{ErrorCode::Io, fmt::format("'{}' cannot be started: {}", argv.front(), std::strerror(problem))};
  }
  std::string text;
  std::array<char, 4096> piece{};
  for (;;) {
    const auto got = ::read(read.get(), piece.data(), piece.size());
    if (got > 0) text.append(piece.data(), static_cast<std::size_t>(got));
    if (got == 0 || (got < 0 && errno != EINTR)) break;
  }
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    throw Error{ErrorCode::Io, fmt::format("'{}' failed", fmt::join(argv, " "))};
  }
  return text;
}

std::string describe_end(int status) {
  return WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status))
                             : fmt::format("status {}", WEXITSTATUS(status));
}

}  // namespace fireclaw::cli
