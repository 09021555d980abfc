// Workspaces in machines on the stand-in for Firecracker, whose guests mount their disks.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/machines/workspace_disk.hpp"
#include "core/testing/mounts.hpp"
#include "core/testing/stand_in_home.hpp"
#include "core/workspaces/files.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/vm.hpp"
#include "fireclaw/workspace.hpp"
#include "image/disks/ext4.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using sys::testing::FileCalls;
using testing::StandInHome;

struct Fixture : StandInHome {
  std::shared_ptr<Host::Impl> host;

  Fixture() {
    testing::skip_without_mounts();
    set_mounting_knobs("");
    host = open();
    WorkspaceConfig config;
    config.name = "one";
    Access::host(host).workspaces().create(config);
  }
  [[nodiscard]] std::unique_ptr<WorkspaceFiles> files() const {
    return files_in_machine(host, require_workspace(*host, "one"), lock_workspace(*host, "one", "a test"), {});
  }
  static std::string shell(VM::Impl& machine, const std::string& line) {
    return machine.start_command(ExecOptions::shell(line)).wait().out;
  }
};

TEST_CASE_FIXTURE(Fixture, "what is read of a workspace after a change in a machine is what was changed") {
  const auto workspace = files();
  CHECK(workspace->read_file("MEMORY.md", 100) == "# Agent Memory\n");
  workspace->write_file("MEMORY.md", "new", 0644);
  CHECK(workspace->read_file("MEMORY.md", 100) == "new");
  workspace->remove_path("MEMORY.md");
  CHECK(sys::testing::code_of([&] { static_cast<void>(workspace->read_file("MEMORY.md", 100)); }) ==
        ErrorCode::NotFound);
}

TEST_CASE_FIXTURE(Fixture, "a workspace's changed copy is on disk before it replaces the workspace") {
  const auto workspace = files();
  std::vector<std::string> lines;
  {
    const FileCalls calls{host->layout.workspaces()};
    workspace->write_file("note", "new", 0644);
    lines = calls.lines();
  }
  const auto at = [&](const char* line) { return std::ranges::find(lines, line) - lines.begin(); };
  CHECK(at("write .draft-one-*/disk.ext4") < at("sync .draft-one-*/disk.ext4"));
  CHECK(at("sync .draft-one-*/disk.ext4") < at("rename .draft-one-*/disk.ext4 -> one/disk.ext4"));
  CHECK(lines[lines.size() - 2] == "sync one");
  CHECK(image::ext4_usage(host->workspaces.disk("one")).clean);
}

TEST_CASE_FIXTURE(Fixture, "what is copied into a machine belongs to its image's user, unless another is named") {
  VMConfig config;
  config.network = NetworkMode::None;
  config.memory_mib = 128;
  const auto machine = std::make_shared<VM::Impl>(host, config);
  machine->start();
  machine->image.manifest.defaults.user = "nobody";
  auto vm = Access::vm(machine);
  const auto source = home() / "source";
  sys::replace_file(source, "it");
  const auto owner = [&](const CopyOptions& options) {
    vm.copy_in(source, "/opt/it", options);
    return shell(*machine, "stat -c %U /opt/it");
  };
  CHECK(owner({}) == "nobody\n");
  CopyOptions options;
  options.owner = "daemon";
  CHECK(owner(options) == "daemon\n");
}

TEST_CASE_FIXTURE(Fixture, "a machine's guest has its workspace, and leaves it in order") {
  VMConfig config;
  config.network = NetworkMode::None;
  config.memory_mib = 128;
  config.workspace = "one";
  config.scratch_mib = 16;
  config.scratch_target = "/scratch";
  for (const std::string text : {"# Agent Memory\n", "# Agent Memory\nmore\n"}) {
    VM::Impl machine{host, config};
    machine.start();
    CHECK(shell(machine, "cat /workspace/MEMORY.md") == text);
    CHECK(shell(machine, "ls /scratch") == "lost+found\n");
    CHECK(shell(machine, "echo more >> /workspace/MEMORY.md; echo well") == "well\n");
    machine.stop(std::chrono::seconds{30});
    CHECK(image::ext4_usage(host->workspaces.disk("one")).clean);
  }
}

}  // namespace
}  // namespace fireclaw::core
