#include "sys/process.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <sstream>
#include <thread>

#include "sys/stat_line.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;

namespace {

SpawnSpec shell(const std::string& line) {
  SpawnSpec spec;
  spec.argv = {"/bin/sh", "-c", line};
  return spec;
}

ExitStatus run(const SpawnSpec& spec) { return Child::spawn(spec).wait(patience()).value(); }

// What the program writes to stdout.
std::string output_of(SpawnSpec spec) {
  Pipe pipe = make_pipe();
  spec.fds.emplace_back(pipe.write.get(), 1);
  Child child = Child::spawn(spec);
  { const Fd closed = std::move(pipe.write); }
  std::string text = read_to_end(pipe.read.get());
  REQUIRE(child.wait(patience())->success());
  return text;
}

void write_program(const std::filesystem::path& path, std::string_view content, mode_t mode) {
  write_file_atomic(path, content, mode);
}

bool ends(const Fd& pidfd) { return wait_fd(pidfd.get(), POLLIN, patience()) == WaitResult::Ready; }

ProcessId read_id(int fd) {
  std::istringstream line{read_line(fd)};
  ProcessId id;
  line >> id.pid >> id.start_time;
  REQUIRE(id.pid > 0);
  return id;
}

}  // namespace

TEST_CASE("a child's exit status and signal are told apart") {
  CHECK(run(shell("exit 0")) == ExitStatus{.code = 0, .signal = 0});
  CHECK(run(shell("exit 3")) == ExitStatus{.code = 3, .signal = 0});
  const ExitStatus killed = run(shell("kill -TERM $$"));
  CHECK(killed == ExitStatus{.code = std::nullopt, .signal = SIGTERM});
  CHECK(killed.describe() == "was killed by signal 15");
  CHECK_FALSE(killed.success());
  CHECK(ExitStatus{.code = 3, .signal = 0}.describe() == "exited with status 3");
}

TEST_CASE("a missing program is an error of spawn, not an exit status") {
  SpawnSpec spec;
  spec.argv = {"/nonexistent/program"};
  CHECK(error_of([&] { Child::spawn(spec); }) ==
        std::pair{ErrorCode::NotFound, std::string{"cannot run '/nonexistent/program': no such file or directory"}});
  spec.argv = {"no-such-program"};
  spec.search_path = {"/bin", "/usr/bin"};
  CHECK(
      error_of([&] { Child::spawn(spec); }) ==
      std::pair{ErrorCode::NotFound, std::string{"cannot run 'no-such-program': no such program in '/bin:/usr/bin'"}});
}

TEST_CASE("a file that cannot be executed is an error of spawn") {
  const TempDir folder = temp_dir();
  SpawnSpec spec;
  SUBCASE("not executable") {
    write_program(folder.path() / "program", "#!/bin/sh\n", 0644);
    spec.argv = {folder.path() / "program"};
    CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::PermissionDenied);
  }
  SUBCASE("a folder") {
    spec.argv = {folder.path()};
    CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::PermissionDenied);
  }
  SUBCASE("neither a binary nor a script") {
    write_program(folder.path() / "program", "just text", 0755);
    spec.argv = {folder.path() / "program"};
    const auto [code, text] = error_of([&] { Child::spawn(spec); });
    CHECK(code == ErrorCode::Io);
    CHECK(text.ends_with("/program': exec format error"));
  }
  SUBCASE("a script without its interpreter") {
    write_program(folder.path() / "program", "#!/nonexistent/sh\n", 0755);
    spec.argv = {folder.path() / "program"};
    const auto [code, text] = error_of([&] { Child::spawn(spec); });
    CHECK(code == ErrorCode::NotFound);
    CHECK(text.ends_with("/program': the interpreter or loader that it names does not exist"));
  }
}

TEST_CASE("a failed spawn leaves no process behind") {
  SpawnSpec spec;
  spec.argv = {"/nonexistent/program"};
  error_of([&] { Child::spawn(spec); });
  CHECK(read_file("/proc/thread-self/children").empty());
}

