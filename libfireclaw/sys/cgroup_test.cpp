#include "sys/cgroup.hpp"

#include <fmt/format.h>

#include <csignal>
#include <cstdlib>

#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

namespace {

/// A tree of plain files in the place of the kernel's, which shows what was written last and refuses nothing.
struct Tree {
  TempDir folder{"/tmp", "fireclaw-cgroups-"};

  [[nodiscard]] std::filesystem::path at(const std::string& path) const {
    return folder.path() / "sys/fs/cgroup" / path;
  }
  void write(const std::filesystem::path& path, const std::string& text) const {
    make_directories(path.parent_path());
    write_file_atomic(path, text, 0644);
  }
  void own(const std::string& line) const { write(folder.path() / "proc/self/cgroup", line + "\n"); }
  void cgroup(const std::string& path, const std::string& controllers) const {
    write(at(path) / "cgroup.controllers", controllers + "\n");
    write(at(path) / "cgroup.subtree_control", "");
    write(at(path) / "cgroup.procs", "");
  }
};

}  // namespace

TEST_CASE_FIXTURE(Tree, "without version 2 there are no cgroups, and that is said") {
  const auto found = find_cgroups(folder.path());
  CHECK(found.folder.empty());
  CHECK(found.obstacle.find("no cgroups of version 2") != std::string::npos);
}

TEST_CASE_FIXTURE(Tree, "the highest cgroup around a process is divided, and hands on its controllers") {
  own("0::/a.slice/b.service");
  cgroup("", "cpu io memory pids");
  cgroup("a.slice", "memory pids");
  cgroup("fireclaw", "cpu io memory pids");
  const auto found = find_cgroups(folder.path());
  CHECK(found == CgroupPlace{at("fireclaw"), ""});
  // A plain file keeps what was written last.
  CHECK(read_file(at("cgroup.subtree_control")).starts_with("+"));
}

TEST_CASE_FIXTURE(Tree,
                  "machines of a service in fireclaw's slice live in the service for them, and helpers beside them") {
  own("0::/fireclaw.slice/fireclaw-overseer.service/programs");
  for (const auto* path : {"", "fireclaw", "fireclaw.slice", "fireclaw.slice/fireclaw-overseer.service"}) {
    cgroup(path, "memory pids");
  }
  const auto highest = CgroupPlace{at("fireclaw"), "", {}};
  CHECK(find_cgroups(folder.path()) == highest);
  const auto service = std::string{"fireclaw.slice/fireclaw-agents.service"};
  cgroup(service, "memory pids");
  cgroup(service + "/fireclaw", "memory pids");
  const CgroupPlace place{at(service + "/fireclaw"), "", at(service + "/programs")};
  CHECK(find_cgroups(folder.path()) == place);
  write(place.lasting / "cgroup.procs", "");
  CHECK(join_cgroup(place.lasting, 7));
  CHECK(read_file(place.lasting / "cgroup.procs") == "7");
  CHECK_FALSE(join_cgroup(at("missing"), 7));
  // Without the controllers there is no cgroup for each, but still the service.
  cgroup(service, "");
  cgroup("", "");
  cgroup("fireclaw.slice", "");
  cgroup("fireclaw.slice/fireclaw-overseer.service", "");
  const auto shared = find_cgroups(folder.path());
  CHECK(shared.folder.empty());
  CHECK(shared.lasting == place.lasting);
  // Who is not in that slice has nothing to do with it.
  own("0::/user.slice/session-1.scope");
  CHECK(find_cgroups(folder.path()).lasting.empty());
}

TEST_CASE_FIXTURE(Tree, "a controller is missing where only a longer word has its name in it") {
  own("0::/");
  for (const auto& [controllers, missing] : {std::pair{"", "memory"},
                                             {"cpu io pids", "memory"},
                                             {"memory", "pids"},
                                             {"hugememory pids", "memory"},
                                             {"memory_more pids", "memory"},
                                             {"memory rpids", "pids"},
                                             {"memory pidset cpu", "pids"},
                                             {"memorypids", "memory"}}) {
    CAPTURE(controllers);
    cgroup("", controllers);
    const auto found = find_cgroups(folder.path());
    CHECK(found.folder.empty());
    CHECK(found.obstacle.find(fmt::format("the controller '{}' is not to be had", missing)) != std::string::npos);
  }
  cgroup("", "rdma pids misc memory");
  cgroup("fireclaw", "");
  CHECK(find_cgroups(folder.path()).folder == at("fireclaw"));
}

TEST_CASE_FIXTURE(Tree, "a cgroup without the controllers that are needed is not divided") {
  own("0::/");
  cgroup("", "cpu io");
  const auto found = find_cgroups(folder.path());
  CHECK(found.folder.empty());
  CHECK(found.obstacle.find("'memory' is not to be had") != std::string::npos);
  CHECK(found.obstacle.find("Delegate=yes") != std::string::npos);
}

