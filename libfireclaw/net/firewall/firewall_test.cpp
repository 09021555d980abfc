#include "net/firewall/firewall.hpp"

#include <doctest/doctest.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "fireclaw/error.hpp"
#include "net/firewall/ruleset.hpp"
#include "net/testing/lab.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using namespace fireclaw::net;
using namespace fireclaw::net::testing;
using sys::testing::thrown_by;

namespace {

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "fireclaw-firewall-"};
  Namespace host;

  [[nodiscard]] Firewall firewall(NetworkPolicy policy = {}) const {
    return host.in([&] {
      Firewall made{std::move(policy), folder.path() / "lock"};
      made.try_out();
      return made;
    });
  }
  [[nodiscard]] std::string rules() const { return nft(host, "list ruleset"); }
};

VmPolicy machine(unsigned last, Egress egress = Egress::Internet) {
  const auto address = Ipv4Address::from_bits(0xAC100000 + last);
  return {tap_name(InterfaceName{"fcbr0"}, std::to_string(1000 + last)),
          MacAddress::for_address(address),
          address,
          egress,
          {},
          ServiceAccess::All,
          {}};
}

/// One that has the address of machine(2), and was left there by a crash.
VmPolicy crashed_machine(Egress egress = Egress::Internet) {
  auto crashed = machine(2, egress);
  crashed.tap = tap_name(InterfaceName{"fcbr0"}, "crashed");
  return crashed;
}

bool has(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the policy is loaded once, and again when it has changed") {
  const Fixture f;
  auto firewall = f.firewall();
  CHECK(firewall.ensure());
  const auto rules = f.rules();
  CHECK_FALSE(firewall.ensure());
  CHECK_FALSE(f.firewall().ensure());
  CHECK(f.rules() == rules);
  NetworkPolicy other;
  other.services = {Service::parse("8000")};
  CHECK(f.firewall(other).ensure());
  CHECK(has(f.rules(), "tcp . 8000"));
  CHECK_FALSE(has(f.rules(), "tcp . 6667"));
}

TEST_CASE("every policy can be loaded") {
  NetworkPolicy policy;
  SUBCASE("the default") {}
  SUBCASE("no services") { policy.services.clear(); }
  SUBCASE("another bridge") { policy.bridge = bridge_name("lab1"); }
  SUBCASE("another subnet") {
    policy.subnet = Ipv4Network::parse("10.0.0.0/8");
    policy.gateway = Ipv4Address::parse("10.255.255.254");
  }
  SUBCASE("everything") {
    policy.services = {Service::parse("6667"), Service::parse("127.0.0.1:11434"), Service::parse("53/udp")};
    policy.names_port = 10053;
    policy.new_connections_per_second = 50;
    policy.ping = false;
  }
  const Fixture f;
  auto firewall = f.firewall(policy);
  CHECK(firewall.ensure());
  CHECK_FALSE(firewall.ensure());
  CHECK(firewall.vms().empty());
}

TEST_CASE("half a firewall is not taken for a whole one") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  SUBCASE("without the table for taps") { nft(f.host, "delete table bridge fireclaw"); }
  SUBCASE("without the table for routing") { nft(f.host, "delete table inet fireclaw"); }
  CHECK(firewall.ensure());
}

TEST_CASE("machines are known to the kernel as they were given, and to every process") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  auto first = machine(2, Egress::Allowlist);
  first.allow = {Destination::parse("10.0.0.0/8"), Destination::parse("192.0.2.7:53/udp"),
                 Destination::parse("192.0.2.7:443/tcp"), Destination::parse("198.51.100.4")};
  first.publish = {Publication::parse("8080:80"), Publication::parse("127.0.0.1:2222:22"),
                   Publication::parse("5353:53/udp")};
  std::sort(first.allow.begin(), first.allow.end());
  std::sort(first.publish.begin(), first.publish.end());
  auto second = machine(3, Egress::None);
  second.services = ServiceAccess::Names;
  second.mib_per_second = 5;
  const auto third = machine(4);
  for (const auto& vm : {first, second, third}) firewall.add_vm(vm);
  CHECK(f.firewall().vms() == std::vector{first, second, third});

  CHECK(firewall.remove_vm(second));
  CHECK_FALSE(firewall.remove_vm(second));
  CHECK(firewall.remove_vm(first.address));
  CHECK_FALSE(firewall.remove_vm(first.address));
  CHECK(firewall.vms() == std::vector{third});
  // By what the kernel lists, too.
  firewall.add_vm(second);
  CHECK(firewall.remove_vm(second.address));
  CHECK(firewall.vms() == std::vector{third});
}

