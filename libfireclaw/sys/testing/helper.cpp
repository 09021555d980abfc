// The other process in the tests of this room. What it does is named by its first argument; it reports on stdout.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <functional>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/scope.hpp"
#include "sys/file.hpp"
#include "sys/launch.hpp"
#include "sys/process.hpp"
#include "sys/stat_line.hpp"

namespace fireclaw::sys {
namespace {

void say(const std::string& line) { write_all(1, line + "\n"); }

void wait_for_end_of_input() {
  char byte = 0;
  while (retry([&] { return ::read(0, &byte, 1); }) > 0) {
  }
}

SpawnSpec idle_child() {
  SpawnSpec spec;
  spec.argv = {"/proc/self/exe", "idle"};
  return spec;
}

void report(const ProcessId& id) { say(fmt::format("{} {}", id.pid, id.start_time)); }

// Returns once the kernel has let go of the thread altogether, and so has sent all signals its end causes.
void run_thread_to_its_very_end(const std::function<void()>& work) {
  pid_t tid = 0;
  std::thread{[&] {
    tid = ::gettid();
    work();
  }}.join();
  const std::string task = fmt::format("/proc/self/task/{}", tid);
  while (::access(task.c_str(), F_OK) == 0) std::this_thread::yield();
}

int idle() {
  for (;;) ::pause();
}

// Starts a child that must die with this process, from the given place, and waits to be killed.
int parent(const std::string& from) {
  std::optional<Child> child;
  std::optional<Launched> launched;
  if (from == "main-thread") {
    child = Child::spawn(idle_child());
    report(child->id());
  } else if (from == "ended-thread") {
    run_thread_to_its_very_end([&] { child = Child::spawn(idle_child()); });
    report(child->id());
  } else if (from == "ended-thread-directly") {
    std::optional<ProcessId> id;
    run_thread_to_its_very_end([&] {
      launched = launch(idle_child());
      id = identify_even_ended(launched->pid);
    });
    report(*id);
  }
  wait_for_end_of_input();
  return 0;
}

// Spawns from a worker on both sides of a fork(): the forked process has lost the thread that starts children.
int fork_between_spawns() {
  const auto spawn_from_worker = [] {
    bool success = false;
    std::thread{[&] {
      SpawnSpec spec;
      spec.argv = {"/bin/true"};
      success = Child::spawn(spec).wait(Deadline::never())->success();
    }}.join();
    return success;
  };
  if (!spawn_from_worker()) return 1;
  const pid_t forked = ::fork();
  if (forked == 0) ::_exit(spawn_from_worker() ? 0 : 2);
  int status = 0;
  ::waitpid(forked, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}

int list_descriptors() {
  std::vector<std::string> found;
  DIR* folder = ::opendir("/proc/self/fd");
  for (const dirent* entry = ::readdir(folder); entry != nullptr; entry = ::readdir(folder)) {
    const std::string name = entry->d_name;
    if (name.starts_with('.') || std::stoi(name) == ::dirfd(folder)) continue;
    found.push_back(fmt::format("{} {}", name, std::filesystem::read_symlink("/proc/self/fd/" + name).string()));
  }
  ::closedir(folder);
  for (const std::string& line : found) say(line);
  return 0;
}

int hold_lock(const std::string& path) {
  const FileLock lock = FileLock::acquire(path, FileLock::Mode::Exclusive, Deadline::never(), "test");
  say("held");
  wait_for_end_of_input();
  return 0;
}

// Adds one to the number in a file, `times` times, reading and writing under the lock. With `unlink` the lock file is
// removed before each release.
int count(const std::string& lock_path, const std::string& number_path, int times, bool unlink) {
  for (int i = 0; i < times; ++i) {
    const FileLock lock =
        FileLock::acquire(lock_path, FileLock::Mode::Exclusive, Deadline::after(std::chrono::seconds{30}), "test");
    const int number = std::stoi(read_file(number_path));
    write_all(open_file(number_path, O_WRONLY | O_TRUNC).get(), std::to_string(number + 1));
    if (unlink) ::unlink(lock_path.c_str());
  }
  return 0;
}

// Replaces a file's content for ever: 'a' a hundred thousand times, then 'b', and so on.
int rewrite(const std::string& path) {
  for (char letter = 'a';; letter = letter == 'a' ? 'b' : 'a') {
    write_file_atomic(path, std::string(100'000, letter));
    if (letter == 'a') say("written");
  }
}

int write_limited(const std::string& path) {
  // Blocked, the signal leaves it to the error to tell.
  sigset_t too_large;
  sigemptyset(&too_large);
  sigaddset(&too_large, SIGXFSZ);
  pthread_sigmask(SIG_BLOCK, &too_large, nullptr);
  const rlimit limit{4096, 4096};
  ::setrlimit(RLIMIT_FSIZE, &limit);
  try {
    write_file_atomic(path, std::string(100'000, 'x'));
    return 1;
  } catch (const Error& error) {
    say(error.what());
    return 0;
  }
}

// Fills its own tiny file system. Exit status 77: not permitted to make one.
int write_to_full_disk(const std::string& folder) {
  if (::unshare(CLONE_NEWNS) < 0 && ::unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0) return 77;
  ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr);
  if (::mount("tiny", folder.c_str(), "tmpfs", 0, "size=64k") < 0) return 77;
  const std::string path = folder + "/record.json";
  write_file_atomic(path, "old");
  const auto attempt = [&](const std::function<void()>& write) {
    try {
      write();
      say("no error");
    } catch (const Error& error) {
      say(error.what());
    }
  };
  attempt([&] { write_file_atomic(path, std::string(1'000'000, 'x')); });
  say(read_file(path));
  const Fd big = make_memfd("big", 1'000'000);
  write_all(big.get(), std::string(1'000'000, 'x'));
  attempt([&] { clone_file(fmt::format("/proc/self/fd/{}", big.get()), folder + "/copy"); });
  const auto left = std::distance(std::filesystem::directory_iterator{folder}, std::filesystem::directory_iterator{});
  say(fmt::format("{} file", left));
  return 0;
}

int run(const std::vector<std::string>& arguments) {
  const std::string& what = arguments.at(0);
  if (what == "idle") return idle();
  if (what == "parent") return parent(arguments.at(1));
  if (what == "fork-between-spawns") return fork_between_spawns();
  if (what == "list-descriptors") return list_descriptors();
  if (what == "hold-lock") return hold_lock(arguments.at(1));
  if (what == "count") return count(arguments.at(1), arguments.at(2), std::stoi(arguments.at(3)), false);
  if (what == "count-unlinking") return count(arguments.at(1), arguments.at(2), std::stoi(arguments.at(3)), true);
  if (what == "rewrite") return rewrite(arguments.at(1));
  if (what == "write-limited") return write_limited(arguments.at(1));
  if (what == "write-to-full-disk") return write_to_full_disk(arguments.at(1));
  return 2;
}

}  // namespace
}  // namespace fireclaw::sys

int main(int argc, char** argv) {
  try {
    return fireclaw::sys::run({argv + 1, argv + argc});
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
