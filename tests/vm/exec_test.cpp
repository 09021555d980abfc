#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fstream>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include "support.hpp"
#include "support/peak_memory.hpp"

using namespace fireclaw;
using test::shell;

namespace {

/// One machine for all cases here: what they do in it does not get in each other's way.
VM& vm() {
  static VM machine = test::fresh_vm();
  return machine;
}

ExecResult run(std::string line) { return vm().exec(ExecOptions::shell(std::move(line))); }

}  // namespace

TEST_CASE("a command's output, errors and status come back") {
  const auto result = run("echo out; echo err >&2; exit 3");
  CHECK(result.exit_code == 3);
  CHECK(result.signal == 0);
  CHECK(result.out == "out\n");
  CHECK(result.err == "err\n");
  CHECK(result.duration.count() > 0);
}

TEST_CASE("an argument vector reaches the program as it is") {
  ExecOptions options;
  options.argv = {"printf", "%s|", "a b", "", "c\"d", "*", "ü"};
  CHECK(vm().exec(options).out == "a b||c\"d|*|ü|");
}

TEST_CASE("statuses are those of a shell") {
  CHECK(run("kill -9 $$").exit_code == 137);
  CHECK(run("kill -9 $$").signal == 9);
  ExecOptions options;
  options.argv = {"no-such-program"};
  CHECK(vm().exec(options).exit_code == 127);
  options.argv = {"/etc/passwd"};
  CHECK(vm().exec(options).exit_code == 126);
}

TEST_CASE("stdin is passed on, from a text and from a descriptor") {
  auto options = ExecOptions::shell("tr a-z A-Z");
  options.input = "hello";
  CHECK(vm().exec(options).out == "HELLO");

  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  auto from_pipe = ExecOptions::shell("wc -c");
  from_pipe.input_fd = ends[0];
  std::jthread writer{[&] {
    const std::string block(100'000, 'x');
    for (int i = 0; i < 10; ++i) {
      for (std::size_t done = 0; done < block.size();) {
        const auto count = ::write(ends[1], block.data() + done, block.size() - done);
        if (count <= 0) return;
        done += static_cast<std::size_t>(count);
      }
    }
    ::close(ends[1]);
  }};
  const auto result = vm().exec(from_pipe);
  writer.join();
  ::close(ends[0]);
  CHECK(result.out == "1000000\n");
}

TEST_CASE("without input a command reads an empty stdin") { CHECK(run("cat; echo end").out == "end\n"); }

TEST_CASE("an ordinary user has a folder for sockets and, where the kernel has cgroups, one to divide") {
  const std::string cgroup = "cat /proc/self/cgroup 2>/dev/null || true";
  auto options = ExecOptions::shell("stat -c %u:%a $XDG_RUNTIME_DIR; " + cgroup);
  options.user = "1234:567";
  const bool cgroups = vm().exec(ExecOptions::shell("test -e /sys/fs/cgroup/cgroup.procs")).exit_code == 0;
  CHECK(vm().exec(options).out == (cgroups ? "1234:700\n0::/user-1234/commands\n" : "1234:700\n"));
  CHECK(vm().exec(ExecOptions::shell("echo ${XDG_RUNTIME_DIR-none}; " + cgroup)).out ==
        (cgroups ? "none\n0::/\n" : "none\n"));
}

TEST_CASE("environment, working directory and user are what was asked for") {
  auto options = ExecOptions::shell("echo \"$GREETING\"; pwd; id -u; id -g");
  options.env = {{"GREETING", "good day"}};
  options.cwd = "/tmp";
  options.user = "nobody";
  const auto result = vm().exec(options);
  CHECK(result.out == "good day\n/tmp\n65534\n65534\n");
  options.user = "1234:567";
  CHECK(vm().exec(options).out == "good day\n/tmp\n1234\n567\n");
  options.user = "nobody-of-that-name";
  const auto error = test::error_of([&] { vm().exec(options); });
  CHECK(std::string{error.what()}.find("nobody-of-that-name") != std::string::npos);
  CHECK(run("echo $PATH $HOME").out.find("/bin") != std::string::npos);
}

TEST_CASE("a missing working directory is named, with a shell's status for what cannot be run") {
  auto options = ExecOptions::shell("true");
  options.cwd = "/does/not/exist";
  const auto result = vm().exec(options);
  CHECK(result.exit_code == 126);
  CHECK(result.err.find("/does/not/exist") != std::string::npos);
}

TEST_CASE("a command that takes too long is ended, and its children with it") {
  auto options = ExecOptions::shell("sleep 1000 & sleep 1001");
  options.timeout = std::chrono::milliseconds{500};
  const auto began = std::chrono::steady_clock::now();
  const auto result = vm().exec(options);
  CHECK(result.timed_out);
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds{10});
  CHECK(run("ps | grep 'sleep 100[01]' | grep -v grep").out.empty());
}