TEST_CASE("a change of the policy keeps the machines") {
  const Fixture f;
  auto before = f.firewall();
  before.ensure();
  auto vm = machine(2, Egress::Allowlist);
  vm.allow = {Destination::parse("10.0.0.0/8")};
  vm.publish = {Publication::parse("8080:80")};
  before.add_vm(vm);
  NetworkPolicy other;
  other.ping = false;
  auto after = f.firewall(other);
  CHECK(after.ensure());
  CHECK(after.vms() == std::vector{vm});
}

TEST_CASE("adding and removing machines leaves the rest of the ruleset as it was") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  const auto rules = f.rules();
  auto vm = machine(2, Egress::Allowlist);
  vm.allow = {Destination::parse("10.0.0.0/8"), Destination::parse("192.0.2.7:443")};
  vm.publish = {Publication::parse("8080:80")};
  firewall.add_vm(vm);
  CHECK(f.rules() != rules);
  firewall.remove_vm(vm);
  CHECK(f.rules() == rules);
}

TEST_CASE("what a crashed machine left at an address is gone when the next one gets it") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  auto crashed = crashed_machine();
  crashed.allow = {Destination::parse("10.0.0.0/8")};
  crashed.publish = {Publication::parse("8080:80")};
  firewall.add_vm(crashed);
  const auto next = machine(2, Egress::None);
  firewall.add_vm(next);
  CHECK(firewall.vms() == std::vector{next});
  CHECK_FALSE(has(f.rules(), "crashed"));
  CHECK_FALSE(has(f.rules(), "8080"));
}

TEST_CASE("what somebody else asked by the firewall's socket is not taken for its answer") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  firewall.add_vm(machine(2));
  // As an engine can, which has it too: the kernel refuses, and the refusal waits there to be read.
  struct {
    nlmsghdr header{.nlmsg_len = 20, .nlmsg_type = 0xfff, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = 0, .nlmsg_pid = 0};
    nfgenmsg family{};
  } nonsense;
  const auto ask_nonsense = [&] {
    REQUIRE(::send(firewall.socket(), &nonsense, sizeof nonsense, 0) == sizeof nonsense);
    pollfd refusal{.fd = firewall.socket(), .events = POLLIN, .revents = 0};
    REQUIRE(::poll(&refusal, 1, 0) == 1);
  };
  for (int i = 0; i < 3; ++i) ask_nonsense();
  CHECK(firewall.remove_vm(machine(2)));
  CHECK(firewall.vms().empty());
  ask_nonsense();
  firewall.add_vm(machine(2));
  CHECK(firewall.vms() == std::vector{machine(2)});
}

TEST_CASE("a machine that was left at an address goes, also if the next one has the same rights") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  const auto rules = f.rules();
  const auto crashed = crashed_machine();
  firewall.add_vm(crashed);
  CHECK(firewall.vms() == std::vector{crashed});
  const auto next = machine(2);
  firewall.add_vm(next);
  CHECK(firewall.vms() == std::vector{next});
  CHECK_FALSE(has(f.rules(), "crashed"));
  CHECK(firewall.remove_vm(next));
  CHECK(f.rules() == rules);
}

TEST_CASE(
    "what a machine that was left at an address was allowed is not allowed to the next one, with the same egress") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  auto crashed = crashed_machine(Egress::Allowlist);
  crashed.allow = {Destination::parse("192.0.2.7:443")};
  firewall.add_vm(crashed);
  auto next = machine(2, Egress::Allowlist);
  next.allow = {Destination::parse("192.0.2.8:443")};
  firewall.add_vm(next);
  const auto known = firewall.vms();
  REQUIRE(known.size() == 1);
  CHECK(known.front().tap == next.tap);
  CHECK_FALSE(has(f.rules(), "192.0.2.7"));
  CHECK(has(f.rules(), "192.0.2.8"));
}

