// Real guests with their own addresses on a real bridge behind a real firewall, in namespaces that the test makes.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <future>
#include <memory>
#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "fireclaw/gateway.hpp"
#include "support.hpp"
#include "world.hpp"

using namespace fireclaw;
using test::ask;
using test::Listener;
using test::NetworkHome;
using test::shell;

namespace {

VMConfig with_nat(NatOptions options = {Egress::Internet, {}, {}, GatewayServices::All}) {
  VMConfig config;
  config.network = NetworkMode::Nat;
  config.nat = std::move(options);
  config.start = StartMode::RequireSnapshot;
  return config;
}

/// What a guest hears from a TCP port: the server's words, or "nothing".
std::string guest_asks(VM& vm, const std::string& address, int port) {
  return shell(vm, "nc -w 5 " + address + " " + std::to_string(port) + " < /dev/null 2> /dev/null || echo nothing");
}

/// Has a guest answer "hello" on a TCP port; returns once it listens.
void serve_hello(VM& vm, int port) {
  const auto number = std::to_string(port);
  shell(vm, "printf '#!/bin/sh\necho hello\n' > /tmp/hello; chmod +x /tmp/hello; (nc -ll -p " + number +
                " -e /tmp/hello > /dev/null 2>&1 &)");
  shell(vm, "while ! netstat -ltn | grep -q ':" + number + " '; do :; done");
}

/// `fireclaw run` as its own process, with a machine that runs until it is killed.
class Owner {
 public:
  Owner(const NetworkHome& home, const std::vector<std::string>& options) {
    std::vector<std::string> words{test::environment("FIRECLAW_PROGRAM", ""), "--home", home.path(), "run"};
    if (const auto engine = test::environment("FIRECLAW_TEST_ENGINE", ""); !engine.empty()) {
      words.insert(words.begin() + 1, {"--engine", engine});
    }
    words.insert(words.end(), options.begin(), options.end());
    words.emplace_back("echo up; sleep 1000");
    std::vector<char*> argv;
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    int output[2];
    REQUIRE(::pipe2(output, O_CLOEXEC) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ == 0) {
      ::dup2(output[1], STDOUT_FILENO);
      ::execv(argv[0], argv.data());
      ::_exit(127);
    }
    ::close(output[1]);
    char text[3]{};
    const auto got = ::read(output[0], text, sizeof text);
    ::close(output[0]);
    REQUIRE(got == sizeof text);
  }
  Owner(const Owner&) = delete;
  Owner& operator=(const Owner&) = delete;
  ~Owner() { kill(); }
  void kill() {
    if (pid_ <= 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_ = 0;
};

/// Everything of fireclaw's that a user of the namespace could see.
std::string traces() {
  return test::host("ip -o link | grep -o 'fcbr0[^:@ ]*' || true") +
         // But for what the kernel remembers of connections for a while.
         test::host("nft list ruleset | grep -F 172.16.0 | grep -vE 'limit rate|ct count over' || true");
}

/// The same with a network that is up and has no machines.
std::string idle_traces(const Host& host) {
  host.network().up();
  return traces();
}

struct Fixture {
  Fixture() { idle = idle_traces(host); }
  ~Fixture() {
    try {
      host.network().down();
    } catch (const Error& problem) {
      FAIL_CHECK(problem.what());
    }
  }
  test::Internet internet;
  NetworkHome home;
  Host host = home.open();
  std::string idle;
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a machine reaches the gateway's services, and nothing else of the host") {
  const Listener irc{"0.0.0.0", 6667};
  const Listener other{"0.0.0.0", 7777};
  auto vm = host.vms().run(with_nat());
  const auto address = vm.info().address;
  CHECK(shell(vm, "ip -4 -o address show dev eth0").find(address + "/24") != std::string::npos);
  CHECK(guest_asks(vm, "172.16.0.1", 6667) == address);
  CHECK(guest_asks(vm, "172.16.0.1", 7777) == "nothing");
  CHECK(guest_asks(vm, "198.51.100.1", 6667) == "nothing");
  CHECK(guest_asks(vm, "198.51.100.1", 7777) == "nothing");
  CHECK(shell(vm, "cat /etc/resolv.conf").find("172.16.0.1") != std::string::npos);

  auto without = host.vms().run(with_nat({Egress::Internet, {}, {}, GatewayServices::None}));
  CHECK(guest_asks(without, "172.16.0.1", 6667) == "nothing");
  CHECK(shell(without, "cat /etc/resolv.conf").find("172.16.0.1") == std::string::npos);
  auto by_default = host.vms().run(with_nat(NatOptions{}));
  CHECK(guest_asks(by_default, "172.16.0.1", 6667) == "nothing");
  CHECK(shell(by_default, "cat /etc/resolv.conf").find("172.16.0.1") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a machine that boots cold is connected like one that is restored") {
  const Listener irc{"0.0.0.0", 6667};
  auto config = with_nat();
  config.start = StartMode::Cold;
  auto vm = host.vms().run(config);
  CHECK(guest_asks(vm, "172.16.0.1", 6667) == vm.info().address);
}

TEST_CASE_FIXTURE(Fixture, "machines do not reach each other, also when they lie about who they are") {
  const Listener irc{"0.0.0.0", 6667};
  auto a = host.vms().run(with_nat());
  auto b = host.vms().run(with_nat());
  const auto address = b.info().address;
  REQUIRE(a.info().address != address);
  serve_hello(b, 9000);
  CHECK(guest_asks(b, address, 9000) == "hello");
  CHECK(guest_asks(a, address, 9000) == "nothing");
  CHECK(shell(a, "ping -c 1 -W 2 " + address + " > /dev/null && echo pong || echo silence") == "silence");

  // Its own address works; another's, and another MAC, do not.
  CHECK(shell(a, "ping -c 1 -W 5 172.16.0.1 > /dev/null && echo pong || echo silence") == "pong");
  shell(a, "ip address add 172.16.0.200/24 dev eth0");
  CHECK(shell(a, "ping -c 1 -W 2 -I 172.16.0.200 172.16.0.1 > /dev/null && echo pong || echo silence") == "silence");
  CHECK(guest_asks(a, "172.16.0.1", 6667) == a.info().address);
  shell(a, "ip link set eth0 down && ip link set eth0 address 02:fc:ac:10:00:c8 && ip link set eth0 up");
  CHECK(shell(a, "ping -c 1 -W 2 172.16.0.1 > /dev/null && echo pong || echo silence") == "silence");
}

TEST_CASE_FIXTURE(Fixture, "egress decides what of the outside is reached") {
  std::vector<std::unique_ptr<Listener>> servers;
  internet.there().in([&] {
    for (const int port : {80, 81}) {
      servers.push_back(std::make_unique<Listener>("0.0.0.0", static_cast<std::uint16_t>(port)));
    }
  });
  auto everywhere = host.vms().run(with_nat());
  CHECK(guest_asks(everywhere, "203.0.113.7", 80) == "198.51.100.1");
  CHECK(guest_asks(everywhere, "203.0.113.8", 81) == "198.51.100.1");
  CHECK(guest_asks(everywhere, "10.20.30.40", 80) == "nothing");
  everywhere.kill();

  auto nowhere = host.vms().run(with_nat({Egress::None, {}, {}, GatewayServices::All}));
  CHECK(guest_asks(nowhere, "203.0.113.7", 80) == "nothing");
  nowhere.kill();

  auto some = host.vms().run(
      with_nat({Egress::Allowlist, {"203.0.113.7:80", "10.20.30.0/24:81/tcp"}, {}, GatewayServices::All}));
  CHECK(guest_asks(some, "203.0.113.7", 80) == "198.51.100.1");
  CHECK(guest_asks(some, "203.0.113.7", 81) == "nothing");
  CHECK(guest_asks(some, "203.0.113.8", 80) == "nothing");
  CHECK(guest_asks(some, "10.20.30.40", 81) == "198.51.100.1");
  CHECK(guest_asks(some, "10.20.30.40", 80) == "nothing");
}

TEST_CASE("an allowed name is resolved and reached, and what is not on the list is not even asked for") {
  const test::Internet internet;
  std::unique_ptr<Listener> server;
  std::unique_ptr<test::NameServer> names;
  internet.there().in([&] {
    server = std::make_unique<Listener>("0.0.0.0", 80);
    names = std::make_unique<test::NameServer>("203.0.113.8", "203.0.113.7");
  });
  const NetworkHome home{R"({"resolver": "203.0.113.8"})"};
  const auto host = home.open();
  {
    auto vm = host.vms().run(with_nat({Egress::Allowlist, {"*.allowed.example:80"}, {}, GatewayServices::Names}));
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "nothing");
    CHECK(guest_asks(vm, "secret.other.example", 80) == "nothing");
    CHECK(names->asked().empty());
    CHECK(guest_asks(vm, "www.allowed.example", 80) == "198.51.100.1");
    CHECK(names->asked().size() == 1);
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "198.51.100.1");

    auto nowhere = host.vms().run(with_nat({Egress::None, {}, {}, GatewayServices::Names}));
    CHECK(guest_asks(nowhere, "www.allowed.example", 80) == "nothing");
    CHECK(names->asked().size() == 1);
    auto everywhere = host.vms().run(with_nat({Egress::Internet, {}, {}, GatewayServices::Names}));
    CHECK(guest_asks(everywhere, "anything.example", 80) == "198.51.100.1");
    // The gateway is started again by the next machine.
    const auto gateway = host.gateway().info().pid;
    ::kill(static_cast<pid_t>(gateway), SIGKILL);
    while (host.gateway().info().pid == gateway) std::this_thread::sleep_for(std::chrono::milliseconds{10});
    auto next = host.vms().run(with_nat({Egress::Internet, {}, {}, GatewayServices::Names}));
    CHECK(guest_asks(next, "anything.example", 80) == "198.51.100.1");
  }
  const auto refused = test::error_of([&] {
    return host.vms().run(with_nat({Egress::Allowlist, {"*.allowed.example"}, {}, GatewayServices::None}));
  });
  CHECK(refused.code() == ErrorCode::InvalidArgument);
  CHECK(host.network().down());
}

TEST_CASE("a machine reaches web servers by name through the gateway's proxy, and nothing else") {
  const test::Internet internet;
  std::unique_ptr<Listener> server;
  std::unique_ptr<test::NameServer> names;
  internet.there().in([&] {
    server = std::make_unique<Listener>("0.0.0.0", 80);
    names = std::make_unique<test::NameServer>("203.0.113.8", "203.0.113.7");
  });
  const NetworkHome home{R"({"resolver": "203.0.113.8"})"};
  const auto host = home.open();
  {
    const auto by_proxy = [](VM& vm, const std::string& request) {
      const auto line = "printf '" + request + "\\r\\n\\r\\n' | nc -w 5 172.16.0.1 10080";
      return shell(vm, line + " | head -n 1 | tr -d '\\r'");
    };
    NatOptions options{Egress::None, {}, {}, GatewayServices::Names};
    auto without = host.vms().run(with_nat(options));
    options.allow_http = {"*.allowed.example"};
    auto vm = host.vms().run(with_nat(options));
    CHECK(by_proxy(vm, "GET http://www.allowed.example/ HTTP/1.0") == "198.51.100.1");
    CHECK(by_proxy(vm, "GET http://other.example/ HTTP/1.0") == "HTTP/1.1 403 Forbidden");
    CHECK(by_proxy(vm, "GET http://203.0.113.7/ HTTP/1.0") == "HTTP/1.1 403 Forbidden");
    CHECK(by_proxy(vm, "CONNECT www.allowed.example:22 HTTP/1.0") == "HTTP/1.1 403 Forbidden");
    CHECK(by_proxy(vm, "GET http://www.allowed.example/ HTTP/1.1\\r\\nHost: other.example") ==
          "HTTP/1.1 400 Bad Request");
    CHECK(by_proxy(without, "GET http://www.allowed.example/ HTTP/1.0") == "HTTP/1.1 403 Forbidden");
    CHECK(names->asked().size() == 1);
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "nothing");
    CHECK(shell(vm, "echo $https_proxy $NO_PROXY") ==
          "http://172.16.0.1:10080 localhost,127.0.0.1,::1,gateway,gateway.fireclaw.internal,172.16.0.1");
    CHECK(shell(without, "echo \"$HTTP_PROXY\"").empty());
    CHECK(host.gateway().info().http.refused == 5);
  }
  CHECK(host.network().down());
}

TEST_CASE("what a machine may reach is changed while it runs, and what it was refused is written down") {
  const test::Internet internet;
  std::unique_ptr<Listener> server;
  std::unique_ptr<test::NameServer> names;
  internet.there().in([&] {
    server = std::make_unique<Listener>("0.0.0.0", 80);
    names = std::make_unique<test::NameServer>("203.0.113.8", "203.0.113.7");
  });
  const NetworkHome home{R"({"resolver": "203.0.113.8"})"};
  const auto host = home.open();
  using List = std::vector<std::string>;
  {
    auto vm = host.vms().run(with_nat({Egress::None, {}, {}, GatewayServices::Names}));
    const auto id = vm.info().id;
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "nothing");
    CHECK(host.network().allow(id, "203.0.113.7:80") == List{"203.0.113.7:80"});
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "198.51.100.1");
    CHECK(guest_asks(vm, "203.0.113.9", 80) == "nothing");
    CHECK(test::error_of([&] { host.network().deny(id, "203.0.113.7"); }).code() == ErrorCode::NotFound);
    CHECK(host.network().deny(id, "203.0.113.7:80").empty());
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "nothing");

    CHECK(guest_asks(vm, "www.allowed.example", 80) == "nothing");
    CHECK(host.network().allow(id, "*.allowed.example:80") == List{"*.allowed.example:80"});
    CHECK(guest_asks(vm, "www.allowed.example", 80) == "198.51.100.1");
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "198.51.100.1");
    CHECK(host.network().deny(id, "*.Allowed.example:80").empty());
    CHECK(guest_asks(vm, "www.allowed.example", 80) == "nothing");
    CHECK(guest_asks(vm, "203.0.113.7", 80) == "nothing");

    CHECK(host.network().allow(id, "203.0.113.0/24").size() == 1);
    CHECK(guest_asks(vm, "203.0.113.8", 80) == "198.51.100.1");

    bool has_firewall = false;
    bool has_names = false;
    const auto look = [&](const NetworkRefusal& refusal) {
      CHECK(refusal.vm == id);
      has_firewall |= refusal.by == "firewall" && refusal.address == "203.0.113.7" && refusal.protocol == "tcp" &&
                      refusal.port == 80 && refusal.rule == "egress";
      has_names |= refusal.by == "names" && refusal.name == "www.allowed.example" && refusal.rule == "allowlist";
    };
    for (const auto& refusal : host.network().refusals(id)) look(refusal);
    CHECK(has_firewall);
    CHECK(has_names);
    CHECK(host.network().refusals("nobody").empty());
    std::stop_source found;
    const std::jthread asking{[&] {
      for (int port = 8080; !found.stop_requested(); ++port) guest_asks(vm, "198.51.100.2", port);
    }};
    host.network().follow_refusals(
        id,
        [&](const NetworkRefusal& refusal) {
          if (refusal.port >= 8080) found.request_stop();
        },
        found.get_token());
    const auto counted = host.gateway().info().refusals;
    CHECK_FALSE(counted.empty());
  }
  CHECK(test::host("nft list ruleset").find("203.0.113") == std::string::npos);
  CHECK(test::error_of([&] { host.network().allow("nobody", "203.0.113.7"); }).code() == ErrorCode::NotFound);
  CHECK(host.network().down());
}