TEST_CASE("a stop request ends the command") {
  std::stop_source source;
  auto options = ExecOptions::shell("echo ready; exec sleep 1000");
  options.stop = source.get_token();
  options.on_stdout = [&](std::string_view) { source.request_stop(); };
  const auto result = vm().exec(options);
  CHECK(result.cancelled);
  CHECK(result.signal == SIGTERM);
}

TEST_CASE("output is delivered while the command still runs") {
  std::chrono::steady_clock::time_point first{};
  auto options = ExecOptions::shell("echo one; sleep 1; echo two");
  options.on_stdout = [&](std::string_view text) {
    if (text.find("one") != std::string_view::npos) first = std::chrono::steady_clock::now();
  };
  vm().exec(options);
  CHECK(std::chrono::steady_clock::now() - first > std::chrono::milliseconds{700});
}

TEST_CASE("a callback's exception ends the command and reaches the caller") {
  auto options = ExecOptions::shell("echo x; exec sleep 1002");
  options.on_stdout = [](std::string_view) { throw std::runtime_error{"enough"}; };
  CHECK_THROWS_AS(vm().exec(options), std::runtime_error);
  CHECK(run("ps | grep 'sleep 1002' | grep -v grep").out.empty());
}

TEST_CASE("much output through a slow reader takes bounded memory and arrives whole") {
  constexpr std::size_t bytes = std::size_t{64} << 20;
  const auto before = test::peak_memory_kib(::getpid());
  std::size_t seen = 0;
  int pauses = 0;
  auto options = ExecOptions::shell("dd if=/dev/zero bs=65536 count=1024 2>/dev/null");
  options.on_stdout = [&](std::string_view piece) {
    seen += piece.size();
    if (seen > bytes / 2 && pauses++ < 3) std::this_thread::sleep_for(std::chrono::milliseconds{200});
  };
  CHECK(vm().exec(options).exit_code == 0);
  CHECK(seen == bytes);
  CHECK(test::peak_memory_kib(::getpid()) - before < 16 * 1024 + test::sanitizer_kib);
}

TEST_CASE("collected output is cut at the limit and says so") {
  auto options = ExecOptions::shell("yes | head -c 100000");
  options.max_output_bytes = 1000;
  const auto result = vm().exec(options);
  CHECK(result.out.size() == 1000);
  CHECK(result.truncated);
}

TEST_CASE("a command that closes its outputs is still waited for") {
  CHECK(run("exec >&- 2>&-; sleep 1; exit 5").exit_code == 5);
}

TEST_CASE("children left behind do not hold up the result") {
  const auto began = std::chrono::steady_clock::now();
  const auto result = run("sleep 1003 & echo started");
  CHECK(result.out == "started\n");
  CHECK(std::chrono::steady_clock::now() - began < std::chrono::seconds{20});
}

TEST_CASE("a terminal is a terminal, with the size that was asked for") {
  auto options = ExecOptions::shell("test -t 0 && test -t 1 && stty size; echo err >&2");
  options.tty = true;
  options.window_size = {33, 101};
  const auto result = vm().exec(options);
  CHECK(result.out == "33 101\r\nerr\r\n");
  CHECK(result.err.empty());
}

TEST_CASE("a terminal's new size reaches the command") {
  auto options = ExecOptions::shell("trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.1; done");
  options.tty = true;
  std::string seen;
  std::atomic<bool> ready{false};
  options.on_stdout = [&](std::string_view text) {
    seen += text;
    if (seen.find("ready") != std::string::npos && !ready.exchange(true)) ready.notify_one();
  };
  options.timeout = std::chrono::seconds{30};
  auto process = vm().spawn(options);
  std::jthread resizer{[&] {
    ready.wait(false);
    process.resize({40, 120});
  }};
  const auto result = process.wait();
  resizer.join();
  CHECK(result.exit_code == 0);
  CHECK(seen.find("40 120") != std::string::npos);
}

TEST_CASE("a signal reaches the command") {
  auto options = ExecOptions::shell("trap 'echo got it; exit 7' USR1; echo ready; while :; do sleep 0.1; done");
  std::atomic<bool> ready{false};
  std::string seen;
  options.timeout = std::chrono::seconds{30};
  options.on_stdout = [&](std::string_view text) {
    seen += text;
    if (!ready.exchange(true)) ready.notify_one();
  };
  auto process = vm().spawn(options);
  std::jthread sender{[&] {
    ready.wait(false);
    process.send_signal(SIGUSR1);
  }};
  const auto result = process.wait();
  sender.join();
  CHECK(result.exit_code == 7);
  CHECK(seen.find("got it") != std::string::npos);
}

TEST_CASE("sixteen threads run commands in one machine at once") {
  std::vector<std::future<std::string>> results;
  for (int i = 0; i < 16; ++i) {
    results.push_back(std::async(std::launch::async, [i] { return run("echo " + std::to_string(i)).out; }));
  }
  for (int i = 0; i < 16; ++i) CHECK(results[static_cast<std::size_t>(i)].get() == std::to_string(i) + "\n");
}

TEST_CASE("an empty command is refused") {
  CHECK(test::error_of([] { vm().exec(ExecOptions{}); }).code() == ErrorCode::InvalidArgument);
}