TEST_CASE("a port of the host can be published once, and a refused machine gets nothing") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  auto first = machine(2);
  first.publish = {Publication::parse("8080:80")};
  firewall.add_vm(first);
  const auto rules = f.rules();
  auto second = machine(3);
  second.publish = {Publication::parse("9090:80"), Publication::parse("8080:8080")};
  const auto error = thrown_by([&] { firewall.add_vm(second); });
  CHECK(error.code() == ErrorCode::AlreadyExists);
  CHECK(has(error.what(), "8080:8080/tcp"));
  CHECK(has(error.what(), "172.16.0.2"));
  CHECK(f.rules() == rules);
  second.publish = {Publication::parse("0.0.0.0:8080:80"), Publication::parse("8080:80/udp")};
  firewall.add_vm(second);
  CHECK(firewall.vms().size() == 2);
}

TEST_CASE("reconciling leaves exactly the machines that are named") {
  const Fixture f;
  auto firewall = f.firewall();
  SUBCASE("with nothing loaded") {}
  SUBCASE("with other machines loaded") {
    firewall.ensure();
    firewall.add_vm(machine(2));
    firewall.add_vm(machine(7));
  }
  const std::vector vms{machine(3), machine(7, Egress::None)};
  firewall.reconcile(vms);
  CHECK(firewall.vms() == vms);
  CHECK_FALSE(firewall.ensure());
}

TEST_CASE("whatever looks at the firewall or changes it takes its turn") {
  const Fixture f;
  auto firewall = f.firewall();
  const auto lock = f.folder.path() / "lock";
  const auto takes_turn = [&](const auto& action) {
    std::filesystem::remove(lock);
    action();
    return std::filesystem::exists(lock);
  };
  const auto vm = machine(2, Egress::Allowlist);
  auto wider = vm;
  wider.allow = {Destination::parse("198.51.100.4")};
  CHECK(takes_turn([&] { firewall.ensure(); }));
  CHECK(takes_turn([&] { firewall.add_vm(vm); }));
  CHECK(takes_turn([&] { firewall.change_vm(vm, wider, {}, false); }));
  CHECK(takes_turn([&] { CHECK(firewall.vms() == std::vector{wider}); }));
  CHECK(takes_turn([&] { firewall.remove_vm(wider); }));
  CHECK(takes_turn([&] { firewall.remove_vm(vm.address); }));
  CHECK(takes_turn([&] { firewall.reconcile({}); }));
  CHECK(takes_turn([&] { static_cast<void>(firewall.foreign_drops()); }));
  CHECK(takes_turn([&] { firewall.remove(); }));
}

TEST_CASE("other tables are never touched, not even by a failure") {
  const Fixture f;
  nft(f.host,
      "add table inet filter; add chain inet filter forward { type filter hook forward priority 0; policy drop; };"
      "add rule inet filter forward counter accept; add table ip nat; add table bridge theirs; add table inet "
      "fireclaw2;"
      "add set inet fireclaw2 clients { type ipv4_addr; elements = { 10.0.0.1 }; }");
  const auto theirs = f.rules();
  auto firewall = f.firewall();
  firewall.ensure();
  firewall.add_vm(machine(2));
  thrown_by([&] {
    auto vm = machine(3);
    vm.tap = InterfaceName{"eth0"};
    firewall.add_vm(vm);
  });
  firewall.reconcile({});
  CHECK(has(f.rules(), "table inet fireclaw {"));
  CHECK(firewall.remove());
  CHECK(f.rules() == theirs);
  CHECK_FALSE(firewall.remove());
  CHECK(f.rules() == theirs);
}

TEST_CASE("what somebody else put into our tables does not outlive the next load") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  firewall.add_vm(machine(2));
  nft(f.host,
      "add element inet fireclaw egress { 172.16.0.9 : accept };"
      "add element inet fireclaw allowed_networks { 172.16.0.2 . 10.0.0.1-10.0.0.9 };"
      "add rule inet fireclaw input accept");
  CHECK(firewall.vms() == std::vector{machine(2)});
  firewall.reconcile(std::vector{machine(2)});
  CHECK(f.rules().find("10.0.0.9") == std::string::npos);
  CHECK(firewall.vms() == std::vector{machine(2)});
}

