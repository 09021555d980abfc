#include <doctest/doctest.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <string>

#include "support.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using test::shell;

namespace {

/// A workspace that is removed at the end, no matter what the test did.
class TestWorkspace {
 public:
  explicit TestWorkspace(std::string name) : name_{std::move(name)} {
    remove();
    WorkspaceConfig config;
    config.name = name_;
    config.size_mib = 32;
    test::open_host().workspaces().create(config);
  }
  TestWorkspace(const TestWorkspace&) = delete;
  TestWorkspace& operator=(const TestWorkspace&) = delete;
  ~TestWorkspace() { remove(); }
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::filesystem::path disk() const { return test::home() / "workspaces" / name_ / "disk.ext4"; }

 private:
  void remove() noexcept {
    try {
      test::open_host().workspaces().remove(name_);
    } catch (const std::exception&) {
      // There is none.
    }
  }
  std::string name_;
};

/// The exit status of `tool` with the disk as its last argument. Its output goes to the test's.
int check_with(const std::string& tool, const std::filesystem::path& disk) {
  const int status =
      std::system(("PATH=/usr/sbin:/sbin:$PATH " + tool + " '" + disk.string() + "' >/dev/null 2>&1").c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

bool is_clean(const std::filesystem::path& disk) {
  return check_with("e2fsck -fn", disk) == 0 &&
         check_with("sh -c 'dumpe2fs -h \"$1\" 2>/dev/null | grep -q \"^Filesystem state: *clean$\"' -", disk) == 0 &&
         check_with("sh -c '! dumpe2fs -h \"$1\" 2>/dev/null | grep -q needs_recovery' -", disk) == 0;
}

VMConfig with_disks(const std::string& workspace) {
  VMConfig config;
  config.workspace = workspace;
  config.scratch_mib = 64;
  config.scratch_target = "/home/agent";
  config.scratch_uid = 1000;
  config.scratch_gid = 1000;
  return config;
}

/// What is mounted at the two places, by disk.
std::string mounts(VM& vm) {
  return shell(vm, "grep -E ' (/home/agent|/workspace) ' /proc/mounts | cut -d' ' -f1-3 | sort | tr '\\n' ';'");
}
constexpr const char* expected_mounts = "/dev/vdb /home/agent ext4;/dev/vdc /workspace ext4;";

}  // namespace

TEST_CASE("a machine that boots has its workspace and its scratch disk, and leaves the workspace clean") {
  const TestWorkspace workspace{"disks-cold"};
  auto config = with_disks(workspace.name());
  config.start = StartMode::Cold;
  {
    auto vm = test::open_host().vms().run(config);
    CHECK(vm.info().workspace == workspace.name());
    CHECK(mounts(vm) == expected_mounts);
    CHECK(shell(vm, "stat -c '%u %g' /home/agent") == "1000 1000");
    CHECK(shell(vm, "cat /proc/mounts").find("/workspace ext4 rw,nosuid,nodev,noatime") != std::string::npos);
    shell(vm, "echo kept > /workspace/note; echo gone > /home/agent/note");
    // In use until the last moment.
    shell(vm, "cd /workspace && (sleep 1000 > /workspace/open 2>&1 &)");
    CHECK_FALSE(is_clean(workspace.disk()));
    vm.stop();
  }
  CHECK(is_clean(workspace.disk()));
  auto vm = test::open_host().vms().run(config);
  CHECK(shell(vm, "cat /workspace/note; ls /home/agent | grep -v lost+found | wc -l") == "kept\n0");
}

TEST_CASE("machines with different disks are restored from one snapshot, all at once") {
  const auto host = test::open_host();
  const TestWorkspace first{"disks-first"};
  const TestWorkspace second{"disks-second"};
  const auto snapshot = host.snapshots().create(with_disks(first.name()));
  CHECK(snapshot.info().automatic);
  {
    auto config = with_disks(first.name());
    config.start = StartMode::RequireSnapshot;
    auto one = host.vms().run(config);
    config.workspace = second.name();
    auto two = host.vms().run(config);
    for (auto* vm : {&one, &two}) {
      CHECK(vm->info().snapshot == snapshot.name());
      CHECK(mounts(*vm) == expected_mounts);
      CHECK(shell(*vm, "stat -c '%u %g' /home/agent") == "1000 1000");
    }
    shell(one, "echo one > /workspace/who; echo one > /home/agent/who");
    shell(two, "echo two > /workspace/who; echo two > /home/agent/who");
    CHECK(shell(one, "cat /workspace/who /home/agent/who") == "one\none");
    CHECK(shell(two, "cat /workspace/who /home/agent/who") == "two\ntwo");
    one.stop();
    two.stop();
  }
  CHECK(is_clean(first.disk()));
  CHECK(is_clean(second.disk()));

  // The other way round: nothing of what the disk was that the snapshot or an earlier machine had.
  auto config = with_disks(second.name());
  config.start = StartMode::RequireSnapshot;
  auto again = host.vms().run(config);
  CHECK(shell(again, "cat /workspace/who; ls /home/agent | grep -v lost+found | wc -l") == "two\n0");
  again.kill();
  host.snapshots().remove(snapshot.name());
}

TEST_CASE("a workspace is one machine's at a time, for exactly as long as its engine lives") {
  const auto host = test::open_host();
  const TestWorkspace workspace{"disks-held"};
  VMConfig config;
  config.workspace = workspace.name();
  config.start = StartMode::Cold;
  config.detached = true;
  std::string id;
  {
    auto vm = host.vms().run(config);
    id = vm.info().id;
    shell(vm, "echo first > /workspace/note");
  }
  const auto error = test::error_of([&] { return host.vms().create(config); });
  CHECK(error.code() == ErrorCode::InvalidState);
  CHECK(std::string{error.what()}.find(id) != std::string::npos);
  {
    // Later commands find it mounted, once.
    auto vm = host.vms().attach(id);
    CHECK(vm.info().workspace == workspace.name());
    CHECK(mounts(vm) == "/dev/vdb /workspace ext4;");
    shell(vm, "echo second >> /workspace/note; sync");
  }
  host.vms().kill(id);
  CHECK(check_with("e2fsck -p", workspace.disk()) <= 1);
  CHECK(is_clean(workspace.disk()));
  config.detached = false;
  auto vm = host.vms().run(config);
  CHECK(shell(vm, "cat /workspace/note") == "first\nsecond");
}

TEST_CASE("a service's last words reach the workspace before it is unmounted") {
  const TestWorkspace workspace{"disks-service"};
  VMConfig config;
  config.workspace = workspace.name();
  config.start = StartMode::Cold;
  {
    auto vm = test::open_host().vms().run(config);
    ServiceOptions service;
    service.name = "keeper";
    service.argv = {"/bin/sh", "-c",
                    "trap 'echo saved > /workspace/last; exit 0' TERM; echo up; while :; do sleep 0.1; done"};
    service.cwd = "/workspace";
    service.log = "/workspace/keeper.log";
    vm.start_service(service);
    shell(vm, "until grep -q up /workspace/keeper.log; do sleep 0.05; done");
    vm.stop(5s);
  }
  CHECK(is_clean(workspace.disk()));
  auto vm = test::open_host().vms().run(config);
  CHECK(shell(vm, "cat /workspace/last; head -n 1 /workspace/keeper.log") == "saved\nup");
}

TEST_CASE("a scratch disk takes next to no room on the host until it is written to") {
  VMConfig config;
  config.scratch_mib = 4096;
  config.start = StartMode::Cold;
  auto vm = test::open_host().vms().run(config);
  CHECK(shell(vm, "grep ' /scratch ' /proc/mounts | cut -d' ' -f1,3") == "/dev/vdb ext4");
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{test::home() / "runs" / vm.info().id}) {
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) == 0) bytes += static_cast<std::uintmax_t>(status.st_blocks) * 512;
  }
  CHECK(bytes < (1 << 20));
  const auto mib = std::stoi(shell(vm, "df -m /scratch | awk 'END { print $2 }'"));
  CHECK(mib > 3500);
}

