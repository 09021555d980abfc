#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "guest/testing/guestd_process.hpp"
#include "guest/wire/wire.hpp"
#include "support/peak_memory.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"

namespace fireclaw::guest {
namespace {

using namespace std::chrono_literals;
using test::peak_memory_kib;
using testing::GuestdProcess;
using testing::sh;
using testing::soon;

constexpr long memory_bound_kib = 8 * 1024 + test::sanitizer_kib;

bool process_exists(const std::string& pid) { return ::access(("/proc/" + pid).c_str(), F_OK) == 0; }

/// Waits until the process has ended.
void await_end(const std::string& pid) {
  const std::optional<sys::ProcessId> id = sys::identify(std::stoi(pid));
  if (!id) return;
  if (const std::optional<sys::Fd> pidfd = sys::open_pidfd(*id))
    sys::require_fd(pidfd->get(), POLLIN, soon(), "waiting for a process to end");
}

/// Waits until the command's output says that it has come this far.
struct Until {
  std::string seen;
  std::string wanted;
  std::stop_source reached;
  void operator()(std::string_view bytes) {
    seen += bytes;
    if (seen.find(wanted) != std::string::npos) reached.request_stop();
  }
};

TEST_CASE("guestd says what it has done for a session, of several commands for the first") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const auto names = [&] {
    std::vector<std::string> list;
    for (const auto& [name, duration] : session.steps(soon())) {
      CHECK(duration >= 0ns);
      list.push_back(name);
    }
    return list;
  };
  CHECK(names() == std::vector<std::string>{"greeting"});
  session.exec(sh("echo"));
  session.exec(sh("echo"));
  const auto steps = names();
  REQUIRE(steps.size() == 5);
  CHECK(steps[1] == "start");
  CHECK(steps.back() == "report");
  CHECK(std::ranges::count(steps, "first output") == 1);
  CHECK(std::ranges::count(steps, "end") == 1);
}

TEST_CASE("a command's outputs, kept apart, and its exit status come back") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const ExecResult result = session.exec(sh("echo out; echo err >&2; exit 3"));
  CHECK(result.out == "out\n");
  CHECK(result.err == "err\n");
  CHECK(result.exit_code == 3);
  CHECK(result.signal == 0);
  CHECK_FALSE(result.timed_out);
  CHECK(result.duration > 0ns);
}

TEST_CASE("without descriptors a command is refused with the reason, and one that starts is whole") {
  GuestdProcess guestd;
  Session session = guestd.open();
  CHECK(session.exec(sh("echo well")).out == "well\n");
  const auto pid = guestd.child().id().pid;
  rlimit before{};
  REQUIRE(::prlimit(pid, RLIMIT_NOFILE, nullptr, &before) == 0);
  for (const auto& line : {std::string{"echo well"}, "echo well #" + std::string(200'000, 'x')}) {
    CAPTURE(line.size());
    std::string refusal;
    std::string first;
    // Those that are open have gaps between their numbers.
    for (rlim_t most = 0; most < 40; ++most) {
      const rlimit few{most, before.rlim_max};
      REQUIRE(::prlimit(pid, RLIMIT_NOFILE, &few, nullptr) == 0);
      refusal.clear();
      try {
        const auto result = session.exec(sh(line));
        CHECK(result.out == "well\n");
        CHECK(result.exit_code == 0);
      } catch (const Error& error) {
        refusal = error.what();
        CAPTURE(refusal);
        CHECK(refusal.ends_with(": too many open files"));
      }
      if (most == 0) first = refusal;
    }
    CHECK(refusal.empty());
    CHECK(first.find(line.size() > 1000 ? "cannot keep the shell line" : "cannot open pipes") != std::string::npos);
  }
}

TEST_CASE("a shell line may be longer than an argument can be, with its name, arguments and input as they were") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const std::string much(300'000, 'x');
  ExecOptions options = sh("cat; a=" + much + "; echo $0 $1 ${#a}; ls /proc/self/fd | tr '\\n' ' '");
  options.argv.insert(options.argv.end(), {"named", "first"});
  options.input = "input ";
  ExecResult result = session.exec(options);
  CHECK(result.out == "input named first 300000\n0 1 2 3 ");
  CHECK(result.exit_code == 0);
  CHECK(session.exec(sh("exit 7 # " + much)).exit_code == 7);
  // Another program's argument stays as it is, and too long.
  options.argv = {"printf", "-c", much};
  CHECK(session.exec(options).exit_code == 126);
}

TEST_CASE("guestd introduces itself") {
  GuestdProcess guestd;
  const Session session = guestd.open();
  CHECK(session.info().protocol == wire::protocol_version);
  CHECK_FALSE(session.info().guestd_version.empty());
  CHECK_FALSE(session.info().kernel_release.empty());
  CHECK(session.info().uptime_ms > 0);
}

TEST_CASE("every exit status is passed on exactly") {
  GuestdProcess guestd;
  Session session = guestd.open();
  for (const int status : {0, 1, 2, 77, 125, 126, 127, 128, 200, 255})
    CHECK(session.exec(sh("exit " + std::to_string(status))).exit_code == status);
}

TEST_CASE("a command ended by a signal gives the signal, and 128 more as its exit code") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const ExecResult result = session.exec(sh("kill -SEGV $$"));
  CHECK(result.signal == SIGSEGV);
  CHECK(result.exit_code == 128 + SIGSEGV);
}

TEST_CASE("a program that is not there gives 127, one that cannot be run 126, as in a shell") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options;
  options.argv = {"no-such-program"};
  ExecResult result = session.exec(options);
  CHECK(result.exit_code == 127);
  CHECK(result.err == "fireclaw: 'no-such-program': command not found\n");
  options.argv = {"/no/such/program"};
  CHECK(session.exec(options).exit_code == 127);
  options.argv = {"/etc/passwd"};
  result = session.exec(options);
  CHECK(result.exit_code == 126);
  CHECK(result.err == "fireclaw: cannot run '/etc/passwd': permission denied\n");
  options.argv = {"/etc"};
  CHECK(session.exec(options).exit_code == 126);
  options.argv = {""};
  CHECK(session.exec(options).exit_code == 127);
}