TEST_CASE("two bridges have two firewalls side by side") {
  for (const auto* name : {"lab1", "fcbr", "fcbr01"}) {
    CAPTURE(name);
    const Fixture f;
    auto first = f.firewall();
    NetworkPolicy policy;
    policy.bridge = bridge_name(name);
    auto second = f.firewall(policy);
    first.ensure();
    const auto rules = f.rules();
    CHECK(second.vms().empty());
    second.ensure();
    CHECK(second.remove());
    CHECK(f.rules() == rules);
    second.ensure();
    CHECK(first.remove());
    CHECK(first.vms().empty());
    CHECK_FALSE(first.remove());
  }
}

TEST_CASE("a machine cannot be added to a firewall that somebody has flushed") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  nft(f.host, "flush ruleset");
  CHECK(thrown_by([&] { firewall.add_vm(machine(2)); }).code() == ErrorCode::InvalidState);
  CHECK_FALSE(firewall.remove_vm(machine(2)));
  CHECK(f.rules().empty());
}

TEST_CASE("chains in the way that drop what they do not know are named, with the command that mends it") {
  const Fixture f;
  auto firewall = f.firewall();
  firewall.ensure();
  CHECK(firewall.foreign_drops().empty());
  nft(f.host,
      "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; };"
      "add chain ip filter INPUT { type filter hook input priority 0; policy accept; };"
      "add rule ip filter INPUT ct state established accept; add rule ip filter INPUT counter reject;"
      "add table ip6 filter; add chain ip6 filter FORWARD { type filter hook forward priority 0; policy drop; };"
      "add table inet open; add chain inet open input { type filter hook input priority 0; policy accept; };"
      "add rule inet open input tcp dport 22 drop;");
  const auto found = firewall.foreign_drops();
  REQUIRE(found.size() == 2);
  CHECK(has(found[0].problem, "chain FORWARD of table ip filter"));
  CHECK(has(found[0].problem, "beyond this host"));
  CHECK(has(found[1].problem, "chain INPUT of table ip filter"));
  CHECK(has(found[1].problem, "the gateway's services"));
  // Both ways through this host, and one into it.
  CHECK((has(found[0].remedy, "iifname") && has(found[0].remedy, "oifname")));
  CHECK((has(found[1].remedy, "iifname") && !has(found[1].remedy, "oifname")));
  // The commands that are named do it.
  for (const auto& obstacle : found) {
    for (std::size_t at = obstacle.remedy.find('\''); at != std::string::npos;) {
      const auto end = obstacle.remedy.find('\'', at + 1);
      nft(f.host, obstacle.remedy.substr(at + 1, end - at - 1));
      at = obstacle.remedy.find('\'', end + 1);
    }
  }
  CHECK(firewall.foreign_drops().empty());
}

TEST_CASE("several processes and threads add machines at once, and all are there") {
  const Fixture f;
  f.firewall().ensure();
  constexpr unsigned processes = 4;
  constexpr unsigned each = 10;
  std::vector<pid_t> children;
  for (unsigned child = 0; child < processes; ++child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      int status = 1;
      try {
        auto firewall = f.firewall();
        for (unsigned i = 0; i < each; ++i) firewall.add_vm(machine(2 + child * each + i));
        status = 0;
      } catch (const std::exception& error) {
        ::dprintf(2, "%s\n", error.what());
      }
      ::_exit(status);
    }
    children.push_back(pid);
  }
  auto shared = f.firewall();
  auto own = f.firewall();
  std::vector<std::thread> threads;
  for (unsigned thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&, thread] {
      for (unsigned i = 0; i < each; ++i) (thread % 2 == 0 ? shared : own).add_vm(machine(100 + thread * each + i));
    });
  }
  for (auto& thread : threads) thread.join();
  for (const auto pid : children) {
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
  CHECK(shared.vms().size() == processes * each + 4 * each);
}