TEST_CASE("what a snapshot would not hold is not saved, and disks of other sizes do not fit one") {
  const auto host = test::open_host();
  VMConfig config;
  config.scratch_mib = 16;
  config.start = StartMode::Cold;
  {
    auto vm = host.vms().run(config);
    shell(vm, "echo up");
    CHECK(test::error_of([&] { vm.snapshot("disks-refused"); }).code() == ErrorCode::InvalidState);
    CHECK(shell(vm, "echo on") == "on");
  }
  host.snapshots().create(config, "disks-named", true);
  VMConfig other;
  other.snapshot = "disks-named";
  const auto without = test::error_of([&] { return host.vms().create(other); });
  CHECK(without.code() == ErrorCode::InvalidArgument);
  CHECK(std::string{without.what()}.find("scratch=16777216") != std::string::npos);
  other.scratch_mib = 16;
  auto vm = host.vms().run(other);
  CHECK(shell(vm, "grep -c ' /scratch ' /proc/mounts") == "1");
  host.snapshots().remove("disks-named");
}

TEST_CASE("disks that cannot be are refused before anything starts") {
  const auto host = test::open_host();
  const auto code = [&](auto change) {
    VMConfig config;
    config.scratch_mib = 16;
    change(config);
    return test::error_of([&] { return host.vms().create(config); }).code();
  };
  CHECK(code([](VMConfig& c) { c.scratch_mib = 1; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.scratch_mib = ~0U; }) == ErrorCode::InvalidArgument);
  for (const char* target : {"", "scratch", "/a/../b", "/a//b", "/a/", "/workspace", "/workspace/x", "/a\nb"})
    CHECK(code([&](VMConfig& c) { c.scratch_target = target; }) == ErrorCode::InvalidArgument);
  CHECK(code([](VMConfig& c) { c.workspace = "no-such-workspace"; }) == ErrorCode::NotFound);
  CHECK(code([](VMConfig& c) { c.workspace = "../x"; }) == ErrorCode::InvalidArgument);
}