TEST_CASE("a program is searched in the PATH of the command's own environment") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  sys::write_file_atomic(folder.path() / "greet", "#!/bin/sh\necho hello $1\n", 0755);
  ExecOptions options;
  options.argv = {"greet", "you"};
  options.env = {{"PATH", "/no/such/folder:" + folder.path().string()}};
  CHECK(session.exec(options).out == "hello you\n");
  sys::write_file_atomic(folder.path() / "broken", "#!/no/such/interpreter\n", 0755);
  options.argv = {(folder.path() / "broken").string()};
  const ExecResult result = session.exec(options);
  CHECK(result.exit_code == 127);
  CHECK(result.err.find("interpreter is missing") != std::string::npos);
}

TEST_CASE("the environment is the basic one with the caller's additions, and nothing of guestd's own") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options;
  options.argv = {"/usr/bin/env"};
  options.env = {{"A", "1 = one"}, {"LANG", "C"}, {"EMPTY", ""}};
  std::string out = session.exec(options).out;
  for (const std::string_view line :
       {"A=1 = one\n", "LANG=C\n", "EMPTY=\n", "HOME=/root\n", "USER=root\n", "LOGNAME=root\n",
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"})
    CHECK_MESSAGE(out.find(line) != std::string::npos, out);
  CHECK(std::count(out.begin(), out.end(), '\n') == 7);
}

TEST_CASE("the working directory is the one asked for, else the home, and a missing one is said to be missing") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options;
  options.argv = {"pwd"};
  CHECK(session.exec(options).out == "/root\n");
  options.cwd = "/usr";
  CHECK(session.exec(options).out == "/usr\n");
  options.cwd = "/no/such/folder";
  const ExecResult result = session.exec(options);
  CHECK(result.exit_code == 126);
  CHECK(result.err.find("cannot enter the working directory '/no/such/folder'") != std::string::npos);
}

TEST_CASE("a command runs as the user asked for, with its groups and home") {
  if (::geteuid() != 0) return;
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options = sh("id -u; id -g; id -G; echo $HOME $USER; touch /root/x 2>&1 | grep -ci denied");
  options.user = "nobody";
  CHECK(session.exec(options).out == "65534\n65534\n65534\n/nonexistent nobody\n1\n");
  options = sh("id -u; id -g");
  options.user = "1234:5678";
  CHECK(session.exec(options).out == "1234\n5678\n");
  options.user = "no-such-user";
  CHECK_THROWS_WITH_AS(session.exec(options), "there is no user 'no-such-user' in the guest's /etc/passwd", Error);
}

