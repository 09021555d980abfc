#include "core/host/hardening.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "core/host/cgroups.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

namespace {

struct Tree {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "hardening-test-"};

  void write(const std::string& path, const std::string& text) const {
    const auto file = folder.path() / path;
    sys::make_directories(file.parent_path());
    sys::write_file_atomic(file, text);
  }
  [[nodiscard]] std::vector<CheckStatus> statuses() const {
    std::vector<CheckStatus> all;
    for (const auto& check : core::check_sharing(folder.path())) all.push_back(check.status);
    return all;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Tree, "swap, merged memory and shared cores are warned of, and their absence is not") {
  using enum CheckStatus;
  CHECK(statuses() == std::vector{Ok, Ok, Ok});
  write("proc/swaps", "Filename Type Size Used Priority\n");
  write("sys/kernel/mm/ksm/run", "0\n");
  write("sys/devices/system/cpu/smt/active", "0\n");
  CHECK(statuses() == std::vector{Ok, Ok, Ok});
  write("proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 100 0 -2\n");
  CHECK(statuses() == std::vector{Warning, Ok, Ok});
  write("sys/kernel/mm/ksm/run", "1\n");
  write("sys/devices/system/cpu/smt/active", "1\n");
  CHECK(statuses() == std::vector{Warning, Warning, Warning});
}

TEST_CASE("what confines an engine is said in words") {
  sys::ConfinementSeen seen;
  seen.user = 1900000003;
  seen.no_new_privileges = true;
  seen.seccomp_filters = 1;
  seen.namespaces = {"mnt", "pid", "net", "user", "ipc", "uts"};
  CHECK(core::in_words(seen, 0) == "own user 1900000003, own mnt pid net user ipc uts, no capabilities, seccomp");
  CHECK(core::in_words({.user = 0, .capabilities = true, .namespaces = {}, .cgroup = {}}, 0) ==
        "the caller's user 0, the caller's namespaces, with capabilities, may gain privileges, no seccomp filter");
}

TEST_CASE("a machine's cgroup has room for its memory and its engine") {
  const auto kvm = core::machine_limits("firecracker", 512, 2);
  CHECK(kvm.memory_bytes == std::uint64_t{768} << 20);
  CHECK(kvm.processes == 66);
  CHECK(core::machine_limits("qemu-tcg", 512, 1).memory_bytes == std::uint64_t{1792} << 20);
  CHECK(core::machine_limits("qemu-kvm", 8192, 1).memory_bytes == std::uint64_t{8448} << 20);
}