TEST_CASE("nonsense is refused before a process is made") {
  CHECK(error_of([] { Child::spawn({}); }).first == ErrorCode::InvalidArgument);
  SpawnSpec spec = shell("exit 0");
  spec.argv.back() += std::string("\0x", 2);
  CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::InvalidArgument);
  spec = shell("exit 0");
  spec.fds = {{0, 5}, {1, 5}};
  CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::InvalidArgument);
  spec.fds = {{-1, 5}};
  CHECK(error_of([&] { Child::spawn(spec); }).first == ErrorCode::InvalidArgument);
  spec.fds = {{1'000'000, 5}};
  CHECK(error_of([&] { Child::spawn(spec); }).second ==
        "cannot run '/bin/sh': hand over descriptors: bad file descriptor");
}

TEST_CASE("nothing of the environment is inherited") {
  ::setenv("FIRECLAW_TEST_LEAK", "1", 1);
  SpawnSpec spec;
  spec.argv = {"/usr/bin/env"};
  spec.env = {"A=b", "C=d e"};
  CHECK(output_of(spec) == "A=b\nC=d e\n");
  ::unsetenv("FIRECLAW_TEST_LEAK");
}

TEST_CASE("the working directory is the one asked for, and a relative program means the caller's") {
  const TempDir folder = temp_dir();
  SpawnSpec spec = shell("pwd");
  spec.cwd = folder.path();
  CHECK(output_of(spec) == folder.path().string() + "\n");
  spec.cwd = folder.path() / "missing";
  const auto [code, text] = error_of([&] { Child::spawn(spec); });
  CHECK(code == ErrorCode::NotFound);
  CHECK(text == fmt::format("cannot run '/bin/sh': enter folder '{}': no such file or directory",
                            (folder.path() / "missing").string()));

  spec.argv[0] = std::filesystem::relative("/bin/sh").string();
  REQUIRE(spec.argv[0].starts_with(".."));
  spec.cwd = folder.path();
  CHECK(output_of(spec) == folder.path().string() + "\n");
}

TEST_CASE("a program is searched in the given folders in order") {
  const TempDir first = temp_dir();
  const TempDir second = temp_dir();
  write_program(first.path() / "tool", "#!/bin/sh\necho first\n", 0644);
  write_program(second.path() / "tool", "#!/bin/sh\necho second\n", 0755);
  SpawnSpec spec;
  spec.argv = {"tool"};
  spec.search_path = {"/nonexistent", first.path(), second.path()};
  CHECK(output_of(spec) == "second\n");
  CHECK(find_program("tool", spec.search_path) == second.path() / "tool");
  CHECK(find_program("tool", {first.path()}) == std::nullopt);
  CHECK(find_program((second.path() / "tool").string(), {}) == second.path() / "tool");
  CHECK(find_program((first.path() / "tool").string(), {}) == std::nullopt);
  CHECK(find_program("", {"/bin"}) == std::nullopt);
}

