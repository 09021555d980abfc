// What the network of a home folder does in which order, in a network namespace of the test's own.
#include "core/networks/nat.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/networks/connection.hpp"
#include "core/networks/entrances.hpp"
#include "core/networks/gateway.hpp"
#include "core/networks/reach.hpp"
#include "fireclaw/host.hpp"
#include "net/links/netlink.hpp"
#include "state/records/run_policy.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using sys::testing::code_of;
using sys::testing::error_of;
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
    const auto record = save_run(owner);
    const auto lease = network.pool().allocate(owner, record.id).lease;
    const net::VmPolicy policy{
        lease.tap, lease.mac(), lease.address, net::Egress::Internet, {}, net::ServiceAccess::All, {}};
    impl->runs.change(record.id, [&](state::RunRecord& now) { now.nat = state::to_record(policy); });
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
    connection.prepare();
    connection.connect(record, std::nullopt);
  }
  look();
  REQUIRE(was_in);
  const FileCalls calls{impl->layout.home(), look};
  connection.disconnect();
  CHECK(let_in().empty());
  CHECK(core::NatNetwork{*impl}.pool().list().empty());
}

TEST_CASE_FIXTURE(Fixture, "a change of reach that the firewall refuses is not in the machine's record") {
  core::NatNetwork network{*impl};
  std::optional<net::Ipv4Address> address;
  {
    const auto turn = network.take_turn();
    network.ensure();
    address = connect(network, sys::current_process());
  }
  const auto id = impl->runs.list().front().id;
  const auto allow = [&](const std::string& destination) {
    return core::change_reach(*impl, id, destination, core::ReachChange::Allow, "machine 'one'");
  };
  const auto recorded = [&] { return impl->runs.find(id)->nat->allow; };
  CHECK(allow("192.0.2.1") == std::vector<std::string>{"192.0.2.1"});
  REQUIRE(network.firewall().remove_vm(*address));
  CHECK(code_of([&] { static_cast<void>(allow("192.0.2.2")); }) == ErrorCode::InvalidState);
  CHECK(recorded() == std::vector<std::string>{"192.0.2.1"});
}

TEST_CASE_FIXTURE(Fixture, "what a machine is to reach and to publish is refused where it cannot be") {
  struct Row {
    NatOptions options;
    std::string complaint;
  };
  const auto with = [](auto change) {
    NatOptions options;
    change(options);
    return options;
  };
  for (const auto& row : {
           Row{with([](auto& o) { o.egress = Egress::None; }), ""},
           Row{with([](auto& o) {
                 o.egress = Egress::None;
                 o.allow = {"192.0.2.1"};
               }),
               "'192.0.2.1' cannot be allowed with egress \"none\"; use \"allowlist\""},
           Row{with([](auto& o) {
                 o.egress = Egress::Allowlist;
                 o.allow = {"192.0.2.1"};
               }),
               ""},
           Row{with([](auto& o) {
                 o.services = GatewayServices::None;
                 o.allow_http = {"example.org"};
               }),
               "'example.org' is reached through the gateway, and the machine may use none of its services"},
           Row{with([](auto& o) { o.allow_http = {"example.org:443/udp"}; }),
               "'example.org:443/udp': web servers are reached by TCP"},
           Row{with([](auto& o) {
                 o.publish = {"8080:80", "8080:81"};
               }),
               "'8080:81' is published twice"},
           Row{with([](auto& o) {
                 o.publish = {"8080:80", "8080:81/udp", "127.0.0.2:8080:82"};
               }),
               ""},
       }) {
    CAPTURE(row.complaint);
    const auto make = [&] {
      static_cast<void>(core::VmNetwork{*impl, true, NetworkMode::Nat, row.options, capabilities(), "engine"});
    };
    if (row.complaint.empty()) {
      CHECK_NOTHROW(make());
    } else {
      CHECK(error_of(make) == std::pair{ErrorCode::InvalidArgument, row.complaint});
    }
  }
}

