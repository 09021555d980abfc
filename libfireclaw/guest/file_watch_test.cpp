#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <fstream>

#include "fireclaw/error.hpp"
#include "guest/testing/guestd_process.hpp"
#include "sys/file.hpp"

namespace fireclaw::guest {
namespace {

using namespace std::chrono_literals;
using testing::GuestdProcess;
using testing::soon;

ErrorCode code_of(FileWatch& watch, std::chrono::milliseconds limit) {
  try {
    watch.wait(Deadline::after(limit));
  } catch (const Error& problem) {
    return problem.code();
  }
  return ErrorCode::Internal;
}

TEST_CASE("a file's first change is noticed, be it made, written or replaced, and nothing else") {
  const sys::TempDir folder{"/tmp", "fireclaw-watch-"};
  const auto file = folder.path() / "status";
  GuestdProcess guestd;
  auto session = guestd.open();

  auto made = session.watch_file(file, soon());
  std::ofstream{folder.path() / "other"} << "x";
  CHECK(code_of(made, 50ms) == ErrorCode::Timeout);
  std::ofstream{file} << "1";
  made.wait(soon());

  auto written = session.watch_file(file, soon());
  std::ofstream{file} << "2";
  written.wait(soon());
  // Waiting again is over at once: it has changed.
  written.wait(soon());

  auto replaced = session.watch_file(file, soon());
  sys::write_file_atomic(file, "3");
  replaced.wait(soon());

  auto untouched = session.watch_file(file, soon());
  CHECK(sys::read_file(file) == "3");
  CHECK(code_of(untouched, 50ms) == ErrorCode::Timeout);
}

TEST_CASE("several watches and commands continue side by side") {
  const sys::TempDir folder{"/tmp", "fireclaw-watch-"};
  GuestdProcess guestd;
  auto session = guestd.open();
  auto one = session.watch_file(folder.path() / "one", soon());
  auto two = session.watch_file(folder.path() / "two", soon());
  CHECK(session.exec(testing::sh("echo hi > " + (folder.path() / "two").native())).exit_code == 0);
  two.wait(soon());
  CHECK(code_of(one, 20ms) == ErrorCode::Timeout);
}

TEST_CASE("a folder that is not there, or goes away, is told") {
  const sys::TempDir folder{"/tmp", "fireclaw-watch-"};
  GuestdProcess guestd;
  auto session = guestd.open();
  for (const auto& path : {folder.path() / "none/status", std::filesystem::path{"relative"}, folder.path() / "x/"}) {
    CHECK_THROWS_AS(static_cast<void>(session.watch_file(path, soon())), Error);
  }
  const auto inner = folder.path() / "inner";
  std::filesystem::create_directory(inner);
  auto watch = session.watch_file(inner / "status", soon());
  std::filesystem::remove(inner);
  watch.wait(soon());
}

TEST_CASE("a wait ends when it is stopped, and when the guest is gone") {
  const sys::TempDir folder{"/tmp", "fireclaw-watch-"};
  GuestdProcess guestd;
  auto session = guestd.open();
  auto watch = session.watch_file(folder.path() / "x", soon());
  std::stop_source source;
  source.request_stop();
  try {
    watch.wait(soon(), source.get_token());
    FAIL("went on");
  } catch (const Error& problem) {
    CHECK(problem.code() == ErrorCode::Cancelled);
  }
  guestd.child().kill();
  CHECK(code_of(watch, 20s) == ErrorCode::Guest);
}

}  // namespace
}  // namespace fireclaw::guest
