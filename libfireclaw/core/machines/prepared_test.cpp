// With real machines, in the home folder that the vm tests share.
#include "core/machines/prepared.hpp"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using sys::testing::code_of;

namespace {

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

Deadline soon() { return Deadline::after(30s); }

struct Fixture {
  Host host = Host::open([] {
    HostOptions options;
    options.home = environment("FIRECLAW_TEST_HOME", environment("FIRECLAW_BUILD_HOME", "").c_str());
    options.engine = engine_from_string(environment("FIRECLAW_TEST_ENGINE", "auto"));
    options.firecracker = environment("FIRECLAW_TEST_FIRECRACKER", "");
    return options;
  }());
  std::shared_ptr<Host::Impl> impl = Access::impl(host);
  int prepared_times = 0;

  /// A service that works on the workspace as soon as that is there.
  core::Purpose purpose() {
    core::Purpose made;
    made.agent = "alice";
    made.prepared = "test-1";
    made.prepare = [this](guest::Session& guest) {
      ++prepared_times;
      CHECK(guest.exec(ExecOptions::shell("grep -c ' /workspace ' /proc/mounts")).out == "0\n");
      ServiceOptions service;
      service.name = "bot";
      service.argv = {"/bin/sh", "-c",
                      "until grep -q ' /workspace ' /proc/mounts; do sleep 0.05; done; hostname > /workspace/bot; "
                      "echo ready; exec sleep 1000"};
      guest.service_start(service, soon());
    };
    return made;
  }
  static VMConfig config(const std::string& workspace) {
    VMConfig made;
    made.workspace = workspace;
    made.hostname = workspace;
    return made;
  }
  static std::string shell(VM::Impl& vm, const std::string& line) {
    const auto result = vm.session(soon(), {})->exec(ExecOptions::shell(line));
    CHECK(result.exit_code == 0);
    return result.out;
  }
  static std::string when_ready(VM::Impl& vm) {
    return shell(vm, "until grep -q ready /var/log/fireclaw/bot.log; do sleep 0.05; done; cat /workspace/bot");
  }
};

/// Removed at the end, no matter what the test did.
class TestWorkspace {
 public:
  TestWorkspace(const Host& host, std::string name) : host_{host}, name_{std::move(name)} {
    remove();
    WorkspaceConfig config;
    config.name = name_;
    config.size_mib = 32;
    host_.workspaces().create(config);
  }
  TestWorkspace(const TestWorkspace&) = delete;
  TestWorkspace& operator=(const TestWorkspace&) = delete;
  ~TestWorkspace() { remove(); }

 private:
  void remove() noexcept {
    try {
      host_.workspaces().remove(name_);
    } catch (const std::exception&) {
      // There is none.
    }
  }
  const Host& host_;
  const std::string name_;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "without a snapshot a machine is prepared when it has booted, and then gets its disks") {
  const TestWorkspace workspace{host, "warm-cold"};
  auto cold = config("warm-cold");
  cold.start = StartMode::Cold;
  const auto vm = core::start_prepared(impl, cold, purpose());
  CHECK(prepared_times == 1);
  CHECK(vm->record.snapshot.empty());
  CHECK(vm->record.agent == "alice");
  CHECK(vm->record.workspace == "warm-cold");
  CHECK(when_ready(*vm) == "warm-cold\n");
}

TEST_CASE_FIXTURE(Fixture,
                  "machines restored from a prepared snapshot have their own disks, and what was started runs") {
  const TestWorkspace first{host, "warm-first"};
  const TestWorkspace second{host, "warm-second"};
  auto sized = purpose();
  sized.workspace_bytes = std::uint64_t{32} << 20;
  const auto saved = core::save_prepared(impl, {}, sized);
  CHECK(prepared_times == 1);
  CHECK(core::save_prepared(impl, config("warm-first"), purpose()).name() == saved.name());
  CHECK(prepared_times == 1);

  auto warm = config("warm-first");
  warm.start = StartMode::RequireSnapshot;
  const auto one = core::start_prepared(impl, warm, purpose());
  warm.workspace = warm.hostname = "warm-second";
  const auto two = core::start_prepared(impl, warm, purpose());
  CHECK(prepared_times == 1);
  CHECK(one->record.snapshot == saved.name());
  CHECK(two->record.snapshot == saved.name());
  CHECK(when_ready(*one) == "warm-first\n");
  CHECK(when_ready(*two) == "warm-second\n");
  CHECK(one->session(soon(), {})->services(soon()).at(0).restarts == 0);

  // Prepared otherwise is another snapshot.
  warm.workspace.clear();
  auto other = purpose();
  other.prepared = "test-2";
  CHECK(code_of([&] { core::start_prepared(impl, warm, other); }) == ErrorCode::NotFound);
  host.snapshots().remove(saved.name());
}

TEST_CASE_FIXTURE(Fixture, "a machine of a process that lives is taken hold of by the library alone, and lives on") {
  VMConfig plain;
  plain.start = StartMode::RequireSnapshot;
  core::Purpose agent;
  agent.agent = "bob";
  const auto owned = core::start_prepared(impl, plain, agent);
  const auto id = owned->record.id;
  CHECK(code_of([&] { return host.vms().attach(id); }) == ErrorCode::InvalidState);
  {
    auto other = Access::vm(core::attach_machine(impl, id, core::Owned::Attach));
    CHECK(other.exec(ExecOptions::shell("hostname")).out == owned->record.hostname + "\n");
    CHECK(other.info().agent == "bob");
  }
  CHECK(shell(*owned, "echo alive") == "alive\n");
}
