#include "sys/launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <linux/futex.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <climits>
#include <string>
#include <vector>

#include "base/scope.hpp"
#include "sys/file.hpp"
#include "sys/sandbox/layout.hpp"

#if defined(__SANITIZE_THREAD__)
#define FIRECLAW_THREAD_SANITIZER
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIRECLAW_THREAD_SANITIZER
#endif
#endif

#ifdef FIRECLAW_THREAD_SANITIZER
// ThreadSanitizer takes every clone() for a fork() and notes in the shared memory that it is now in the child. The
// same function under its other name escapes it.
extern "C" int __clone(int (*run)(void*), void* stack, int flags, void* argument, ...);
#define clone __clone
#endif

namespace fireclaw::sys {
namespace {

using child::call;
using child::word;

enum class Step { None, Enter, DieWithParent, Cgroup, Confine, NewSession, Folder, Descriptors, Exec };

/// What a confined child waits for before it does anything: its parent writes the maps of its user namespace.
enum class Turn : int { Parent, Child, Nobody };

// Everything the child needs, laid out beforehand: between clone and exec it may only make system calls.
struct Plan {
  const char* program;
  char* const* argv;
  char* const* env;
  const char* cwd;     // null: stay
  const int* sources;  // descriptors to hand over,
  const int* targets;  // their numbers in the child,
  int* temporaries;    // and room for the child to park them
  std::size_t fd_count;
  int first_free;  // above every number in `targets`
  int parent_pidfd;
  bool die_with_parent;
  bool new_session;
  child::Entry* confinement;  // null: none
  int cgroup;                 // the descriptor to join it by; negative: none
  int user_namespace;         // to enter; negative: none
  int network_namespace;
  int turn = static_cast<int>(Turn::Parent);
  // The child's answer; it shares this memory.
  Step failed_step = Step::None;
  int error = 0;
  bool reached_exec = false;
  /// The kernel clears it, and wakes who waits for it, when the child executes or ends.
  std::atomic<int> borrowing{1};
};
static_assert(sizeof(std::atomic<int>) == sizeof(int));

// Descriptors are first moved out of the way of all the numbers to be given, so that no dup2 can overwrite one that
// is still needed. Returns 0 or the errno.
FIRECLAW_UNSANITIZED long place_descriptors(Plan* plan) {
  for (std::size_t i = 0; i < plan->fd_count; ++i) {
    const long parked = call(SYS_fcntl, plan->sources[i], F_DUPFD_CLOEXEC, plan->first_free);
    if (parked < 0) return -parked;
    plan->temporaries[i] = static_cast<int>(parked);
  }
  for (std::size_t i = 0; i < plan->fd_count; ++i) {
    if (const long placed = call(SYS_dup3, plan->temporaries[i], plan->targets[i], 0); placed < 0) return -placed;
  }
  // Our own descriptors are all close-on-exec; those that the host program leaks are caught here. Kernels before
  // 5.11 do not know the flag, and then only the leaked ones stay.
  call(SYS_close_range, 0, ~0U, CLOSE_RANGE_CLOEXEC);
  for (std::size_t i = 0; i < plan->fd_count; ++i) {
    if (const long kept = call(SYS_fcntl, plan->targets[i], F_SETFD, 0); kept < 0) return -kept;
  }
  return 0;
}

FIRECLAW_UNSANITIZED int fail(Plan* plan, Step step, long error) {
  plan->failed_step = step;
  plan->error = static_cast<int>(error);
  call(SYS_exit_group, 127);
  return 127;
}

// 0, or the errno.
FIRECLAW_UNSANITIZED long die_with_parent(const Plan* plan) {
  if (const long result = call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL); result < 0) return -result;
  // If the parent ended before the call above, no signal will come.
  pollfd parent{};
  parent.fd = plan->parent_pidfd;
  parent.events = POLLIN;
  timespec now{};
  return call(SYS_ppoll, word(&parent), 1, word(&now), 0) == 1 ? ESRCH : 0;
}

FIRECLAW_UNSANITIZED bool await_turn(Plan* plan) {
  for (;;) {
    // Not std::atomic, whose functions sanitizers reach into.
    const auto turn = static_cast<Turn>(__atomic_load_n(&plan->turn, __ATOMIC_ACQUIRE));
    if (turn != Turn::Parent) return turn == Turn::Child;
    call(SYS_futex, word(&plan->turn), FUTEX_WAIT, static_cast<int>(Turn::Parent), 0);
  }
}

// Everything that confines the child but its privileges, which it needs for that. False: it has failed.
FIRECLAW_UNSANITIZED bool enter_confinement(Plan* plan) {
  // Until here the kernel has not been told; the parent can end while this one waits.
  if (const long error = die_with_parent(plan); error != 0) return fail(plan, Step::DieWithParent, error) == 0;
  if (!await_turn(plan)) return fail(plan, Step::Confine, ECANCELED) == 0;
  if (plan->cgroup >= 0) {
    if (const long joined = call(SYS_write, plan->cgroup, word("0"), 1); joined < 0) {
      return fail(plan, Step::Cgroup, -joined) == 0;
    }
  }
  if (const int error = child::enter_root(plan->confinement); error != 0) return fail(plan, Step::Confine, error) == 0;
  return true;
}

// 0, or the errno.
FIRECLAW_UNSANITIZED long enter_namespaces(const Plan* plan) {
  if (const long entered = call(SYS_setns, plan->user_namespace, CLONE_NEWUSER); entered < 0) return -entered;
  if (const long entered = call(SYS_setns, plan->network_namespace, CLONE_NEWNET); entered < 0) return -entered;
  // It is root there. Without this it would have all capabilities again once it executes.
  constexpr long not_for_root = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;
  if (const long set = call(SYS_prctl, PR_SET_SECUREBITS, not_for_root); set < 0) return -set;
  return 0;
}

// Raw system calls only: the C library's wrappers may be replaced (sanitizers) or touch state shared with the parent.
FIRECLAW_UNSANITIZED int run_child(void* argument) {
  auto* plan = static_cast<Plan*>(argument);
  // All zero is SIG_DFL in every architecture's struct. Handlers must not run in here, and the program gets a clean
  // start whatever the host program ignores.
  unsigned long default_action[8];
  for (unsigned long& item : default_action) item = 0;
  constexpr std::size_t kernel_sigset_bytes = 8;
  for (int number = 1; number <= 64; ++number) {
    call(SYS_rt_sigaction, number, word(default_action), 0, kernel_sigset_bytes);
  }
  if (plan->user_namespace >= 0) {
    if (const long error = enter_namespaces(plan); error != 0) return fail(plan, Step::Enter, error);
  }
  if (plan->confinement != nullptr && !enter_confinement(plan)) return 127;
  // A change of user undoes it.
  if (plan->die_with_parent) {
    if (const long error = die_with_parent(plan); error != 0) return fail(plan, Step::DieWithParent, error);
  } else {
    call(SYS_prctl, PR_SET_PDEATHSIG, 0);
  }
  if (plan->new_session) {
    if (const long result = call(SYS_setsid); result < 0) return fail(plan, Step::NewSession, -result);
  }
  if (plan->cwd != nullptr) {
    if (const long result = call(SYS_chdir, word(plan->cwd)); result < 0) return fail(plan, Step::Folder, -result);
  }
  // Before descriptors are placed, which can take the number of one that this needs.
  if (plan->confinement != nullptr) {
    if (const int error = child::give_up_privileges(plan->confinement); error != 0) {
      return fail(plan, Step::Confine, error);
    }
  }
  if (const long error = place_descriptors(plan); error != 0) return fail(plan, Step::Descriptors, error);
  const unsigned long no_signals = 0;
  call(SYS_rt_sigprocmask, SIG_SETMASK, word(&no_signals), 0, kernel_sigset_bytes);
  plan->reached_exec = true;
  return fail(plan, Step::Exec, -call(SYS_execve, word(plan->program), word(plan->argv), word(plan->env)));
}

// A stack for the child, with a page below it that must not be touched.
class ChildStack {
 public:
  ChildStack() : base_{::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0)} {
    if (base_ == MAP_FAILED) throw_errno("allocate a stack");
    ::mprotect(base_, 4096, PROT_NONE);
  }
  ChildStack(const ChildStack&) = delete;
  ChildStack& operator=(const ChildStack&) = delete;
  ~ChildStack() { ::munmap(base_, bytes); }
  [[nodiscard]] void* top() const { return static_cast<std::byte*>(base_) + bytes; }

