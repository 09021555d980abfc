#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "sys/file.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;
using namespace std::chrono_literals;
using Mode = FileLock::Mode;

TEST_CASE("an exclusive lock excludes others until it goes") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "lock";
  {
    const auto first = FileLock::try_acquire(path, Mode::Exclusive);
    REQUIRE(first);
    CHECK_FALSE(FileLock::try_acquire(path, Mode::Exclusive));
    CHECK_FALSE(FileLock::try_acquire(path, Mode::Shared));
  }
  CHECK(FileLock::try_acquire(path, Mode::Exclusive));
}

TEST_CASE("shared locks exclude exclusive ones only") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "lock";
  const auto first = FileLock::try_acquire(path, Mode::Shared);
  REQUIRE(first);
  CHECK(FileLock::try_acquire(path, Mode::Shared));
  CHECK_FALSE(FileLock::try_acquire(path, Mode::Exclusive));
}

TEST_CASE("waiting for a lock ends at the deadline, naming what was wanted") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "lock";
  const auto held = FileLock::try_acquire(path, Mode::Exclusive);
  const auto start = std::chrono::steady_clock::now();
  const auto [code, text] =
      error_of([&] { FileLock::acquire(path, Mode::Exclusive, Deadline::after(70ms), "open workspace 'w'"); });
  CHECK(code == ErrorCode::Timeout);
  CHECK(text == "open workspace 'w': another process holds '" + path.string() + "'");
  CHECK(std::chrono::steady_clock::now() - start >= 70ms);
  CHECK(error_of([&] { FileLock::acquire(path, Mode::Exclusive, Deadline::after(0ms), "x"); }).first ==
        ErrorCode::Timeout);
}

TEST_CASE("a lock is had as soon as its holder lets go, with a deadline and without") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "lock";
  for (const Deadline deadline : {patience(), Deadline::never()}) {
    std::optional<FileLock> held = FileLock::try_acquire(path, Mode::Exclusive);
    std::atomic<bool> released{false};
    std::thread waiter{[&] {
      const FileLock lock = FileLock::acquire(path, Mode::Exclusive, deadline, "test");
      CHECK(released);
    }};
    released = true;
    held.reset();
    waiter.join();
  }
}

TEST_CASE("the lock of a killed process is free") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "lock";
  Helper holder = Helper::start({"hold-lock", path});
  CHECK(read_line(holder.output.get()) == "held");
  CHECK_FALSE(FileLock::try_acquire(path, Mode::Exclusive));
  holder.child.kill();
  CHECK(FileLock::try_acquire(path, Mode::Exclusive));
}

TEST_CASE("a child does not inherit a lock") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "lock";
  std::optional<FileLock> held = FileLock::try_acquire(path, Mode::Exclusive);
  const Child child = Child::spawn(Helper::spec({"idle"}));
  held.reset();
  CHECK(FileLock::try_acquire(path, Mode::Exclusive));
  CHECK(is_alive(child.id()));
}

TEST_CASE("processes take turns, also when each removes the lock file") {
  const TempDir folder = temp_dir();
  const std::filesystem::path lock = folder.path() / "lock";
  const std::filesystem::path number = folder.path() / "number";
  write_file_atomic(number, "0");
  std::string how;
  SUBCASE("the file stays") { how = "count"; }
  SUBCASE("the file goes with its holder") { how = "count-unlinking"; }
  constexpr int processes = 4;
  constexpr int times = 50;
  std::vector<Helper> helpers;
  for (int i = 0; i < processes; ++i) {
    helpers.push_back(Helper::start({how, lock, number, std::to_string(times)}));
  }
  for (Helper& helper : helpers) CHECK(helper.end().success());
  CHECK(read_file(number) == std::to_string(processes * times));
}

TEST_CASE("a lock on a removed file is not taken for the lock at its path") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "lock";
  const auto old = FileLock::try_acquire(path, Mode::Exclusive);
  REQUIRE(old);
  std::filesystem::remove(path);
  const auto current = FileLock::try_acquire(path, Mode::Exclusive);
  CHECK(current);
  CHECK_FALSE(FileLock::try_acquire(path, Mode::Exclusive));
}
