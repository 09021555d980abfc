#include "sys/launch.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <string>
#include <vector>

#include "base/scope.hpp"
#include "sys/file.hpp"

// The child runs in its parent's memory on a stack that sanitizers know nothing of.
#define FIRECLAW_UNSANITIZED \
  __attribute__((noinline, no_sanitize("address"), no_sanitize("thread"), no_sanitize("undefined")))

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

enum class Step { None, DieWithParent, NewSession, Folder, Descriptors, Exec };

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
  pid_t parent;
  bool die_with_parent;
  bool new_session;
  // The child's answer; it shares this memory.
  Step failed_step = Step::None;
  int error = 0;
};

// Descriptors are first moved out of the way of all the numbers to be given, so that no dup2 can overwrite one that
// is still needed. Returns 0 or the errno.
FIRECLAW_UNSANITIZED long place_descriptors(Plan* plan) {
  for (std::size_t i = 0; i < plan->fd_count; ++i) {
    const long parked = ::syscall(SYS_fcntl, plan->sources[i], F_DUPFD_CLOEXEC, plan->first_free);
    if (parked < 0) return errno;
    plan->temporaries[i] = static_cast<int>(parked);
  }
  for (std::size_t i = 0; i < plan->fd_count; ++i) {
    if (::syscall(SYS_dup3, plan->temporaries[i], plan->targets[i], 0) < 0) return errno;
  }
  // Our own descriptors are all close-on-exec; those that the host program leaks are caught here. Kernels before
  // 5.11 do not know the flag, and then only the leaked ones stay.
  ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC);
  for (std::size_t i = 0; i < plan->fd_count; ++i) {
    if (::syscall(SYS_fcntl, plan->targets[i], F_SETFD, 0) < 0) return errno;
  }
  return 0;
}

FIRECLAW_UNSANITIZED int fail(Plan* plan, Step step, int error) {
  plan->failed_step = step;
  plan->error = error;
  ::syscall(SYS_exit_group, 127);
  return 127;
}

// Raw system calls only: the C library's wrappers may be replaced (sanitizers) or touch state shared with the parent.
FIRECLAW_UNSANITIZED int run_child(void* argument) {
  auto* plan = static_cast<Plan*>(argument);
  // All zero is SIG_DFL in every architecture's struct. Handlers must not run in here, and the program gets a clean
  // start whatever the host program ignores.
  unsigned long default_action[8];
  for (unsigned long& word : default_action) word = 0;
  constexpr std::size_t kernel_sigset_bytes = 8;
  for (int number = 1; number <= 64; ++number) {
    ::syscall(SYS_rt_sigaction, number, default_action, nullptr, kernel_sigset_bytes);
  }
  if (plan->die_with_parent) {
    if (::syscall(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) return fail(plan, Step::DieWithParent, errno);
    // If the parent ended before the call above, no signal will come. Its pid reads as 0 when it is outside of the
    // child's pid namespace.
    const long parent = ::syscall(SYS_getppid);
    if (parent != plan->parent && parent != 0) return fail(plan, Step::DieWithParent, ESRCH);
  }
  if (plan->new_session && ::syscall(SYS_setsid) < 0) return fail(plan, Step::NewSession, errno);
  if (plan->cwd != nullptr && ::syscall(SYS_chdir, plan->cwd) < 0) return fail(plan, Step::Folder, errno);
  if (const long error = place_descriptors(plan); error != 0) {
    return fail(plan, Step::Descriptors, static_cast<int>(error));
  }
  const unsigned long no_signals = 0;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &no_signals, nullptr, kernel_sigset_bytes);
  ::syscall(SYS_execve, plan->program, plan->argv, plan->env);
  return fail(plan, Step::Exec, errno);
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
    case Step::None: break;
    case Step::DieWithParent: return system_error(plan.error, what + ": tie it to this process");
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
      .parent = ::getpid(),
      .die_with_parent = spec.die_with_parent,
      .new_session = spec.new_session,
  };

  // Not fork(): copying the page tables of a program with gigabytes mapped takes longer than booting a VM. The child
  // borrows our memory until it executes, and this thread waits meanwhile. Signals stay out: a handler of the host
  // program must not run in the child, in our memory. The raw call also blocks the C library's internal signals.
  const ChildStack stack;
  int pidfd = -1;
  unsigned long mask_before = 0;
  const unsigned long all_signals = ~0UL;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all_signals, &mask_before, sizeof all_signals);
  const pid_t pid = ::clone(run_child, stack.top(), CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &plan, &pidfd);
  const int clone_error = errno;
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask_before, nullptr, sizeof mask_before);
  if (pid < 0) throw system_error(clone_error, fmt::format("cannot run '{}': create a process", spec.argv[0]));

  Launched child{pid, Fd{pidfd}};
  if (plan.failed_step != Step::None) {
    siginfo_t info{};
    retry([&] { return ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED); });
    throw failure(plan, spec);
  }
  return child;
}

}  // namespace fireclaw::sys