TEST_CASE("the command starts with default signals, no extra descriptors and a group of its own") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const ExecResult result = session.exec(
      sh("grep -E '^Sig(Blk|Ign|Cgt)' /proc/self/status; ls /proc/self/fd | wc -l; test $(ps -o pgid= $$) = $$ && echo "
         "leader"));
  CHECK(result.out.find("SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000") != std::string::npos);
  // 0, 1, 2 and the one ls itself opened.
  CHECK_MESSAGE(result.out.find("\n4\nleader\n") != std::string::npos, result.out);
}

TEST_CASE("input reaches the command byte for byte") {
  GuestdProcess guestd;
  Session session = guestd.open();
  std::string all_bytes;
  for (int round = 0; round < 5000; ++round)
    for (int byte = 0; byte < 256; ++byte) all_bytes.push_back(static_cast<char>(byte));
  ExecOptions options;
  options.argv = {"cat"};
  options.input = all_bytes;
  const ExecResult result = session.exec(options);
  CHECK(result.exit_code == 0);
  CHECK(result.out == all_bytes);
}

TEST_CASE("input is read from a descriptor as it comes, until its end") {
  GuestdProcess guestd;
  Session session = guestd.open();
  sys::Pipe pipe = sys::make_pipe();
  ExecOptions options;
  options.argv = {"cat"};
  options.input_fd = pipe.read.get();
  std::string seen;
  std::optional<sys::Fd> writer{std::move(pipe.write)};
  // Each answer triggers the next line, the third one the end: nothing is held back on the way.
  options.on_stdout = [&](std::string_view bytes) {
    seen += bytes;
    if (seen == "1\n") sys::write_all(writer->get(), std::string_view{"2\n"});
    if (seen == "1\n2\n") writer.reset();
  };
  sys::write_all(writer->get(), std::string_view{"1\n"});
  CHECK(session.exec(options).exit_code == 0);
  CHECK(seen == "1\n2\n");
}

TEST_CASE("without input stdin is empty") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options;
  options.argv = {"cat"};
  CHECK(session.exec(options).exit_code == 0);
}

TEST_CASE("the end of a terminal's input ends what reads it, in a line or not, with an editor of lines or without") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const auto shown = [&](std::vector<std::string> command, const std::string& input) {
    ExecOptions options;
    options.argv = std::move(command);
    options.env = {{"PS1", "$ "}, {"TERM", "dumb"}};
    options.tty = true;
    CAPTURE(input);
    options.input = input;
    options.timeout = 20s;
    const auto result = session.exec(options);
    CAPTURE(result.out);
    CHECK_FALSE(result.timed_out);
    return result.out;
  };
  CHECK(shown({"cat"}, "abc") == "abcabc");
  CHECK(shown({"wc", "-c"}, "a\nbc").find("4") != std::string::npos);
  CHECK(shown({"sh", "-c", "cat; cat"}, "abc") == "abcabc");
  // An editor takes the terminal's mode away while it starts, and a command within gives it back.
  const std::vector<std::string> editor = {"bash", "--norc", "--noprofile", "-i"};
  CHECK(shown(editor, "echo 1$((1 + 1))3").find("\n123\r\n") != std::string::npos);
  CHECK(shown(editor, "echo 1\necho 1$((1 + 1))3\n").find("\n123\r\n") != std::string::npos);
  CHECK(shown(editor, "cat; echo 1$((1 + 1))3").find("\n123\r\n") != std::string::npos);
}

TEST_CASE("a command that does not read its input is not held up, nor is the caller") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options;
  options.argv = {"true"};
  options.input.assign(4 << 20, 'x');
  CHECK(session.exec(options).exit_code == 0);
  options = sh("exec <&-; echo closed; sleep 0.2; echo end");
  options.input.assign(4 << 20, 'x');
  CHECK(session.exec(options).out == "closed\nend\n");
}

TEST_CASE("a timeout kills the whole process group and says so") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options = sh("trap '' TERM; sleep 1000 & echo $! $$; wait");
  options.timeout = 300ms;
  const ExecResult result = session.exec(options);
  CHECK(result.timed_out);
  CHECK(result.signal == SIGKILL);
  CHECK(result.duration >= 300ms);
  CHECK(result.duration < 10s);
  CHECK_NOTHROW(await_end(result.out.substr(0, result.out.find(' '))));
}

