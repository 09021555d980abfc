// What is known of a machine that was stopped for a moment. With real machines, in the home folder that the vm tests
// share.
#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "core/vm_impl.hpp"
#include "fireclaw/host.hpp"
#include "sys/file.hpp"
#include "vmm/standstill.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;

namespace {

std::string environment(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : otherwise;
}

Deadline soon() { return Deadline::after(40s); }

/// A machine that goes on once and no second time, as one whose engine hangs for a while.
class Stuck final : public vmm::Instance {
 public:
  explicit Stuck(std::unique_ptr<vmm::Instance> real) : real_{std::move(real)} {}

  [[nodiscard]] vmm::RuntimeRecord record() const override { return real_->record(); }
  void pause(Deadline deadline) override { real_->pause(deadline); }
  void resume(Deadline) override { throw Error{ErrorCode::Timeout, "no answer"}; }
  [[nodiscard]] bool resume_resets_streams() const override { return real_->resume_resets_streams(); }
  void snapshot(const vmm::SnapshotFiles& files, Deadline deadline) override { real_->snapshot(files, deadline); }
  std::chrono::nanoseconds snapshot_running(const vmm::SnapshotFiles&, const std::function<void()>&,
                                            Deadline deadline) override {
    pause(deadline);
    throw vmm::StandsStill{ErrorCode::Timeout, "the machine stands still: no answer"};
  }
  vmm::GuestStream connect_guest(Deadline deadline, const std::stop_token& stop) override {
    return real_->connect_guest(deadline, stop);
  }
  void kill() noexcept override { real_->kill(); }
  bool wait_exit(Deadline deadline, const std::stop_token& stop) override { return real_->wait_exit(deadline, stop); }
  [[nodiscard]] int exit_fd() const override { return real_->exit_fd(); }
  [[nodiscard]] std::string exit_reason() override { return real_->exit_reason(); }
  [[nodiscard]] std::string console_tail(std::size_t max_bytes) const override {
    return real_->console_tail(max_bytes);
  }

 private:
  std::unique_ptr<vmm::Instance> real_;
};

struct Fixture {
  sys::TempDir folder{"/tmp", "fireclaw-standstill-"};
  std::shared_ptr<Host::Impl> impl = Access::impl(Host::open([] {
    HostOptions options;
    options.home = environment("FIRECLAW_TEST_HOME", environment("FIRECLAW_BUILD_HOME", "").c_str());
    options.engine = engine_from_string(environment("FIRECLAW_TEST_ENGINE", "auto"));
    options.firecracker = environment("FIRECLAW_TEST_FIRECRACKER", "");
    return options;
  }()));

  /// Ends with the test, like anything that is no longer wanted.
  std::unique_ptr<VM::Impl> start() {
    auto machine = std::make_unique<VM::Impl>(impl, VMConfig{});
    machine->start();
    return machine;
  }
  [[nodiscard]] vmm::SnapshotFiles files() const { return {folder.path() / "state", folder.path() / "memory"}; }
  static std::string shell(VM::Impl& machine, const std::string& line) {
    return machine.session(soon(), {})->exec(ExecOptions::shell(line)).out;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a machine that could not be told to go on is known to be paused, and can be resumed") {
  const auto machine = start();
  machine->instance = std::make_unique<Stuck>(std::move(machine->instance));
  CHECK_THROWS_AS(machine->save_running(
                      files(), [] {}, soon()),
                  vmm::StandsStill);
  const auto known = impl->runs.find(machine->record.id);
  REQUIRE(known);
  CHECK(known->paused);
  CHECK_FALSE(known->copier);
  VM::Impl other{impl, *known};
  CHECK(other.state == VMState::Paused);
  other.resume(soon());
  CHECK(shell(other, "echo well") == "well\n");
  CHECK_FALSE(impl->runs.find(machine->record.id)->paused);
}