TEST_CASE_FIXTURE(Fixture, "eight clones of one snapshot at once each have an address of their own, and use it") {
  constexpr int count = 8;
  const Listener irc{"0.0.0.0", 6667};
  std::vector<std::future<std::pair<VMInfo, std::string>>> runs;
  for (int i = 0; i < count; ++i) {
    runs.push_back(std::async(std::launch::async, [this] {
      auto vm = host.vms().run(with_nat());
      return std::pair{vm.info(), guest_asks(vm, "172.16.0.1", 6667)};
    }));
  }
  std::set<std::string> addresses;
  std::vector<std::int64_t> engines;
  for (auto& run : runs) {
    const auto [info, seen] = run.get();
    CHECK(seen == info.address);
    addresses.insert(info.address);
    engines.push_back(info.engine_pid);
  }
  CHECK(addresses.size() == count);
  CHECK(host.network().info().leases.empty());
  // Their taps go with them.
  for (const auto engine : engines) CHECK(test::wait_gone(engine, std::chrono::seconds{10}));
  CHECK(traces() == idle);
}

TEST_CASE_FIXTURE(Fixture, "a machine's snapshot is restored under another address, or without any network") {
  const Listener irc{"0.0.0.0", 6667};
  auto original = host.vms().run(with_nat());
  const auto snapshot = original.snapshot("network-test");
  const struct Removal {
    const Host& host;
    ~Removal() { host.snapshots().remove("network-test"); }
  } removal{host};
  CHECK(snapshot.info().network_device);
  auto clone = snapshot.restore(with_nat());
  CHECK(clone.info().address != original.info().address);
  CHECK(guest_asks(clone, "172.16.0.1", 6667) == clone.info().address);
  CHECK(guest_asks(original, "172.16.0.1", 6667) == original.info().address);

  auto alone = snapshot.restore();
  CHECK(alone.info().address.empty());
  CHECK(shell(alone, "ls /sys/class/net").find("eth0") != std::string::npos);
  CHECK(shell(alone, "ip route").empty());
  CHECK(guest_asks(alone, "172.16.0.1", 6667) == "nothing");
}