TEST_CASE("the child sees the descriptors it was given, /dev/null on 0 to 2, and no others") {
  const Fd leaked{::open("/proc/self/status", O_RDONLY)};  // not close-on-exec: a foreign library's
  const TempDir folder = temp_dir();
  const auto open_new = [&](const char* name) { return open_file(folder.path() / name, O_RDWR | O_CREAT); };
  const Fd a = open_new("a");
  const Fd b = open_new("b");
  SpawnSpec spec = Helper::spec({"list-descriptors"});
  Pipe pipe = make_pipe();
  // Each number wanted is one that another one has, and one moves to its own place.
  spec.fds = {{pipe.write.get(), 1}, {a.get(), b.get()}, {b.get(), a.get()}, {a.get(), 40}, {leaked.get(), 41}};
  SUBCASE("numbers swapped") {}
  SUBCASE("the same number") { spec.fds = {{pipe.write.get(), 1}, {a.get(), a.get()}, {b.get(), b.get()}}; }
  std::vector<std::string> expected = {"0 /dev/null", "2 /dev/null"};
  for (const auto& [source, target] : spec.fds) {
    expected.push_back(
        fmt::format("{} {}", target, std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", source)).string()));
  }
  Child child = Child::spawn(spec);
  { const Fd closed = std::move(pipe.write); }
  std::istringstream lines{read_to_end(pipe.read.get())};
  CHECK(child.wait(patience())->success());
  std::vector<std::string> seen;
  for (std::string line; std::getline(lines, line);) seen.push_back(line);
  std::sort(expected.begin(), expected.end());
  std::sort(seen.begin(), seen.end());
  CHECK(seen == expected);
  // The parent's own descriptors are what they were.
  CHECK((::fcntl(a.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(leaked.get(), F_GETFD) & FD_CLOEXEC) == 0);
}

TEST_CASE("the child starts with no signal blocked or ignored, and the parent's mask stays") {
  struct sigaction ignore {};
  struct sigaction before {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, &before);
  sigset_t blocked;
  sigset_t old_mask;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, &old_mask);
  SpawnSpec spec;
  spec.argv = {"/bin/grep", "-E", "^Sig(Blk|Ign):", "/proc/self/status"};
  CHECK(output_of(spec) == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, &old_mask, &after);
  CHECK(sigismember(&after, SIGUSR1) == 1);
  CHECK(sigismember(&after, SIGUSR2) == 0);
  ::sigaction(SIGPIPE, &before, nullptr);
}

TEST_CASE("a session of its own is made on request only") {
  SpawnSpec spec;
  spec.argv = {"/bin/sh", "-c", "cut -d' ' -f6 /proc/$$/stat; echo $$"};
  spec.new_session = true;
  std::istringstream own{output_of(spec)};
  pid_t session = 0;
  pid_t pid = 0;
  own >> session >> pid;
  CHECK(session == pid);
  spec.new_session = false;
  std::istringstream inherited{output_of(spec)};
  inherited >> session >> pid;
  CHECK(session == ::getsid(0));
}

TEST_CASE("many threads spawn at once and each gets its own child's answer") {
  std::atomic<int> right{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 25; ++i) {
        const int number = (25 * t + i) % 200;
        SpawnSpec spec = shell(fmt::format("exit {}", number));
        spec.die_with_parent = i % 2 == 0;
        if (Child::spawn(spec).wait(patience()) == ExitStatus{.code = number, .signal = 0}) ++right;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(right == 200);
}

TEST_CASE("waiting ends at the deadline and at a stop, and the child still runs") {
  Child child = Child::spawn(Helper::spec({"idle"}));
  CHECK(child.wait(Deadline::after(0ms)) == std::nullopt);
  CHECK(child.wait(Deadline::after(20ms)) == std::nullopt);
  std::stop_source source;
  std::thread stopper{[&] { source.request_stop(); }};
  CHECK(child.wait(patience(), source.get_token()) == std::nullopt);
  stopper.join();
  CHECK(is_alive(child.id()));
  child.signal(SIGTERM);
  CHECK(child.wait(patience()) == ExitStatus{.code = std::nullopt, .signal = SIGTERM});
  CHECK(child.wait(Deadline::after(0ms)) == ExitStatus{.code = std::nullopt, .signal = SIGTERM});
  CHECK(child.kill() == ExitStatus{.code = std::nullopt, .signal = SIGTERM});
}

TEST_CASE("a child that was stopped executes nothing more, and can be killed") {
  Child child = Child::spawn(shell("while :; do :; done"));
  REQUIRE(child.stop());
  const auto line = parse_stat_line(read_file(fmt::format("/proc/{}/stat", child.id().pid)));
  REQUIRE(line);
  CHECK(line->state == 'T');
  CHECK(child.kill().signal == SIGKILL);
  Child gone = Child::spawn(shell("exit 3"));
  REQUIRE(wait_fd(gone.pidfd(), POLLIN, patience()) == WaitResult::Ready);
  CHECK(gone.stop());
  CHECK(gone.wait(patience())->code == 3);
}

TEST_CASE("destroying a child kills and reaps it") {
  std::optional<Child> child = Child::spawn(Helper::spec({"idle"}));
  const ProcessId id = child->id();
  CHECK(is_alive(id));
  child.reset();
  CHECK(::access(fmt::format("/proc/{}", id.pid).c_str(), F_OK) != 0);
}

TEST_CASE("a moved-to child owns the process, and the one it replaces is killed") {
  Child first = Child::spawn(Helper::spec({"idle"}));
  Child second = Child::spawn(Helper::spec({"idle"}));
  const ProcessId replaced = second.id();
  const ProcessId kept = first.id();
  second = std::move(first);
  CHECK_FALSE(is_alive(replaced));
  CHECK(is_alive(kept));
  CHECK(second.id() == kept);
  CHECK(second.kill().signal == SIGKILL);
}

TEST_CASE("a detached child runs on") {
  std::optional<ProcessId> id;
  {
    SpawnSpec spec = Helper::spec({"idle"});
    spec.die_with_parent = false;
    Child child = Child::spawn(spec);
    id = child.detach();
  }
  CHECK(is_alive(*id));
  const auto pidfd = open_pidfd(*id);
  REQUIRE(pidfd);
  CHECK(send_signal(*id, SIGKILL));
  CHECK(ends(*pidfd));
  ::waitpid(id->pid, nullptr, 0);
}

TEST_CASE("a process that was killed is ending, and one that runs is not") {
  Child child = Child::spawn(Helper::spec({"idle"}));
  CHECK_FALSE(is_ending(child.id()));
  CHECK(send_signal(child.id(), SIGKILL));
  CHECK(is_ending(child.id()));
  child.kill();
  CHECK(is_ending(child.id()));
}

TEST_CASE("a child whose status the host program took is still seen to end") {
  Child child = Child::spawn(shell("exit 4"));
  const pid_t pid = child.id().pid;
  REQUIRE(::waitpid(pid, nullptr, 0) == pid);
  const auto status = child.wait(patience());
  REQUIRE(status);
  CHECK_FALSE(status->success());
  CHECK(status->describe() == "ended, its status unknown");
}

TEST_CASE("a child dies with its parent, however the parent ends and whichever thread spawned it") {
  std::string place;
  SUBCASE("spawned on the main thread") { place = "main-thread"; }
  SUBCASE("spawned on a thread that has ended") { place = "ended-thread"; }
  Helper parent = Helper::start({"parent", place});
  const auto grandchild = open_pidfd(read_id(parent.output.get()));
  REQUIRE(grandchild);
  CHECK(parent.child.kill().signal == SIGKILL);
  CHECK(ends(*grandchild));
}

TEST_CASE("a child outlives the thread that spawned it") {
  Helper parent = Helper::start({"parent", "ended-thread"});
  const ProcessId id = read_id(parent.output.get());
  const auto grandchild = open_pidfd(id);
  REQUIRE(grandchild);
  CHECK(wait_fd(grandchild->get(), POLLIN, Deadline::after(100ms)) == WaitResult::Timeout);
  CHECK(is_alive(id));
  CHECK(parent.end().success());
  CHECK(ends(*grandchild));
}

TEST_CASE("without the lasting thread a child would die with the thread that spawned it") {
  // Shows that the two tests above can fail: the kernel does tie the signal to the thread.
  Helper parent = Helper::start({"parent", "ended-thread-directly"});
  const ProcessId id = read_id(parent.output.get());
  const auto grandchild = open_pidfd(id);
  CHECK((!grandchild || ends(*grandchild)));
  CHECK(parent.end().success());
}

TEST_CASE("children can be spawned after the host program forked") {
  Helper helper = Helper::start({"fork-between-spawns"});
  CHECK(helper.end() == ExitStatus{.code = 0, .signal = 0});
}
