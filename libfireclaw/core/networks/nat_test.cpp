// What the network of a home folder does in which order, in a network namespace of the test's own.
#include "core/networks/nat.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "core/networks/connection.hpp"
#include "fireclaw/host.hpp"
#include "state/run_policy.hpp"
#include "sys/process.hpp"
#include "sys/testing/file_calls.hpp"

using namespace fireclaw;
using sys::testing::FileCalls;

namespace {

sys::Child sleeper() {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  return sys::Child::spawn(spec);
}

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "nat-test-"};
  Host host = Host::open(options());
  std::shared_ptr<Host::Impl> impl = Access::impl(host);

  ~Fixture() {
    core::NatNetwork network{*impl};
    const auto turn = network.take_turn();
    network.reclaim();
    network.remove();
  }

  [[nodiscard]] HostOptions options() const {
    HostOptions made;
    made.home = folder.path() / "home";
    return made;
  }

  [[nodiscard]] state::RunRecord save_run(const sys::ProcessId& owner) const {
    state::RunRecord record;
    record.owner = owner;
    record.network = "nat";
    record.nic = true;
    return impl->runs.create(record);
  }

  /// A machine as its owner leaves it that has had its turn: with lease and record, and let in by the firewall.
  [[nodiscard]] net::Ipv4Address connect(core::NatNetwork& network, const sys::ProcessId& owner) const {
    auto record = save_run(owner);
    const auto lease = network.pool().allocate(owner, record.id).lease;
    const net::VmPolicy policy{
        lease.tap, lease.mac(), lease.address, net::Egress::Internet, {}, net::ServiceAccess::All, {}};
    record.nat = state::to_record(policy);
    impl->runs.update(record);
    network.firewall().add_vm(policy);
    return lease.address;
  }

  /// The machines that the kernel lets in. Takes no part in the turns that processes take with the firewall.
  [[nodiscard]] std::vector<net::Ipv4Address> let_in() const {
    net::Firewall spy{core::NatNetwork{*impl}.policy(), folder.path() / "spy-lock"};
    std::vector<net::Ipv4Address> addresses;
    for (const auto& vm : spy.vms()) addresses.push_back(vm.address);
    return addresses;
  }
};

vmm::Capabilities capabilities() {
  vmm::Capabilities made;
  made.tap_descriptors = true;
  return made;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a firewall that was flushed is loaded with the machines that live, and with no others") {
  core::NatNetwork network{*impl};
  const auto turn = network.take_turn();
  network.ensure();
  auto owner = sleeper();
  const auto living = connect(network, sys::current_process());
  const auto dead = connect(network, owner.id());
  owner.kill();
  REQUIRE(let_in() == std::vector{living, dead});
  REQUIRE(network.firewall().remove());

  network.ensure();
  CHECK(let_in() == std::vector{living});
  // The lease of the other one is there until it is taken back.
  CHECK(network.pool().list().size() == 2);
  CHECK(network.reclaim().size() == 1);
  const auto kept = network.pool().list();
  REQUIRE(kept.size() == 1);
  CHECK(kept.front().address == living);
}

TEST_CASE_FIXTURE(Fixture,
                  "a machine has a lease and a record before the firewall lets it in, and until it is shut out") {
  auto record = save_run(sys::current_process());
  core::VmNetwork connection{*impl, true, NetworkMode::Nat, {}, capabilities(), "engine"};
  bool was_in = false;
  const auto look = [&] {
    const auto inside = let_in();
    was_in = was_in || !inside.empty();
    if (inside.empty()) return;
    const auto on_disk = impl->runs.find(record.id);
    REQUIRE(on_disk);
    REQUIRE(on_disk->nat);
    CHECK(on_disk->nat->address == inside.front().to_string());
    const auto leases = core::NatNetwork{*impl}.pool().list();
    CHECK(std::ranges::count(leases, inside.front(), &net::Lease::address) == 1);
  };
  {
    const FileCalls calls{impl->layout.home(), look};
    connection.connect(record, std::nullopt);
  }
  look();
  REQUIRE(was_in);
  const FileCalls calls{impl->layout.home(), look};
  connection.disconnect();
  CHECK(let_in().empty());
  CHECK(core::NatNetwork{*impl}.pool().list().empty());
}