TEST_CASE("a stop ends the command with SIGTERM first") {
  GuestdProcess guestd;
  Session session = guestd.open();
  Until until{{}, "ready\n", {}};
  ExecOptions options = sh("trap 'echo bye; exit 7' TERM; echo ready; while :; do sleep 0.01; done");
  options.stop = until.reached.get_token();
  options.on_stdout = std::ref(until);
  const ExecResult result = session.exec(options);
  CHECK(result.cancelled);
  CHECK_FALSE(result.timed_out);
  CHECK(result.exit_code == 7);
  CHECK(until.seen == "ready\nbye\n");
}

TEST_CASE("a stop that is ignored is followed by SIGKILL") {
  GuestdProcess guestd;
  Session session = guestd.open();
  Until until{{}, "ready\n", {}};
  ExecOptions options = sh("trap '' TERM; echo ready; while :; do sleep 0.01; done");
  options.stop = until.reached.get_token();
  options.on_stdout = std::ref(until);
  const ExecResult result = session.exec(options);
  CHECK(result.cancelled);
  CHECK(result.signal == SIGKILL);
  CHECK(result.duration < 10s);
}

TEST_CASE("signals are sent to the command's group from other threads") {
  GuestdProcess guestd;
  Session session = guestd.open();
  Until until{{}, "ready\n", {}};
  ExecOptions options = sh("trap 'echo usr1; exit 4' USR1; echo ready; while :; do sleep 0.01; done");
  options.on_stdout = std::ref(until);
  Process process = session.start(options);
  const std::stop_callback when_ready{until.reached.get_token(), [&] { process.send_signal(SIGUSR1); }};
  CHECK(process.wait().exit_code == 4);
  CHECK(until.seen == "ready\nusr1\n");
  CHECK_THROWS_AS(process.send_signal(0), Error);
  CHECK_THROWS_AS(process.send_signal(65), Error);
}

TEST_CASE("a child left behind that holds the outputs does not hold up the end") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const ExecResult result = session.exec(sh("sleep 1000 & echo $!"));
  CHECK(result.exit_code == 0);
  CHECK(result.duration < 5s);
  // It is the guest's from now on, like any daemon.
  const std::string pid = result.out.substr(0, result.out.find('\n'));
  CHECK(process_exists(pid));
  ::kill(std::stoi(pid), SIGKILL);
}

TEST_CASE("a child left behind that writes for ever does not hold up the end") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options = sh("yes & echo $! >&2");
  std::size_t bytes = 0;
  options.on_stdout = [&](std::string_view piece) { bytes += piece.size(); };
  const ExecResult result = session.exec(options);
  CHECK(result.exit_code == 0);
  CHECK(result.duration < 10s);
  CHECK(bytes > 0);
  ::kill(std::stoi(result.err), SIGKILL);
}

TEST_CASE("what children write shortly after the command's end is still delivered") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const ExecResult result = session.exec(sh("(sleep 0.02; echo late) & echo early"));
  CHECK(result.out == "early\nlate\n");
}

TEST_CASE("what a command wrote before its end is delivered, however late the host fetches it") {
  GuestdProcess guestd;
  Session session = guestd.open();
  // More than the window takes, so that the rest waits in the command's pipe, which a child that stays keeps open.
  constexpr std::size_t total = wire::window_bytes + (std::size_t{40} << 10);
  Process unread = session.start(sh("sleep 1000 & echo $! >&2; head -c " + std::to_string(total) + " /dev/zero"));
  // Longer than guestd waits for what others write into that pipe.
  CHECK(session.exec(sh("sleep 1.2")).exit_code == 0);
  const ExecResult result = unread.wait();
  CHECK(result.out.size() == total);
  CHECK(result.exit_code == 0);
  ::kill(std::stoi(result.err), SIGKILL);
}

TEST_CASE("a command that closes its outputs early is waited for") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const ExecResult result = session.exec(sh("exec >&- 2>&-; sleep 0.3; exit 9"));
  CHECK(result.exit_code == 9);
  CHECK(result.duration >= 300ms);
}

TEST_CASE("output is cut at the limit, and the command continues") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options = sh("head -c 1000000 /dev/zero; exit 5");
  options.max_output_bytes = 1000;
  const ExecResult result = session.exec(options);
  CHECK(result.truncated);
  CHECK(result.out.size() == 1000);
  CHECK(result.exit_code == 5);
}

