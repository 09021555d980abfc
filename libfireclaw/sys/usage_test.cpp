#include "sys/usage.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <ctime>
#include <filesystem>

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

TEST_CASE("a process's memory and CPU time are seen") {
  const auto self = current_process();
  const auto before = usage_of(self);
  REQUIRE(before);
  CHECK(before->resident_bytes > (std::uint64_t{1} << 20));
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
