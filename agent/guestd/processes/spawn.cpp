#include "processes/spawn.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <string>
#include <utility>
#include <vector>

#include "processes/file_call.hpp"
#include "processes/login.hpp"
#include "processes/users.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

using wire::ExecFailed;
using wire::ExecFailure;

constexpr std::string_view default_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The group that terminals belong to, in every distribution.
constexpr gid_t tty_group = 5;
/// The kernel takes no longer argument (MAX_ARG_STRLEN).
constexpr std::size_t longest_argument = (std::size_t{128} << 10) - 1;
/// Where a shell finds a line that is longer; every shell can name it.
constexpr int line_fd = 3;

ExecFailed failed(ExecFailure reason, int error, std::string message) { return {reason, error, std::move(message)}; }

enum class Step { Terminal, User, Folder, Execute };

/// All that the child needs, ready made: it shares our memory until it executes, so it allocates nothing.
struct Plan {
  std::vector<std::string> candidates;
  std::vector<char*> argv;
  std::vector<char*> envp;
  const User* user = nullptr;
  bool change_user = true;
  const char* cwd = nullptr;
  bool cwd_required = false;
  bool tty = false;
  /// Login::cgroup's.
  int cgroup = -1;
  std::array<int, 3> fds{};
  /// What becomes line_fd; -1: nothing.
  int line = -1;
  /// Done instead of executing anything, in a process with its own memory.
  const wire::FileCall* call = nullptr;

  // What became of it.
  Step step = Step::Execute;
  int error = 0;
};

bool become_user(const User& user) {
  // The bare system calls: the C library's would tell other threads, and there are none.
  return syscall(SYS_setgroups, user.groups.size(), user.groups.data()) == 0 &&
         syscall(SYS_setresgid, user.gid, user.gid, user.gid) == 0 &&
         syscall(SYS_setresuid, user.uid, user.uid, user.uid) == 0;
}

/// The end of a child that could not do what it was started for.
[[noreturn]] void give_up(Plan& plan) {
  plan.error = errno;
  if (plan.call) answer_file_call({plan.error, cat({"cannot act as the user: ", error_text(plan.error)}), {}}, 2);
  _exit(127);
}

int run_child(void* argument) {
  Plan& plan = *static_cast<Plan*>(argument);
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  sigaction(SIGPIPE, &standard, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  if (plan.call)
    setpgid(0, 0);
  else
    setsid();
  plan.step = Step::Terminal;
  if (plan.tty && ioctl(plan.fds[0], TIOCSCTTY, 0) < 0) give_up(plan);
  for (int number = 0; number < 3; ++number) dup2(plan.fds[static_cast<std::size_t>(number)], number);
  // Best effort: without it the command only lacks limits for what it starts.
  [[maybe_unused]] const bool entered = plan.cgroup >= 0 && write(plan.cgroup, "0", 1) == 1;
  if (plan.line == line_fd) fcntl(line_fd, F_SETFD, 0);
  if (plan.line >= 0 && plan.line != line_fd) dup2(plan.line, line_fd);
  plan.step = Step::User;
  if (plan.change_user && !become_user(*plan.user)) give_up(plan);
  plan.step = Step::Folder;
  if (chdir(plan.cwd) < 0 && (plan.cwd_required || chdir("/") < 0)) give_up(plan);
  plan.step = Step::Execute;
  if (plan.call) {
    // A call that hangs must not keep descriptors of guestd open.
    syscall(SYS_close_range, 3, ~0U, 0);
    do_file_call(*plan.call, 0, 1, 2);
    _exit(0);
  }
  int error = ENOENT;
  for (const std::string& candidate : plan.candidates) {
    execve(candidate.c_str(), plan.argv.data(), plan.envp.data());
    // As a shell: continue past folders without it, remember that one had it but would not run it.
    if (errno == EACCES) {
      error = EACCES;
    } else if (errno != ENOENT && errno != ENOTDIR) {
      error = errno;
      break;
    }
  }
  plan.error = error;
  _exit(127);
}

/// Runs the child on a stack of its own while this thread waits, sharing all memory: no page tables are copied, which
/// is most of what a fork costs. What does not execute a program gets memory of its own instead.
pid_t start(Plan& plan) {
  alignas(16) static std::array<char, std::size_t{64} << 10> stack;
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, &before);
  const pid_t pid =
      plan.call ? fork() : clone(run_child, stack.data() + stack.size(), CLONE_VM | CLONE_VFORK | SIGCHLD, &plan);
  if (pid == 0) run_child(&plan);
  // A signal for it may come before it has done that itself.
  if (pid > 0 && plan.call) setpgid(pid, pid);
  if (pid < 0) plan.error = errno;
  sigprocmask(SIG_SETMASK, &before, nullptr);
  return pid;
}

