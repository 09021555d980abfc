#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "support.hpp"

using namespace fireclaw;
using test::Removal;
using test::shell;

namespace {

double host_time() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

TEST_CASE("twenty machines restored from one snapshot at once all work, and none is like another") {
  constexpr int count = 20;
  const auto host = test::open_host();
  std::vector<std::future<std::string>> runs;
  for (int i = 0; i < count; ++i) {
    runs.push_back(std::async(std::launch::async, [&host] {
      VMConfig config;
      config.start = StartMode::RequireSnapshot;
      auto vm = host.vms().run(config);
      return shell(vm,
                   "hostname; cat /etc/machine-id /proc/sys/kernel/random/uuid /proc/sys/kernel/random/boot_id; "
                   "head -c 16 /dev/urandom | od -An -tx1");
    }));
  }
  std::set<std::string> seen;
  for (auto& run : runs) {
    std::istringstream lines{run.get()};
    int parts = 0;
    for (std::string line; std::getline(lines, line); ++parts) CHECK(seen.insert(line).second);
    CHECK(parts == 5);
  }
  CHECK(seen.size() == std::size_t{count} * 5);
}

TEST_CASE("a restored machine has the host's time, however old its snapshot is") {
  auto vm = test::fresh_vm();
  // busybox's date knows whole seconds only.
  const auto before = std::floor(host_time());
  const auto guest = std::stod(shell(vm, "date +%s"));
  const auto after = std::ceil(host_time());
  CHECK(guest >= before - 1);
  CHECK(guest <= after + 1);
}

TEST_CASE("a restored machine bears the host name it was given") {
  VMConfig config;
  config.hostname = "claw-7";
  auto vm = test::open_host().vms().run(config);
  CHECK(shell(vm, "hostname; cat /etc/hostname") == "claw-7\nclaw-7");
}

TEST_CASE("a running machine is saved, continues, and is restored as often as wanted with all it knew") {
  const auto host = test::open_host();
  const Removal removal{"clones-test"};
  auto original = test::fresh_vm();
  shell(original, "echo secret > /tmp/note; (sleep 500 > /dev/null 2>&1 &)");
  const auto snapshot = original.snapshot("clones-test");
  CHECK(snapshot.info().usable);
  CHECK(shell(original, "cat /tmp/note") == "secret");
  shell(original, "echo changed > /tmp/note");

  auto first = snapshot.restore();
  auto second = host.snapshots().open("clones-test").restore();
  CHECK(shell(first, "cat /tmp/note") == "secret");
  CHECK(shell(second, "cat /tmp/note") == "secret");
  CHECK(shell(first, "ps | grep -c '[s]leep 500'") == "1");
  CHECK(shell(first, "hostname") != shell(second, "hostname"));
  shell(first, "echo first > /tmp/note");
  CHECK(shell(second, "cat /tmp/note") == "secret");

  // A clone can be saved again, and lives on when its snapshot is removed.
  const Removal again{"clones-test-2"};
  first.snapshot("clones-test-2");
  host.snapshots().remove("clones-test");
  CHECK(shell(second, "cat /tmp/note") == "secret");
  auto third = host.snapshots().open("clones-test-2").restore();
  CHECK(shell(third, "cat /tmp/note") == "first");
  CHECK(shell(first, "cat /tmp/note") == "first");
}

TEST_CASE("a restored machine can be told from the saved one, and its hooks run") {
  const auto host = test::open_host();
  const Removal removal{"hooked"};
  auto vm = test::fresh_vm();
  shell(vm,
        "mkdir -p /etc/fireclaw/hooks.d/restored; cd /etc/fireclaw/hooks.d/restored; "
        "printf '#!/bin/sh\necho ran as $(id -u) >> /tmp/hook\n' > 10-note; chmod +x 10-note; echo x > 20-no-program");
  const auto before = shell(vm, "cat /run/fireclaw-generation");
  CHECK(before.size() == 32);
  vm.snapshot("hooked");
  CHECK(shell(vm, "cat /run/fireclaw-generation; ls /tmp/hook 2>&1 | grep -c 'No such'") == before + "\n1");
  auto clone = host.snapshots().open("hooked").restore();
  CHECK(shell(clone, "cat /run/fireclaw-generation") != before);
  CHECK(shell(clone, "while [ ! -s /tmp/hook ]; do sleep 0.1; done; cat /tmp/hook") == "ran as 0");
  CHECK(clone.services().size() == 1);
}

TEST_CASE("a snapshot's name is taken until it is removed") {
  const auto host = test::open_host();
  const Removal removal{"taken"};
  auto vm = test::fresh_vm();
  vm.snapshot("taken");
  CHECK(test::error_of([&] { vm.snapshot("taken"); }).code() == ErrorCode::AlreadyExists);
  CHECK(shell(vm, "echo on") == "on");
  host.snapshots().remove("taken");
  CHECK(test::error_of([&] { return host.snapshots().open("taken"); }).code() == ErrorCode::NotFound);
  CHECK(test::error_of([&] { host.snapshots().remove("taken"); }).code() == ErrorCode::NotFound);
  CHECK(test::error_of([&] { host.snapshots().remove("../x"); }).code() == ErrorCode::InvalidArgument);
}

TEST_CASE("a damaged snapshot is found out: by name an error, else a cold boot that says so") {
  const auto host = test::open_host();
  const Removal removal{"damaged"};
  {
    auto vm = test::fresh_vm();
    vm.snapshot("damaged");
  }
  std::ofstream{test::home() / "snapshots/damaged/state", std::ios::in | std::ios::out}.put('!');
  const auto infos = host.snapshots().list();
  for (const auto& info : infos) {
    if (info.name == "damaged") CHECK_FALSE(info.usable);
  }
  VMConfig config;
  config.snapshot = "damaged";
  CHECK(test::error_of([&] { return host.vms().run(config); }).code() == ErrorCode::Corrupt);
  std::filesystem::resize_file(test::home() / "snapshots/damaged/memory", 4096);
  CHECK(test::error_of([&] { return host.vms().run(config); }).code() == ErrorCode::Corrupt);
}

TEST_CASE("the automatic snapshot is made once for each kind of machine") {
  const auto host = test::open_host();
  VMConfig config;
  config.memory_mib = 96;
  const auto first = host.snapshots().create(config);
  const Removal removal{first.name()};
  CHECK(first.info().automatic);
  CHECK(host.snapshots().create(config).name() == first.name());
  config.start = StartMode::RequireSnapshot;
  auto vm = host.vms().run(config);
  CHECK(vm.info().snapshot == first.name());
  CHECK(shell(vm, "echo restored") == "restored");
}
