#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>

#include <sstream>
#include <thread>

#include "sys/confined_tool.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/stat_line.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;

namespace {

std::vector<std::string> shell(const std::string& line) { return {"/bin/sh", "-c", line}; }

ToolOptions options() {
  ToolOptions options;
  options.env = {"PATH=/usr/bin:/bin"};
  options.deadline = patience();
  return options;
}

}  // namespace

TEST_CASE("a tool's two outputs and its status are collected apart") {
  const ToolResult result = run_tool(shell("echo out; echo err >&2; exit 3"), options());
  CHECK(result.out == "out\n");
  CHECK(result.err == "err\n");
  CHECK(result.status == ExitStatus{.code = 3, .signal = 0});
}

TEST_CASE("much output on both streams at once does not jam") {
  const ToolResult result =
      run_tool(shell("head -c 3000000 /dev/zero & head -c 2000000 /dev/zero >&2; wait"), options());
  CHECK(result.out.size() == 3'000'000);
  CHECK(result.err.size() == 2'000'000);
}

TEST_CASE("output beyond the limit is dropped and the tool still ends") {
  const ToolResult result = run_tool(shell("head -c 20000000 /dev/zero; echo end >&2"), options());
  CHECK(result.out.size() == std::size_t{16} << 20);
  CHECK(result.err == "end\n");
  CHECK(result.status.success());
}

TEST_CASE("a tool that has ended in time is not late because its output was read late") {
  Pipe input = make_pipe();
  ToolOptions late = options();
  late.input_fd = input.read.get();
  late.on_line = [&](std::string_view pid) {
    // It ends once its line is read, and then the time is over.
    { const Fd closed = std::move(input.write); }
    const auto process = identify_even_ended(std::stoi(std::string{pid}));
    const auto ended = process ? open_pidfd_even_ended(*process) : std::nullopt;
    if (ended) require_fd(ended->get(), POLLIN, patience(), "the tool");
    late.deadline = Deadline::after(0ns);
  };
  const ToolResult result = run_tool(shell("echo $$; exec cat"), late);
  CHECK(result.status.success());
}

TEST_CASE("input and output can be descriptors, and without them input is empty") {
  CHECK(run_tool({"/bin/cat"}, options()).out.empty());
  const TempDir folder = temp_dir();
  write_file_atomic(folder.path() / "in", "hello");
  const Fd in = open_file(folder.path() / "in", O_RDONLY);
  const Fd out = open_file(folder.path() / "out", O_WRONLY | O_CREAT);
  ToolOptions with_files = options();
  with_files.input_fd = in.get();
  with_files.output_fd = out.get();
  CHECK(run_tool({"/bin/cat"}, with_files).out.empty());
  CHECK(read_file(folder.path() / "out") == "hello");
}

TEST_CASE("lines are passed on as they appear, the last one without its newline too") {
  // The tool continues only after its first line has been seen.
  const TempDir folder = temp_dir();
  const std::filesystem::path seen = folder.path() / "seen";
  std::vector<std::string> lines;
  ToolOptions with_lines = options();
  with_lines.on_line = [&](std::string_view line) {
    lines.emplace_back(line);
    if (line == "one") write_file_atomic(seen, "");
  };
  const ToolResult result = run_tool(
      shell(fmt::format("echo one; while [ ! -e '{}' ]; do :; done; printf 'two\\r\\n\\nfour'", seen.string())),
      with_lines);
  CHECK(result.status.success());
  CHECK(lines == std::vector<std::string>{"one", "two", "", "four"});
  CHECK(result.out == "one\ntwo\r\n\nfour");
}

TEST_CASE("a line without end is passed on in pieces") {
  std::size_t pieces = 0;
  std::size_t bytes = 0;
  ToolOptions with_lines = options();
  with_lines.on_line = [&](std::string_view line) {
    ++pieces;
    bytes += line.size();
  };
  run_tool(shell("head -c 1000000 /dev/zero"), with_lines);
  CHECK(pieces > 5);
  CHECK(bytes == 1'000'000);
}

