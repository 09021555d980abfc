#include "vmm/engine_process.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <sstream>
#include <thread>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using namespace fireclaw::vmm;

namespace {

/// A cgroup that nobody can join: who tries waits until it is killed.
class FullCgroup {
 public:
  FullCgroup() {
    const std::array<std::byte, 4096> page{};
    while (::write(pipe_.get(), page.data(), page.size()) > 0) {
    }
  }
  [[nodiscard]] const std::filesystem::path& path() const { return folder_.path(); }

 private:
  sys::TempDir folder_ = sys::testing::temp_dir();
  sys::Fd pipe_ = [this] {
    const auto procs = path() / "cgroup.procs";
    REQUIRE(::mkfifo(procs.c_str(), 0600) == 0);
    return sys::open_file(procs, O_RDWR | O_NONBLOCK);
  }();
};

/// Of the first thread.
std::filesystem::path children_file() { return fmt::format("/proc/self/task/{}/children", ::getpid()); }

void kill_children() {
  std::istringstream children{sys::read_file(children_file())};
  for (pid_t pid = 0; children >> pid;) ::kill(pid, SIGKILL);
}

}  // namespace

TEST_CASE("an engine that is killed before it runs has failed as an engine") {
  if (!std::filesystem::exists(children_file())) {
    MESSAGE("skipped: this kernel does not list a process's children");
    return;
  }
  const FullCgroup cgroup;
  sys::SpawnSpec spec;
  spec.argv = {"/bin/true"};
  spec.sandbox.emplace().cgroup = cgroup.path();
  const std::jthread killer{[](const std::stop_token& stop) {
    while (!stop.stop_requested()) kill_children();
  }};
  CHECK(sys::testing::code_of([&] { EngineProcess::start(spec); }) == ErrorCode::Vmm);
}

TEST_CASE("an engine that is not there is not found") {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/there-is-no-such-engine"};
  CHECK(sys::testing::code_of([&] { EngineProcess::start(spec); }) == ErrorCode::NotFound);
}
