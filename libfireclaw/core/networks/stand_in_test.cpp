// The network of machines from their start to their end, on the stand-in for Firecracker, in a network namespace of the
// test's own.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/scope.hpp"
#include "base/sync.hpp"
#include "core/host/cgroups.hpp"
#include "core/networks/gateway.hpp"
#include "core/networks/nat.hpp"
#include "core/testing/stand_in_home.hpp"
#include "fireclaw/gateway.hpp"
#include "fireclaw/vm.hpp"
#include "net/links/netlink.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using sys::testing::error_of;
using sys::testing::FileCalls;
using testing::StandInHome;
using testing::Witness;

struct Fixture : StandInHome {
  std::shared_ptr<Host::Impl> host = open();

  Fixture() { set_knobs("open_taps\n"); }
  ~Fixture() {
    NatNetwork network{*host};
    const auto turn = network.take_turn();
    network.reclaim();
    network.remove();
  }

  [[nodiscard]] std::unique_ptr<VM::Impl> start(const std::vector<std::string>& publish = {}) const {
    VMConfig config;
    config.memory_mib = 128;
    config.network = NetworkMode::Nat;
    config.nat.publish = publish;
    auto machine = std::make_unique<VM::Impl>(host, config);
    machine->start();
    return machine;
  }
  [[nodiscard]] std::size_t leases() const { return NatNetwork{*host}.pool().list().size(); }
  [[nodiscard]] std::size_t let_in() const {
    net::Firewall spy{NatNetwork{*host}.policy(), home() / "spy-lock"};
    return spy.vms().size();
  }
  [[nodiscard]] static std::ptrdiff_t taps() {
    return std::ranges::count_if(net::Netlink{}.links(), [](const net::Link& link) { return link.master != 0; });
  }
};

TEST_CASE_FIXTURE(Fixture, "an engine stands still, or has ended, before its machine leaves the network") {
  auto machine = start();
  REQUIRE(leases() == 1);
  REQUIRE(let_in() == 1);
  // Those that have one are waited for.
  const auto cgroup = std::exchange(machine->record.cgroup, {});
  // Kept by the instance: the thread that waits for its end, where nobody else does, kills it again.
  const auto order = std::make_shared<Sync<std::vector<std::string>>>();
  const auto note = [order](std::string_view what) {
    order->with([&](auto& steps) {
      if (steps.empty() || steps.back() != what) steps.emplace_back(what);
    });
  };
  auto witness = std::make_unique<Witness>(std::move(machine->instance), note);
  std::vector<std::string> expected{"freeze", "leave", "kill"};
  SUBCASE("one that can be frozen is not waited for") {}
  SUBCASE("one that cannot is") {
    witness->refuse_to_freeze();
    expected = {"freeze", "kill", "leave"};
  }
  SUBCASE("one that leaves something to be cleaned up is") {
    SUBCASE("a name") { machine->record.machine = "one"; }
    SUBCASE("an agent") { machine->record.agent = "ada"; }
    SUBCASE("a workspace") { machine->record.workspace = "ada"; }
    SUBCASE("a cgroup") { machine->record.cgroup = (home() / "cgroup").native(); }
    expected = {"kill", "leave"};
  }
  machine->instance = std::move(witness);
  {
    FileCalls* recorded = nullptr;
    FileCalls calls{home(), [&] {
                      // The address is given back when the firewall has shut the machine out.
                      if (recorded == nullptr || !recorded->lines().back().ends_with("ip-pool.json")) return;
                      CHECK(let_in() == 0);
                      note("leave");
                    }};
    recorded = &calls;
    machine.reset();
  }
  CHECK(order->with([](const auto& steps) { return steps; }) == expected);
  CHECK(leases() == 0);
  remove_machine_cgroup(cgroup, host->logger);
}

TEST_CASE_FIXTURE(Fixture, "a machine's own rate of its network goes before the home folder's") {
  struct Row {
    std::optional<std::uint64_t> usual;
    unsigned own;
    std::uint64_t expected;
  };
  for (const auto& row : {Row{std::nullopt, 0, 0}, Row{std::nullopt, 3, 3}, Row{7, 0, 7}, Row{7, 3, 3}, Row{3, 7, 7}}) {
    CAPTURE(row.own);
    auto settings = host->config();
    settings.limits.network_mib_per_second = row.usual;
    state::write_config(host->layout.config(), settings);
    VMConfig config;
    config.memory_mib = 128;
    config.network = NetworkMode::Nat;
    config.nat.mib_per_second = row.own;
    VM::Impl machine{host, config};
    CHECK(machine.config.nat.mib_per_second == row.expected);
  }
}