TEST_CASE_FIXTURE(Tree, "a machine's cgroup has its limits, and goes when it is empty") {
  cgroup("fireclaw", "memory pids");
  // The kernel makes these files with the folder; here they have to be there to be written to.
  const auto place = at("fireclaw");
  CHECK_THROWS_AS(make_cgroup(place, "1", {1 << 20, 10, 100, {}}), Error);
  CHECK_FALSE(std::filesystem::exists(place / "1"));
  CHECK(make_cgroup(place, "2", {}) == place / "2");
  CHECK_THROWS_AS(make_cgroup(place, "2", {}), Error);
  CHECK(remove_cgroup(place / "2"));
  CHECK(remove_cgroup(place / "2"));
  CHECK_FALSE(cgroup_memory_peak(place));
  write(place / "memory.peak", "4096\n");
  CHECK(cgroup_memory_peak(place) == 4096);
}

TEST_CASE("limits are lines for the kernel's files, and what is not limited is not written") {
  const CgroupLimits all{16 << 20, 8, 50, {"8:0 rbps=1048576", "8:16 wiops=100"}};
  CHECK(to_settings(all) == std::vector<CgroupSetting>{{"memory.max", "16777216"},
                                                       {"memory.oom.group", "1"},
                                                       {"pids.max", "8"},
                                                       {"cpu.weight", "50", true},
                                                       {"io.max", "8:0 rbps=1048576"},
                                                       {"io.max", "8:16 wiops=100"}});
  CHECK(to_settings({}).empty());
}

TEST_CASE("a cgroup of the kernel's holds its processes to its limits, and all of them end together") {
  // It divides the cgroups of the machine that it runs on: tests/redteam/cgroups_test.py gives it one.
  if (std::getenv("FIRECLAW_TEST_CGROUPS") == nullptr) {
    MESSAGE("skipped: FIRECLAW_TEST_CGROUPS is not set");
    return;
  }
  const auto found = find_cgroups();
  REQUIRE(found.obstacle == "");
  CgroupLimits limits{16 << 20, 8, 50, {}};
  const auto probe = make_cgroup(found.folder, "probe", {});
  const bool throttles = std::filesystem::exists(probe / "io.max");
  CHECK(remove_cgroup(probe));
  if (!throttles) MESSAGE("without io.max: this kernel has none");
  const std::filesystem::path image{"/sys/block/vda"};
  auto device = read_file(image / "dev");
  device.pop_back();
  if (throttles) limits.io_max = {device + " rbps=1048576", device + " wbps=2097152"};
  const auto folder = make_cgroup(found.folder, "limited", limits);
  CHECK(read_file(folder / "memory.max") == "16777216\n");
  CHECK(read_file(folder / "memory.oom.group") == "1\n");
  CHECK(read_file(folder / "pids.max") == "8\n");
  CHECK(read_file(folder / "cpu.weight") == "50\n");
  if (throttles) CHECK(read_file(folder / "io.max").find(" rbps=1048576 wbps=2097152 ") != std::string::npos);
  CHECK_THROWS_AS(make_cgroup(found.folder, "wrong", {0, 0, 0, {"no device"}}), Error);
  CHECK_FALSE(std::filesystem::exists(found.folder / "wrong"));

  SpawnSpec spec;
  if (throttles) {
    spec.argv = {"/bin/dd", "if=/dev/vda", "of=/dev/null", "bs=65536", "count=48", "iflag=direct"};
    spec.sandbox.emplace();
    spec.sandbox->cgroup = folder;
    const auto began = std::chrono::steady_clock::now();
    CHECK(Child::spawn(spec).wait(patience()) == ExitStatus{.code = 0, .signal = 0});
    // 3 MiB, of which the first part may pass at once.
    CHECK(std::chrono::steady_clock::now() - began > std::chrono::milliseconds{1500});
  }

  // One that takes memory, and one that only waits.
  spec.argv = {"/bin/sh", "-c", "sleep 100 & exec tail /dev/zero"};
  spec.sandbox.emplace();
  spec.sandbox->cgroup = folder;
  auto greedy = Child::spawn(spec);
  CHECK(greedy.wait(patience()) == ExitStatus{.code = std::nullopt, .signal = SIGKILL});
  CHECK(read_file(folder / "memory.events").find("oom_group_kill 1\n") != std::string::npos);
  CHECK(cgroup_memory_peak(folder).value_or(limits.memory_bytes) == limits.memory_bytes);
  const auto deadline = patience();
  while (!remove_cgroup(folder) && !deadline.passed()) ::poll(nullptr, 0, 20);
  CHECK_FALSE(std::filesystem::exists(folder));
}