 private:
  static constexpr std::size_t bytes = std::size_t{64} << 10;
  void* base_;
};

std::string resolve_program(const SpawnSpec& spec) {
  if (spec.argv.empty() || spec.argv[0].empty()) {
    throw Error{ErrorCode::InvalidArgument, "cannot run a command without a program"};
  }
  const std::string& name = spec.argv[0];
  if (const auto path = find_program(name, spec.search_path)) {
    // A relative path means the caller's folder, not the one that the child is about to enter.
    return spec.cwd.empty() ? path->string() : std::filesystem::absolute(*path).string();
  }
  if (name.find('/') != std::string::npos) return std::filesystem::absolute(name).string();
  std::string folders;
  for (const auto& folder : spec.search_path) {
    if (!folders.empty()) folders += ':';
    folders += folder.string();
  }
  throw Error{ErrorCode::NotFound, fmt::format("cannot run '{}': no such program in '{}'", name, folders)};
}

void refuse_zero_bytes(const std::vector<std::string>& texts, std::string_view what) {
  for (const std::string& text : texts) {
    if (text.find('\0') != std::string::npos) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("{} must not contain a zero byte", what)};
    }
  }
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (const std::string& text : texts) {
    // execve() declares its arguments so for the sake of old programs, and changes nothing.
    pointers.push_back(const_cast<char*>(text.c_str()));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
  }
  pointers.push_back(nullptr);
  return pointers;
}