TEST_CASE_FIXTURE(Fixture, "published ports lead into the machine from this host and from outside") {
  auto vm = host.vms().run(with_nat({Egress::None, {}, {"0.0.0.0:8080:80", "8081:80"}, GatewayServices::None}));
  serve_hello(vm, 80);
  CHECK(ask("127.0.0.1", 8080) == "hello\n");
  CHECK(ask("127.0.0.1", 8081) == "hello\n");
  CHECK(ask("198.51.100.1", 8080) == "hello\n");
  CHECK(ask("198.51.100.1", 8081) == "refused");
  internet.there().in([] {
    CHECK(ask("198.51.100.1", 8080) == "hello\n");
    CHECK(ask("198.51.100.1", 8081) != "hello\n");
  });

  const auto taken = test::error_of([&] {
    return host.vms().run(with_nat({Egress::None, {}, {"0.0.0.0:8080:8080"}, GatewayServices::All}));
  });
  CHECK(taken.code() == ErrorCode::AlreadyExists);
  CHECK(std::string{taken.what()}.find("8080") != std::string::npos);
  const Listener busy{"0.0.0.0", 9090};
  const auto used = test::error_of([&] {
    return host.vms().run(with_nat({Egress::None, {}, {"9090:80"}, GatewayServices::All}));
  });
  CHECK(used.code() == ErrorCode::AlreadyExists);
  CHECK(std::string{used.what()}.find("a program on this host uses port 9090") != std::string::npos);
  // Neither has left anything.
  CHECK(host.network().info().leases.size() == 1);
  vm.kill();
  CHECK(ask("127.0.0.1", 8080) == "refused");
  CHECK(traces() == idle);
}

