#include "sys/usage.hpp"

#include <doctest/doctest.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <sstream>

#include "sys/file.hpp"

using namespace fireclaw::sys;

namespace {

Child sleeper_in(const std::filesystem::path& folder) {
  SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  spec.cwd = folder;
  return Child::spawn(spec);
}

}  // namespace

TEST_CASE("a process's memory and CPU time are what the kernel says elsewhere, whatever the process is called") {
  const auto self = current_process();
  const auto cpu_time = [] {
    rusage used{};
    REQUIRE(::getrusage(RUSAGE_SELF, &used) == 0);
    return std::chrono::seconds{used.ru_utime.tv_sec + used.ru_stime.tv_sec} +
           std::chrono::microseconds{used.ru_utime.tv_usec + used.ru_stime.tv_usec};
  };
  // Of both kinds.
  const auto until = cpu_time() + std::chrono::milliseconds{100};
  while (cpu_time() < until) {
  }
  std::array<char, 16> name{};
  REQUIRE(::prctl(PR_GET_NAME, name.data()) == 0);
  for (const auto* called : {"usage", "a b", "a) R 1 2 3 4 5", ") (", ")"}) {
    CAPTURE(called);
    REQUIRE(::prctl(PR_SET_NAME, called) == 0);
    const auto before = cpu_time();
    const auto usage = usage_of(self);
    const auto after = cpu_time();
    REQUIRE(usage);
    // It counts in ticks of a hundredth of a second, rounded down, user's and system's apart.
    CHECK(usage->cpu_time >= before - std::chrono::milliseconds{21});
    CHECK(usage->cpu_time <= after + std::chrono::milliseconds{1});
    std::istringstream pages{read_file("/proc/self/statm")};
    std::uint64_t total = 0;
    std::uint64_t resident = 0;
    pages >> total >> resident;
    const auto bytes = resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    CHECK(usage->resident_bytes > bytes / 2);
    CHECK(usage->resident_bytes < bytes * 2);
  }
  REQUIRE(::prctl(PR_SET_NAME, name.data()) == 0);
}

TEST_CASE("a process's CPU time grows with its work") {
  const auto self = current_process();
  const auto before = usage_of(self);
  REQUIRE(before);
  // Of this process's own time: on a busy machine little of it passes.
  const auto until = std::clock() + 6 * CLOCKS_PER_SEC / 100;
  while (std::clock() < until) {
  }
  const auto after = usage_of(self);
  REQUIRE(after);
  CHECK(after->cpu_time > before->cpu_time);
}

TEST_CASE("a process that is gone has no usage") {
  auto child = sleeper_in("/");
  const auto id = child.id();
  CHECK(usage_of(id));
  child.kill();
  CHECK_FALSE(usage_of(id));
}

TEST_CASE("processes are found by the folder they work in, also below it and when it was removed") {
  const TempDir folder{std::filesystem::temp_directory_path(), "usage-test-"};
  const auto one = folder.path() / "one";
  const auto deeper = one / "deeper";
  const auto other = folder.path() / "one-more";
  make_directories(deeper);
  make_directories(other);
  auto here = sleeper_in(one);
  auto below = sleeper_in(deeper);
  auto beside = sleeper_in(other);
  const auto ids_in = [](const std::filesystem::path& path) {
    std::vector<pid_t> pids;
    for (const auto& id : processes_in(path)) pids.push_back(id.pid);
    return pids;
  };
  auto found = ids_in(one);
  CHECK(found.size() == 2);
  CHECK(std::ranges::find(found, here.id().pid) != found.end());
  CHECK(std::ranges::find(found, below.id().pid) != found.end());
  remove_tree(one);
  CHECK(ids_in(one).size() == 2);
  here.kill();
  below.kill();
  CHECK(ids_in(one).empty());
}