TEST_CASE("much output through a slow reader takes little memory on both sides, and none is lost") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const long host_before = peak_memory_kib(::getpid());
  constexpr std::size_t total = std::size_t{1} << 30;
  ExecOptions options;
  options.argv = {"head", "-c", std::to_string(total), "/dev/zero"};
  std::size_t bytes = 0;
  std::size_t largest = 0;
  options.on_stdout = [&](std::string_view piece) {
    bytes += piece.size();
    largest = std::max(largest, piece.size());
  };
  CHECK(session.exec(options).exit_code == 0);
  CHECK(bytes == total);
  CHECK(largest <= 256 << 10);
  CHECK(peak_memory_kib(guestd.child().id().pid) < 8 * 1024);
  CHECK(peak_memory_kib(::getpid()) - host_before < memory_bound_kib);
}

TEST_CASE("a reader that does not read holds up only its own command") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions flood;
  flood.argv = {"yes"};
  Process slow = session.start(flood);  // nobody waits for it: its window fills up
  for (int round = 0; round < 20; ++round) CHECK(session.exec(sh("echo quick")).out == "quick\n");
  session.ping(soon());
}

TEST_CASE("sixteen threads run commands on one session at once") {
  GuestdProcess guestd;
  Session session = guestd.open();
  std::vector<std::jthread> threads;
  std::array<int, 16> right{};
  for (std::size_t number = 0; number < right.size(); ++number) {
    threads.emplace_back([&, number] {
      for (int round = 0; round < 10; ++round) {
        ExecOptions options = sh("cat; echo " + std::to_string(number) + " >&2; exit " + std::to_string(number));
        options.input.assign(100000 + number, static_cast<char>('a' + number));
        const ExecResult result = session.exec(options);
        if (result.out == options.input && result.err == std::to_string(number) + "\n" &&
            result.exit_code == static_cast<int>(number))
          ++right[number];
      }
    });
  }
  threads.clear();
  for (const int count : right) CHECK(count == 10);
}

TEST_CASE("an exception from a callback ends the command and leaves exec()") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options = sh("echo $$; exec sleep 1000");
  std::string pid;
  options.on_stdout = [&](std::string_view bytes) {
    pid = bytes.substr(0, bytes.size() - 1);
    throw std::runtime_error{"enough"};
  };
  CHECK_THROWS_WITH_AS(session.exec(options), "enough", std::runtime_error);
  CHECK_NOTHROW(await_end(pid));
  CHECK(session.exec(sh("echo still here")).out == "still here\n");
}

TEST_CASE("a process that is dropped is ended") {
  GuestdProcess guestd;
  Session session = guestd.open();
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  const std::string fifo = folder.path() / "fifo";
  REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  std::optional<sys::Fd> reader;
  std::array<std::byte, 16> buffer{};
  {
    // The command holds the pipe open until it is killed: then, and only then, its reader sees the end.
    const Process dropped = session.start(sh("exec 3>'" + fifo + "'; echo up >&3; exec sleep 1000"));
    reader = sys::open_file(fifo, O_RDONLY);
    CHECK(sys::read_some(reader->get(), buffer) == 3);
  }
  sys::require_fd(reader->get(), POLLIN, soon(), "waiting for the command to end");
  CHECK(sys::read_some(reader->get(), buffer) == 0);
}

TEST_CASE("a very long command line and environment are passed on") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options;
  options.argv = {"/bin/sh", "-c", "echo ${#BIG} $#", "sh"};
  for (int i = 0; i < 5000; ++i) options.argv.push_back("argument-number-" + std::to_string(i));
  options.env = {{"BIG", std::string(100000, 'x')}};
  CHECK(session.exec(options).out == "100000 5000\n");
  options.env = {{"BIG", std::string(3 << 20, 'x')}};
  CHECK_THROWS_AS(session.exec(options), Error);
  options.argv = {"true"};
  options.env = {{"BIG", std::string(1 << 20, 'x')}};
  const ExecResult result = session.exec(options);
  CHECK(result.exit_code == 126);
  CHECK(result.err == "fireclaw: cannot run 'true': argument list too long\n");
}

TEST_CASE("requests that make no sense are refused before they are sent") {
  GuestdProcess guestd;
  Session session = guestd.open();
  ExecOptions options;
  CHECK_THROWS_AS(session.exec(options), Error);
  options = sh("true");
  options.input = "x";
  options.input_fd = 0;
  CHECK_THROWS_AS(session.exec(options), Error);
  options = sh(std::string{"a\0b", 3});
  CHECK_THROWS_AS(session.exec(options), Error);
  session.ping(soon());
}

}  // namespace
}  // namespace fireclaw::guest