Error failure(const Plan& plan, const SpawnSpec& spec) {
  const std::string what = fmt::format("cannot run '{}'", spec.argv[0]);
  switch (plan.failed_step) {
    case Step::None: return Error{ErrorCode::Io, what + ": it was killed before it ran"};
    case Step::Enter: return system_error(plan.error, what + ": enter its network");
    case Step::DieWithParent: return system_error(plan.error, what + ": tie it to this process");
    case Step::Cgroup: return system_error(plan.error, what + ": join its cgroup");
    case Step::Confine: {
      const auto* entry = plan.confinement;
      return system_error(
          plan.error,
          fmt::format("{}: confine it: {}{}", what, entry->step == nullptr ? "" : entry->step,
                      entry->step_path == nullptr ? std::string{} : fmt::format(" '{}'", entry->step_path)));
    }
    case Step::NewSession: return system_error(plan.error, what + ": start a session");
    case Step::Folder: return system_error(plan.error, fmt::format("{}: enter folder '{}'", what, spec.cwd.string()));
    case Step::Descriptors: return system_error(plan.error, what + ": hand over descriptors");
    case Step::Exec:
      if (plan.error == ENOENT && ::access(plan.program, F_OK) == 0) {
        return Error{ErrorCode::NotFound, what + ": the interpreter or loader that it names does not exist"};
      }
      return system_error(plan.error, what);
  }
  return Error{ErrorCode::Internal, what};
}

/// Signals stay out while a child borrows our memory: a handler of the host program must not run in the child. The raw
/// call also blocks the C library's internal signals.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    const unsigned long all = ~0UL;
    ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, &before_, sizeof before_);
  }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;
  ~SignalsBlocked() { ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &before_, nullptr, sizeof before_); }

 private:
  unsigned long before_ = 0;
};

// Not fork(): copying the page tables of a program with gigabytes mapped takes longer than booting a VM. The child
// borrows our memory until it executes.
Launched start_child(Plan& plan, const SpawnSpec& spec, const ChildStack& stack, unsigned long flags) {
  int pidfd = -1;
  pid_t pid = -1;
  int clone_error = 0;
  {
    const SignalsBlocked blocked;
    pid = ::clone(run_child, stack.top(), static_cast<int>(flags | CLONE_VM | CLONE_PIDFD | SIGCHLD), &plan, &pidfd,
                  nullptr, &plan.borrowing);
    clone_error = errno;
  }
  if (pid < 0) {
    throw system_error(clone_error, fmt::format("cannot run '{}': create a process{}", spec.argv[0],
                                                (flags & CLONE_NEWUSER) != 0 ? " in namespaces" : ""));
  }
  return Launched{pid, Fd{pidfd}};
}

// This thread waits until the child has executed.
Launched start_plain(Plan& plan, const SpawnSpec& spec) {
  const ChildStack stack;
  return start_child(plan, spec, stack, CLONE_VFORK);
}