TEST_CASE("this host's addresses are all that others know it by, each once") {
  net::Netlink netlink;
  netlink.set_up(netlink.get_link(net::InterfaceName{"lo"}).index, true);
  const std::array names{net::InterfaceName{"lab-a"}, net::InterfaceName{"lab-b"}};
  for (const auto& name : names) netlink.create_bridge(name, net::MacAddress::parse("02:00:00:00:00:01"), 1500);
  const auto index = [&](std::size_t which) { return netlink.get_link(names.at(which)).index; };
  const auto address = [](const char* text) { return net::Ipv4Address::parse(text); };
  netlink.add_address(index(0), address("198.51.100.7"), 24);
  netlink.add_address(index(0), address("192.0.2.9"), 32);
  netlink.add_address(index(1), address("192.0.2.9"), 32);
  CHECK(core::host_addresses() == std::vector{address("192.0.2.9"), address("198.51.100.7")});
  for (const auto& name : names) netlink.delete_link(name);
  CHECK(core::host_addresses().empty());
  netlink.set_up(netlink.get_link(net::InterfaceName{"lo"}).index, false);
}

TEST_CASE("a port that another program has is missing among the gateway's, and the others are there") {
  const Fixture f;
  const core::GatewayPorts ports{11434, 6667, true};
  const auto address = core::NatNetwork{*f.impl}.policy().gateway;
  {
    const auto taken = core::bind_ports(*f.impl, address, {11434, std::nullopt, false});
    REQUIRE(taken.llm);
    const auto rest = core::bind_ports(*f.impl, address, ports);
    CHECK_FALSE(rest.llm);
    CHECK(rest.irc);
    CHECK((rest.names_udp && rest.names_tcp));
    REQUIRE(rest.problems.size() == 1);
    CHECK(rest.problems[0].find("no LLM from the gateway: port 11434 of 172.16.0.1 is taken") != std::string::npos);
  }
  const auto all = core::bind_ports(*f.impl, address, ports);
  CHECK(all.llm);
  CHECK(all.problems.empty());
}

TEST_CASE("a port that cannot be published is refused, however many others can") {
  const auto open = [](const std::vector<std::string>& texts) {
    std::vector<net::Publication> ports;
    for (const auto& text : texts) ports.push_back(net::Publication::parse(text));
    return core::Entrances::open(ports, true);
  };
  const auto first = open({"18080:80", "15353:53/udp"});
  CHECK_FALSE(first.empty());
  CHECK(code_of([&] { open({"18081:81", "18080:80"}); }) == ErrorCode::AlreadyExists);
  CHECK(code_of([&] { open({"15353:53/udp"}); }) == ErrorCode::AlreadyExists);
  CHECK(code_of([&] { open({"192.0.2.77:18082:82"}); }) == ErrorCode::InvalidArgument);
  // What was had before it is given back.
  CHECK_FALSE(open({"18081:81"}).empty());
}

TEST_CASE("a gateway without machines gives its place up, once nobody has asked for it for a while") {
  const Fixture f;
  constexpr auto place = gateway::Place::Host;
  core::NatNetwork network{*f.impl};
  core::put_gateway(*f.impl, sys::current_process(), network.policy().gateway, {11434, std::nullopt, false});
  CHECK_FALSE(core::retire_gateway(*f.impl, place, std::chrono::hours{1}));
  {
    const auto lease = network.pool().allocate(sys::current_process(), "vm").lease;
    CHECK(core::has_machines(*f.impl));
    CHECK_FALSE(core::retire_gateway(*f.impl, place, std::chrono::seconds{0}));
    network.pool().release(lease.address, "vm");
  }
  {
    // Who has its turn may be about to need it.
    const auto turn = network.take_turn();
    CHECK_FALSE(core::retire_gateway(*f.impl, place, std::chrono::seconds{0}));
  }
  CHECK(core::find_gateway(*f.impl, place));
  CHECK(core::retire_gateway(*f.impl, place, std::chrono::seconds{0}));
  CHECK_FALSE(core::find_gateway(*f.impl, place));
}