std::vector<std::string> make_environment(const wire::Exec& request, const User& user, const Login& login) {
  std::vector<std::pair<std::string, std::string>> variables = {
      {"PATH", std::string{default_path}}, {"HOME", user.home.empty() ? "/" : user.home}, {"LANG", "C.UTF-8"}};
  if (!user.name.empty()) {
    variables.emplace_back("USER", user.name);
    variables.emplace_back("LOGNAME", user.name);
  }
  if (!login.runtime_folder.empty()) variables.emplace_back("XDG_RUNTIME_DIR", login.runtime_folder);
  if (request.tty) variables.emplace_back("TERM", "xterm-256color");
  for (const auto& [name, value] : request.env) {
    bool replaced = false;
    for (auto& [known, old] : variables) {
      if (known != name) continue;
      old = value;
      replaced = true;
    }
    if (!replaced) variables.emplace_back(name, value);
  }
  std::vector<std::string> environment;
  environment.reserve(variables.size());
  for (const auto& [name, value] : variables) environment.push_back(cat({name, "=", value}));
  return environment;
}

std::vector<std::string> make_candidates(const std::string& program, const std::vector<std::string>& environment) {
  if (program.find('/') != std::string::npos) return {program};
  std::vector<std::string> candidates;
  if (program.empty()) return candidates;
  for (const std::string& variable : environment) {
    if (variable.compare(0, 5, "PATH=") != 0) continue;
    for (const std::string_view folder : split(std::string_view{variable}.substr(5), ':'))
      candidates.push_back(cat({folder, "/", program}));
  }
  return candidates;
}

bool has_nul(const std::string& text) { return text.find('\0') != std::string::npos; }

/// Why no system could run `request`; empty: it could.
std::string unsound(const wire::Exec& request) {
  bool nul = has_nul(request.cwd);
  for (const std::string& argument : request.argv) nul = nul || has_nul(argument);
  for (const auto& [name, value] : request.env) {
    if (name.empty()) return "an environment variable must have a name";
    if (name.find('=') != std::string::npos)
      return cat({"'", name, "' cannot be the name of an environment variable: it has a '='"});
    nul = nul || has_nul(name) || has_nul(value);
  }
  return nul ? "a command, its folder and its environment cannot hold NUL bytes" : "";
}

bool is_long_line(const std::vector<std::string>& argv) {
  return argv.size() >= 3 && argv[1] == "-c" && argv[2].size() > longest_argument &&
         guest::last_component(argv[0]).ends_with("sh");
}

/// Puts a shell line that is too long for an argument into a file without a name that the shell reads: closed before
/// anything else, on the same first line, with $0 and the arguments as they were.
bool keep_long_line(std::string& line, OwnedFd& file) {
  file.reset(memfd_create("shell line", MFD_CLOEXEC));
  if (!file.open()) return false;
  const std::string text = cat({"exec ", std::to_string(line_fd), "<&-; ", line});
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = write(file.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
  line = cat({". /proc/self/fd/", std::to_string(line_fd)});
  return true;
}

struct Ends {
  std::array<OwnedFd, 3> child;
  OwnedFd shared;
};

bool open_pipe(OwnedFd& ours, OwnedFd& theirs, bool we_write) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return false;
  ours.reset(ends[we_write ? 1 : 0]);
  theirs.reset(ends[we_write ? 0 : 1]);
  return fcntl(ours.get(), F_SETFL, O_NONBLOCK) == 0;
}

bool open_pipes(const wire::Exec& request, Spawned& spawned, Ends& ends) {
  if (request.has_stdin) {
    if (!open_pipe(spawned.in, ends.child[0], true)) return false;
  } else {
    ends.child[0].reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!ends.child[0].open()) return false;
  }
  return open_pipe(spawned.out, ends.child[1], false) && open_pipe(spawned.err, ends.child[2], false);
}