TEST_CASE_FIXTURE(Fixture, "what a killed owner leaves is collected") {
  Owner owner{home, {"--net", "nat", "-p", "8080:80"}};
  REQUIRE(host.vms().list().size() == 1);
  const auto machine = host.vms().list().front();
  REQUIRE(host.network().info().leases.size() == 1);
  const auto lease = host.network().info().leases.front();
  CHECK(lease.alive);
  CHECK(lease.vm == machine.id);
  CHECK(lease.address == machine.address);
  CHECK(traces() != idle);

  owner.kill();
  CHECK(test::wait_gone(machine.engine_pid, std::chrono::seconds{10}));
  CHECK_FALSE(host.network().info().leases.front().alive);
  CHECK(host.collect_garbage().addresses == std::vector{lease.address});
  CHECK(host.network().info().leases.empty());
  CHECK(traces() == idle);
}

TEST_CASE_FIXTURE(Fixture, "the next start takes back what a killed owner left") {
  Owner owner{home, {"--net", "nat"}};
  REQUIRE(host.network().info().leases.size() == 1);
  const auto left = host.network().info().leases.front();
  owner.kill();
  CHECK(traces().find(left.address + " ") != std::string::npos);
  auto vm = host.vms().run(with_nat());
  const auto leases = host.network().info().leases;
  REQUIRE(leases.size() == 1);
  CHECK(leases.front().vm == vm.info().id);
  CHECK(traces().find(left.address + " ") == std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "a detached machine keeps its address until its engine ends, also when that is killed") {
  const Listener irc{"0.0.0.0", 6667};
  auto config = with_nat();
  config.detached = true;
  std::string id;
  std::string address;
  std::int64_t engine = 0;
  {
    auto vm = host.vms().run(config);
    id = vm.info().id;
    address = vm.info().address;
    engine = vm.info().engine_pid;
  }
  REQUIRE(host.network().info().leases.size() == 1);
  CHECK(host.network().info().leases.front().holder_pid == engine);
  CHECK(test::error_of([&] { host.network().down(); }).code() == ErrorCode::InvalidState);
  {
    auto again = host.vms().attach(id);
    CHECK(again.info().address == address);
    CHECK(guest_asks(again, "172.16.0.1", 6667) == address);
  }
  host.vms().kill(id);
  CHECK(host.network().info().leases.empty());
  CHECK(traces() == idle);

  // Ended by itself: the address is taken back by the next collection.
  auto vm = host.vms().run(config);
  const auto second = vm.info();
  ::kill(static_cast<pid_t>(second.engine_pid), SIGKILL);
  CHECK(test::wait_gone(second.engine_pid, std::chrono::seconds{10}));
  CHECK(host.collect_garbage().addresses == std::vector{second.address});
  CHECK(traces() == idle);
}

TEST_CASE_FIXTURE(Fixture, "rules that somebody has flushed come back with the machines that run") {
  const Listener irc{"0.0.0.0", 6667};
  auto vm = host.vms().run(with_nat({Egress::None, {}, {"0.0.0.0:8080:80"}, GatewayServices::All}));
  const auto before = test::host("nft list map inet fireclaw published");
  CHECK(guest_asks(vm, "172.16.0.1", 6667) == vm.info().address);
  test::host("nft flush ruleset");
  host.network().up();
  CHECK(test::host("nft list map inet fireclaw published") == before);
  CHECK(guest_asks(vm, "172.16.0.1", 6667) == vm.info().address);
}

TEST_CASE_FIXTURE(Fixture, "down puts everything back, and the next machine brings it up again") {
  host.network().down();
  const auto all = [] {
    return test::host("ip -o link; ip -4 -o address; nft list ruleset; sysctl net.ipv4.ip_forward");
  };
  const auto before = all();
  CHECK_FALSE(host.network().info().up);
  CHECK(host.network().best_mode().mode == NetworkMode::Nat);
  static_cast<void>(host.doctor());
  CHECK(all() == before);  // looking changes nothing
  {
    auto vm = host.vms().run(with_nat());
    CHECK(host.network().info().up);
    CHECK(shell(vm, "ping -c 1 -W 5 172.16.0.1 > /dev/null && echo pong") == "pong");
  }
  CHECK(host.network().down());
  CHECK_FALSE(host.network().down());
  CHECK(all() == before);
}

TEST_CASE("a subnet that is full is an error that says what to do") {
  const NetworkHome home{R"({"bridge": "fctiny", "subnet": "10.99.0.0/30"})"};
  const auto host = home.open();
  CHECK(host.network().info().capacity == 1);
  {
    auto only = host.vms().run(with_nat());
    CHECK(only.info().address == "10.99.0.2");
    const auto full = test::error_of([&] { return host.vms().run(with_nat()); });
    CHECK(full.code() == ErrorCode::InvalidState);
    CHECK(std::string{full.what()}.find("stop some") != std::string::npos);
    CHECK(std::string{full.what()}.find("network.subnet") != std::string::npos);
  }
  CHECK(host.vms().run(with_nat()).info().address == "10.99.0.2");
  CHECK(host.network().down());
}

TEST_CASE_FIXTURE(Fixture, "a subnet that is in use elsewhere is found out before anything is made") {
  test::host("ip address add 10.98.0.1/16 dev uplink");
  const NetworkHome other{R"({"bridge": "fcother", "subnet": "10.98.7.0/24"})"};
  const auto there = other.open();
  const auto info = there.network().info();
  REQUIRE(info.obstacles.size() == 1);
  CHECK(info.obstacles.front().problem.find("10.98.7.0/24 overlaps") != std::string::npos);
  CHECK(there.network().best_mode().mode != NetworkMode::Nat);
  CHECK(test::error_of([&] { return there.vms().run(with_nat()); }).code() == ErrorCode::InvalidState);
  CHECK(there.network().info().leases.empty());
  // And so is a bridge that belongs to another home folder.
  const NetworkHome second;
  CHECK(second.open().network().best_mode().mode != NetworkMode::Nat);
  CHECK(host.network().best_mode().mode == NetworkMode::Nat);
}

TEST_CASE_FIXTURE(Fixture, "options that cannot be are refused before anything runs") {
  const auto code = [&](NatOptions options) {
    return test::error_of([&] { return host.vms().create(with_nat(std::move(options))); }).code();
  };
  CHECK(code({Egress::Allowlist, {"10.0.0.0/33"}, {}, GatewayServices::All}) == ErrorCode::InvalidArgument);
  CHECK(code({Egress::None, {"10.0.0.0/8"}, {}, GatewayServices::All}) == ErrorCode::InvalidArgument);
  CHECK(code({Egress::Internet, {}, {"80"}, GatewayServices::All}) == ErrorCode::InvalidArgument);
  CHECK(code({Egress::Internet, {}, {"80:80", "80:81"}, GatewayServices::All}) == ErrorCode::InvalidArgument);
  CHECK(host.network().info().leases.empty());
}