TEST_CASE("the host's network and an anchor's have a gateway each") {
  const Fixture f;
  const auto other = sleeper();
  const auto address = core::NatNetwork{*f.impl}.policy().gateway;
  core::put_gateway(*f.impl, other.id(), address, {11434, std::nullopt, false});
  CHECK_FALSE(core::find_gateway(*f.impl, gateway::Place::Anchor));
  const auto here = core::GatewayParts::make(*f.impl, gateway::Place::Host);
  const auto there = core::GatewayParts::make(*f.impl, gateway::Place::Anchor);
  CHECK_FALSE(core::end_gateway(*f.impl, gateway::Place::Anchor));
  CHECK(core::find_gateway(*f.impl, gateway::Place::Host));
  CHECK(core::end_gateway(*f.impl, gateway::Place::Host));
  CHECK_FALSE(core::find_gateway(*f.impl, gateway::Place::Host));
}

TEST_CASE("who writes elsewhere is not led to a log, and who writes to one that another set aside is led to the next") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "nat-test-"};
  const auto file = folder.path() / "log";
  const auto elsewhere = folder.path() / "elsewhere";
  const auto before = sys::duplicate(STDERR_FILENO);
  const auto output = sys::duplicate(STDOUT_FILENO);
  const auto write_to = [](const std::filesystem::path& path) {
    const auto log = sys::open_file(path, O_WRONLY | O_CREAT | O_APPEND);
    sys::check(::dup2(log.get(), STDERR_FILENO), "dup2");
  };
  const auto say = [](std::string_view text) {
    sys::write_all(STDERR_FILENO, text, Deadline::after(std::chrono::seconds{10}));
  };
  write_to(elsewhere);
  core::keep_log_short(file);
  say("elsewhere\n");
  const bool made = std::filesystem::exists(file);
  write_to(file);
  say("old\n");
  std::filesystem::rename(file, file.native() + ".1");
  core::keep_log_short(file);
  say("new\n");
  sys::check(::dup2(before.get(), STDERR_FILENO), "dup2");
  sys::check(::dup2(output.get(), STDOUT_FILENO), "dup2");
  CHECK_FALSE(made);
  CHECK(sys::read_file(elsewhere) == "elsewhere\n");
  CHECK(sys::read_file(file.native() + ".1") == "old\n");
  CHECK(sys::read_file(file) == "new\n");
}

TEST_CASE("a log that is long is set aside, and what is written then begins another") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "nat-test-"};
  const auto file = folder.path() / "log";
  const auto before = sys::duplicate(STDERR_FILENO);
  const auto output = sys::duplicate(STDOUT_FILENO);
  {
    const auto log = sys::open_file(file, O_WRONLY | O_CREAT | O_APPEND);
    sys::check(::dup2(log.get(), STDERR_FILENO), "dup2");
  }
  sys::write_all(STDERR_FILENO, "short\n", Deadline::after(std::chrono::seconds{10}));
  core::keep_log_short(file);
  const bool kept = !std::filesystem::exists(file.native() + ".1");
  sys::write_all(STDERR_FILENO, std::string(2 << 20, 'x'), Deadline::after(std::chrono::seconds{10}));
  core::keep_log_short(file);
  sys::write_all(STDERR_FILENO, "next\n", Deadline::after(std::chrono::seconds{10}));
  sys::check(::dup2(before.get(), STDERR_FILENO), "dup2");
  sys::check(::dup2(output.get(), STDOUT_FILENO), "dup2");
  CHECK(kept);
  CHECK(sys::read_file(file) == "next\n");
  CHECK(std::filesystem::file_size(file.native() + ".1") > (2 << 20));
}