TEST_CASE("at the deadline the tool and what it started are killed") {
  ToolOptions brief = options();
  std::vector<ProcessId> ids;
  brief.on_line = [&](std::string_view line) { ids.push_back(identify(std::stoi(std::string{line})).value()); };
  brief.deadline = Deadline::after(1s);
  const auto [code, text] = error_of([&] { run_tool(shell("sleep 1000 & echo $!; echo $$; wait"), brief); });
  CHECK(code == ErrorCode::Timeout);
  CHECK(text == "sh timed out");
  REQUIRE(ids.size() == 2);
  for (const ProcessId& id : ids) {
    if (const auto pidfd = open_pidfd(id)) CHECK(wait_fd(pidfd->get(), POLLIN, patience()) == WaitResult::Ready);
  }
}

TEST_CASE("a deadline holds against a tool that never stops talking") {
  ToolOptions brief = options();
  brief.deadline = Deadline::after(100ms);
  CHECK(error_of([&] { run_tool(shell("while :; do echo talk; done"), brief); }).first == ErrorCode::Timeout);
}

TEST_CASE("a stop ends the tool") {
  std::stop_source source;
  ToolOptions stoppable = options();
  stoppable.stop = source.get_token();
  stoppable.on_line = [&](std::string_view) { source.request_stop(); };
  const auto [code, text] = error_of([&] { run_tool(shell("echo x; sleep 1000"), stoppable); });
  CHECK(code == ErrorCode::Cancelled);
  CHECK(text == "sh cancelled");
}

TEST_CASE("an exception from the line callback ends the tool and leaves") {
  ToolOptions throwing = options();
  std::optional<ProcessId> id;
  throwing.on_line = [&](std::string_view line) {
    id = identify(std::stoi(std::string{line}));
    throw std::runtime_error{"enough"};
  };
  CHECK_THROWS_WITH_AS(run_tool(shell("echo $$; exec sleep 1000"), throwing), "enough", std::runtime_error);
  REQUIRE(id);
  CHECK_FALSE(is_alive(*id));
}

TEST_CASE("a daemon that keeps the pipes open does not keep run_tool") {
  ToolOptions with_lines = options();
  const ToolResult result = run_tool(shell("sleep 1000 & echo $!"), with_lines);
  CHECK(result.status.success());
  const auto daemon = identify(std::stoi(result.out));
  REQUIRE(daemon);
  CHECK(send_signal(*daemon, SIGKILL));
}

TEST_CASE("a confined tool has the limits that it was given, and gains no privileges") {
  Sandbox plan;
  plan.limits.file_bytes = 4096;
  // The limits come a moment after its start.
  const char* script =
      "while [ \"$(ulimit -v)\" = unlimited ] || [ \"$(ulimit -t)\" = unlimited ]; do :; done;"
      "ulimit -v; ulimit -t; ulimit -f; grep NoNewPrivs /proc/self/status";
  ToolOptions options;
  options.env = {"PATH=/usr/bin:/bin"};
  options.deadline = Deadline::after(std::chrono::seconds{30});
  const auto result = run_confined_tool({"/bin/sh", "-c", script}, options, plan, {std::uint64_t{256} << 20, 20});
  CHECK(result.out == "262144\n20\n8\nNoNewPrivs:\t1\n");
}

TEST_CASE("a failed tool is quoted with the end of what it said") {
  CHECK(check_tool(shell("echo fine; echo warning >&2"), options()).out == "fine\n");
  CHECK(error_of([] { check_tool(shell("echo no disk >&2; echo giving up >&2; exit 2"), options()); }) ==
        std::pair{ErrorCode::Io, std::string{"sh exited with status 2: no disk; giving up"}});
  CHECK(error_of([] { check_tool(shell("exit 2"), options()); }).second == "sh exited with status 2");
  const std::string text =
      error_of([] { check_tool(shell("for i in $(seq 2000); do echo line $i >&2; done; exit 1"), options()); }).second;
  CHECK(text.size() < 3000);
  CHECK(text.starts_with("sh exited with status 1: line 1"));
  CHECK(text.ends_with("; line 2000"));
  CHECK(error_of([] { check_tool({"/nonexistent/tool"}, options()); }).first == ErrorCode::NotFound);
}
