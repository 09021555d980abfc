// Agents that are forked, on the stand-in for Firecracker, whose guests mount their disks. The bot is a
// program that says who it is.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "core/agents/guest.hpp"
#include "core/agents/impl.hpp"
#include "core/testing/mounts.hpp"
#include "core/testing/restoring.hpp"
#include "core/testing/stand_in_agent.hpp"
#include "core/testing/stand_in_home.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/workspace.hpp"
#include "image/disks/ext4.hpp"

namespace fireclaw::core {
namespace {

using testing::StandInHome;

constexpr auto bot = R"(
import json, os, signal
def say(*_):
    with open("/run/fireclaw/agent.json") as file:
        name = json.load(file)["name"]
    with open("/run/fireclaw/status.new", "w") as file:
        json.dump({"name": name, "state": "online", "channels": ["#one"]}, file)
    os.rename("/run/fireclaw/status.new", "/run/fireclaw/agent-status.json")
signal.signal(signal.SIGHUP, say)
if os.path.exists("/run/fireclaw/agent.json"):
    say()
while True:
    signal.pause()
)";

struct Fixture : StandInHome {
  std::shared_ptr<Host::Impl> host;
  std::unique_ptr<AgentManager::Impl> agents;
  std::unique_ptr<VM::Impl> machine;

  Fixture() {
    testing::skip_without_mounts();
    set_mounting_knobs("", bot);
    host = open();
    sys::make_directories(host->layout.templates());
    sys::write_file_atomic(
        host->layout.templates() / "worker.json",
        fmt::format(
            R"({{"schema": 1, "nick": "ada", "model": "m", "persona": "A bird.", "image": "{}", "memory_mib": 128,
                       "scratch_mib": 64}})",
            built_in_image));
    agents = std::make_unique<AgentManager::Impl>(Access::host(host));
    machine = testing::start_agent(host, *agents, "none");
  }
  ~Fixture() { testing::disown(machine); }
  static std::string shell(VM::Impl& machine, const std::string& line) {
    return machine.start_command(ExecOptions::shell(line)).wait().out;
  }
};

TEST_CASE_FIXTURE(Fixture, "a fork has the workspace as it was, and tells how long the first one stood still") {
  if (!testing::can_restore()) return;
  CHECK(shell(*machine, "echo first > /workspace/note; sync; echo well") == "well\n");
  ForkConfig fork;
  fork.name = "bob";
  fork.detached = false;
  AgentStartOptions options;
  options.join_timeout = {};
  const auto made = agents->fork("ada", fork, options);
  CHECK(made.name == "bob");
  const auto took = [&](const char* name) { return std::ranges::count(made.phases, name, &Phase::name); };
  CHECK(took("copy") == 1);
  CHECK(took("pause") == 1);
  const auto other = agents->machine(agents->require("bob"));
  CHECK(shell(*other, "cat /workspace/note; echo second > /workspace/note") == "first\n");
  // Its connections ended when it was copied.
  const auto first = agents->machine(agents->require("ada"));
  CHECK(shell(*first, "cat /workspace/note") == "first\n");
  CHECK(bot_status(*other, Deadline::after(std::chrono::seconds{30})).name == "bob");
  agents->stop("bob", std::chrono::seconds{30});
  CHECK(image::ext4_usage(host->workspaces.disk("bob")).clean);
}

}  // namespace
}  // namespace fireclaw::core