void give_turn(Plan& plan, Turn turn) {
  __atomic_store_n(&plan.turn, static_cast<int>(turn), __ATOMIC_RELEASE);
  ::syscall(SYS_futex, &plan.turn, FUTEX_WAKE, 1, nullptr, nullptr, 0);
}

// The child waits for its parent to write the maps of its user namespace, then its parent waits for it.
Launched start_confined(Plan& plan, const SpawnSpec& spec, const Sandbox& sandbox, const SandboxLayout& layout) {
  const ChildStack stack;
  unsigned long flags = CLONE_CHILD_CLEARTID;
  if (sandbox.level == Confinement::Full) {
    flags |= CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
    if (sandbox.own_network) flags |= CLONE_NEWNET;
  }
  auto launched = start_child(plan, spec, stack, flags);
  const auto await_child = [&] {
    while (plan.borrowing.load() != 0) ::syscall(SYS_futex, &plan.borrowing, FUTEX_WAIT, 1, nullptr, nullptr, 0);
  };
  try {
    if (sandbox.level == Confinement::Full) layout.map_ids(launched.pid, spec.search_path);
  } catch (Error& error) {
    give_turn(plan, Turn::Nobody);
    await_child();
    siginfo_t info{};
    retry([&] { return ::waitid(P_PIDFD, static_cast<id_t>(launched.pidfd.get()), &info, WEXITED); });
    error.add_context(fmt::format("confine '{}'", spec.argv[0]));
    throw;
  }
  give_turn(plan, Turn::Child);
  await_child();
  return launched;
}

}  // namespace

Launched launch(const SpawnSpec& spec) {
  const std::string program = resolve_program(spec);
  refuse_zero_bytes(spec.argv, "an argument");
  refuse_zero_bytes(spec.env, "an environment variable");
  const std::vector<char*> argv = pointers_to(spec.argv);
  const std::vector<char*> env = pointers_to(spec.env);

  const Fd null = open_file("/dev/null", O_RDWR);
  std::vector<int> sources;
  std::vector<int> targets;
  for (const auto& [source, target] : spec.fds) {
    if (source < 0 || target < 0 || std::find(targets.begin(), targets.end(), target) != targets.end()) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("cannot run '{}': descriptor {} given as {}", spec.argv[0], source, target)};
    }
    sources.push_back(source);
    targets.push_back(target);
  }
  for (int standard = 0; standard <= 2; ++standard) {
    if (std::find(targets.begin(), targets.end(), standard) != targets.end()) continue;
    sources.push_back(null.get());
    targets.push_back(standard);
  }
  std::vector<int> temporaries(sources.size());
  std::optional<SandboxLayout> layout;
  auto sandbox = spec.sandbox;
  // A user namespace is made by clone, and that would be beside the one to enter.
  if (sandbox && spec.enter && sandbox->level == Confinement::Full) {
    sandbox->level = has_landlock() ? Confinement::Landlock : Confinement::None;
  }
  if (sandbox) layout.emplace(*sandbox);
  const Fd self{static_cast<int>(check(::syscall(SYS_pidfd_open, ::getpid(), 0), "open this process"))};

  Plan plan{
      .program = program.c_str(),
      .argv = argv.data(),
      .env = env.data(),
      .cwd = spec.cwd.empty() ? nullptr : spec.cwd.c_str(),
      .sources = sources.data(),
      .targets = targets.data(),
      .temporaries = temporaries.data(),
      .fd_count = sources.size(),
      .first_free = *std::max_element(targets.begin(), targets.end()) + 1,
      .parent_pidfd = self.get(),
      .die_with_parent = spec.die_with_parent,
      .new_session = spec.new_session,
      .confinement = layout ? &layout->entry() : nullptr,
      .cgroup = layout ? layout->cgroup() : -1,
      .user_namespace = spec.enter ? spec.enter->first : -1,
      .network_namespace = spec.enter ? spec.enter->second : -1,
  };
  Launched launched = layout ? start_confined(plan, spec, *sandbox, *layout) : start_plain(plan, spec);
  if (plan.failed_step != Step::None || !plan.reached_exec) {
    siginfo_t info{};
    retry([&] { return ::waitid(P_PIDFD, static_cast<id_t>(launched.pidfd.get()), &info, WEXITED); });
    throw failure(plan, spec);
  }
  return launched;
}

}  // namespace fireclaw::sys
