#include <doctest/doctest.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sstream>

#include "sys/process.hpp"
#include "sys/stat_line.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;

namespace {

const std::string tail = " 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 424242 19 20\n";

}  // namespace

TEST_CASE("the start time is field 22, whatever the program calls itself") {
  for (const char* name : {"sh", "two words", ") R 1 2 3", "((", "", "new\nline", "a) Z 9"}) {
    CAPTURE(name);
    const auto line = parse_stat_line("17 (" + std::string{name} + ") S" + tail);
    REQUIRE(line);
    CHECK(line->state == 'S');
    CHECK(line->start_time == 424242);
  }
}

TEST_CASE("what is not a stat line is refused") {
  for (const char* text : {"", "17", "17 (sh", "17 (sh)", "17 (sh) ", "17 (sh) S 1 2 3",
                           "17 (sh) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_stat_line(text));
  }
}

TEST_CASE("this process knows itself, under any name") {
  const ProcessId id = current_process();
  CHECK(id.pid == ::getpid());
  CHECK(id.start_time > 0);
  char before[16];
  ::prctl(PR_GET_NAME, before);
  ::prctl(PR_SET_NAME, "x) Z 1 (y");
  CHECK(current_process() == id);
  CHECK(is_alive(id));
  ::prctl(PR_SET_NAME, before);
}

TEST_CASE("numbers that are not a process identify nothing") {
  CHECK_FALSE(identify(0));
  CHECK_FALSE(identify(-1));
  CHECK_FALSE(identify(1 << 22));
  CHECK_FALSE(open_pidfd(ProcessId{0, 0}));
  CHECK_FALSE(send_signal(ProcessId{-1, 0}, SIGKILL));
  CHECK_FALSE(send_signal(ProcessId{1 << 22, 1}, SIGKILL));
}

TEST_CASE("a process that got a recorded pid later is not taken for the recorded one") {
  Child child = Child::spawn(Helper::spec({"idle"}));
  ProcessId earlier = child.id();
  --earlier.start_time;
  CHECK_FALSE(is_alive(earlier));
  CHECK_FALSE(open_pidfd(earlier));
  CHECK_FALSE(send_signal(earlier, SIGKILL));
  CHECK(child.wait(Deadline::after(20ms)) == std::nullopt);
  CHECK(send_signal(child.id(), SIGKILL));
  CHECK(child.wait(patience())->signal == SIGKILL);
  CHECK_FALSE(send_signal(child.id(), SIGKILL));
}

TEST_CASE("a process that has ended counts as gone before anybody has waited for it") {
  Child child = Child::spawn(Helper::spec({"idle"}));
  const ProcessId id = child.id();
  CHECK(identify(id.pid) == id);
  child.signal(SIGKILL);
  REQUIRE(wait_fd(child.pidfd(), POLLIN, patience()) == WaitResult::Ready);
  CHECK(identify_even_ended(id.pid) == id);
  CHECK_FALSE(identify(id.pid));
  CHECK_FALSE(is_alive(id));
  CHECK_FALSE(open_pidfd(id));
}

TEST_CASE("a pidfd tells the end of a process that is not a child") {
  Helper parent = Helper::start({"parent", "main-thread"});
  std::istringstream line{read_line(parent.output.get())};
  ProcessId id;
  line >> id.pid >> id.start_time;
  const auto pidfd = open_pidfd(id);
  REQUIRE(pidfd);
  CHECK(wait_fd(pidfd->get(), POLLIN, Deadline::after(0ms)) == WaitResult::Timeout);
  CHECK(parent.end().success());
  CHECK(wait_fd(pidfd->get(), POLLIN, patience()) == WaitResult::Ready);
}