bool open_terminal(const wire::Exec& request, const User& user, Spawned& spawned, Ends& ends) {
  spawned.out.reset(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  if (!spawned.out.open()) return false;
  const int master = spawned.out.get();
  const int unlocked = 0;
  if (ioctl(master, TIOCSPTLCK, &unlocked) < 0) return false;
  ends.shared.reset(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!ends.shared.open()) return false;
  winsize size{};
  size.ws_row = request.rows;
  size.ws_col = request.columns;
  ioctl(master, TIOCSWINSZ, &size);
  // So that the user can open it by name; without the privilege it is ours, and so is the user.
  if (fchown(ends.shared.get(), user.uid, tty_group) == 0) fchmod(ends.shared.get(), 0620);
  return true;
}

ExecFailed explain(const Plan& plan, const wire::Exec& request) {
  const std::string why = error_text(plan.error);
  switch (plan.step) {
    case Step::Terminal: return failed(ExecFailure::BadRequest, plan.error, cat({"cannot take the terminal: ", why}));
    case Step::User:
      return failed(ExecFailure::BadRequest, plan.error, cat({"cannot become user '", request.user, "': ", why}));
    case Step::Folder:
      return failed(ExecFailure::NotExecutable, plan.error,
                    cat({"cannot enter the working directory '", request.cwd, "': ", why}));
    case Step::Execute: break;
  }
  const std::string& program = request.argv.front();
  if (plan.error == ENOENT) {
    const bool by_path = program.find('/') != std::string::npos;
    struct stat status {};
    if (by_path && stat(program.c_str(), &status) == 0)
      return failed(ExecFailure::NotFound, plan.error, cat({"cannot run '", program, "': its interpreter is missing"}));
    return failed(ExecFailure::NotFound, plan.error,
                  cat({"'", program, by_path ? "': no such file" : "': command not found"}));
  }
  return failed(ExecFailure::NotExecutable, plan.error, cat({"cannot run '", program, "': ", why}));
}

std::optional<ExecFailed> identify(const std::string& wanted, User& user, bool& change) {
  std::string problem;
  if (!look_up_user(wanted, user, problem)) return failed(ExecFailure::BadRequest, ENOENT, problem);
  // Run as an ordinary process, guestd is the only user there is.
  const bool any_user = wanted.empty() && geteuid() != 0;
  change = !any_user && (user.uid != geteuid() || user.gid != getegid());
  return {};
}

ExecFailed not_started(int error) {
  return failed(ExecFailure::BadRequest, error, cat({"cannot start a process: ", error_text(error)}));
}

/// Runs `request`, with descriptors that `open_ends` opens: given the user, it fills in the three, or explains.
template <typename OpenEnds>
std::optional<ExecFailed> run(const wire::Exec& request, pid_t& pid, OpenEnds open_ends) {
  if (const std::string problem = unsound(request); !problem.empty())
    return failed(ExecFailure::BadRequest, EINVAL, problem);

  User user;
  Plan plan;
  if (std::optional<ExecFailed> unknown = identify(request.user, user, plan.change_user)) return unknown;

  const Login login = log_in(user);
  std::vector<std::string> environment = make_environment(request, user, login);
  std::vector<std::string> arguments = request.argv;
  plan.candidates = make_candidates(arguments.front(), environment);
  OwnedFd long_line;
  if (is_long_line(arguments)) {
    if (!keep_long_line(arguments[2], long_line))
      return failed(ExecFailure::BadRequest, errno, cat({"cannot keep the shell line: ", error_text(errno)}));
    plan.line = long_line.get();
  }
  for (std::string& argument : arguments) plan.argv.push_back(argument.data());
  plan.argv.push_back(nullptr);
  for (std::string& variable : environment) plan.envp.push_back(variable.data());
  plan.envp.push_back(nullptr);
  plan.user = &user;
  plan.cgroup = login.cgroup.get();
  plan.cwd_required = !request.cwd.empty();
  plan.cwd = plan.cwd_required ? request.cwd.c_str() : user.home.c_str();
  plan.tty = request.tty;

  if (std::optional<ExecFailed> unopened = open_ends(user, plan.fds)) return unopened;
  pid = start(plan);
  if (pid < 0) return not_started(plan.error);
  // The child that failed is reaped with all others.
  if (plan.error != 0) return explain(plan, request);
  return {};
}

}  // namespace

std::optional<ExecFailed> spawn_command(const wire::Exec& request, Spawned& spawned) {
  Ends ends;
  return run(request, spawned.pid, [&](const User& user, std::array<int, 3>& fds) -> std::optional<ExecFailed> {
    const bool opened = request.tty ? open_terminal(request, user, spawned, ends) : open_pipes(request, spawned, ends);
    if (!opened)
      return failed(ExecFailure::BadRequest, errno,
                    cat({request.tty ? "cannot open a terminal: " : "cannot open pipes: ", error_text(errno)}));
    for (std::size_t i = 0; i < fds.size(); ++i) fds[i] = request.tty ? ends.shared.get() : ends.child[i].get();
    return {};
  });
}

std::optional<ExecFailed> spawn_file_call(const wire::FileCall& call, Spawned& spawned) {
  User user;
  Plan plan;
  if (std::optional<ExecFailed> unknown = identify(call.user, user, plan.change_user)) return unknown;
  wire::Exec streams;
  streams.has_stdin = call.verb == wire::FileVerb::Write;
  Ends ends;
  if (!open_pipes(streams, spawned, ends))
    return failed(ExecFailure::BadRequest, errno, cat({"cannot open pipes: ", error_text(errno)}));
  for (std::size_t i = 0; i < plan.fds.size(); ++i) plan.fds[i] = ends.child[i].get();
  plan.call = &call;
  plan.user = &user;
  plan.cwd = "/";
  spawned.pid = start(plan);
  if (spawned.pid < 0) return not_started(plan.error);
  return {};
}

std::optional<ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid) {
  OwnedFd nothing;
  return run(request, pid, [&](const User&, std::array<int, 3>& fds) -> std::optional<ExecFailed> {
    nothing.reset(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!nothing.open())
      return failed(ExecFailure::BadRequest, errno, cat({"cannot open /dev/null: ", error_text(errno)}));
    fds = {nothing.get(), output, output};
    return {};
  });
}

}  // namespace fireclaw::guestd