TEST_CASE_FIXTURE(Fixture, "a machine that is refused in the middle of being connected leaves nothing") {
  // A host's ports are also served on its loopback, if that is up.
  const auto set_loopback = [](bool up) {
    net::Netlink netlink;
    netlink.set_up(netlink.get_link(net::InterfaceName{"lo"}).index, up);
  };
  std::vector<std::string> ports{"0.0.0.0:8080:80"};
  SUBCASE("with loopback") {
    set_loopback(true);
    ports.emplace_back("8080:81");
  }
  SUBCASE("without") {}
  const ScopeGuard down{[&] { set_loopback(false); }};
  const auto first = start({"0.0.0.0:8080:80"});
  REQUIRE(leases() == 1);
  REQUIRE(let_in() == 1);
  REQUIRE(taps() == 1);
  const auto engine = *first->record.process;
  for (const auto& port : ports) {
    const auto [code, text] = error_of([&] { static_cast<void>(start({port})); });
    CAPTURE(text);
    CHECK(code == ErrorCode::AlreadyExists);
    CHECK(text == fmt::format("cannot publish {}/tcp: the machine with address {} has published that port of the host",
                              port, first->record.nat->address));
  }
  CHECK(leases() == 1);
  CHECK(let_in() == 1);
  CHECK(taps() == 1);
  const auto runs = host->runs.list();
  REQUIRE(runs.size() == 1);
  CHECK(runs.front().process == engine);
}

TEST_CASE_FIXTURE(Fixture, "a machine whose start fails once it is connected is in no network from then on") {
  set_knobs("open_taps\ndie_at=/actions");
  VMConfig config;
  config.memory_mib = 128;
  config.network = NetworkMode::Nat;
  VM::Impl machine{host, config};
  CHECK(error_of([&] { machine.start(); }).first == ErrorCode::Vmm);
  // However long it is kept.
  CHECK(leases() == 0);
  CHECK(let_in() == 0);
  CHECK(taps() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a gateway is started in the network's turn, and only where there are machines for it") {
  HostOptions options;
  options.home = home();
  // Beside it there is no program for the gateway.
  options.guestd = home() / "guestd";
  bool taken = false;
  options.log = [&](LogLevel, std::string_view message) {
    if (!message.starts_with("there is no gateway")) return;
    taken = !sys::FileLock::try_acquire(host->layout.lock("network"), sys::FileLock::Mode::Exclusive);
  };
  host = Access::impl(Host::open(options));
  auto config = host->config();
  config.gateway =
      json::Value::parse(R"({"llm": {"upstreams": [{"name": "one", "url": "http://127.0.0.1:1"}]}})", "it");
  state::write_config(host->layout.config(), config);
  const Gateway serving = Access::host(host).gateway();
  const auto takes_turn = [&] {
    taken = false;
    CHECK_FALSE(serving.ensure());
    return taken;
  };
  CHECK_FALSE(takes_turn());
  const auto machine = start();
  CHECK(takes_turn());
  put_gateway(*host, sys::current_process(), NatNetwork{*host}.policy().gateway, {11434, std::nullopt, false});
  CHECK_FALSE(takes_turn());
  std::filesystem::remove(gateway::files_of(host->layout, gateway::Place::Host).record);
}

TEST_CASE_FIXTURE(Fixture, "a gateway's record that a power failure has emptied is none") {
  constexpr auto place = gateway::Place::Host;
  put_gateway(*host, sys::current_process(), NatNetwork{*host}.policy().gateway, {11434, std::nullopt, false});
  REQUIRE(find_gateway(*host, place));
  std::ofstream{gateway::files_of(host->layout, place).record, std::ios::trunc};
  CHECK_FALSE(find_gateway(*host, place));
  CHECK_FALSE(end_gateway(*host, place));
  CHECK(start()->state == VMState::Running);
}

}  // namespace
}  // namespace fireclaw::core
