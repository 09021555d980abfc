#include <doctest/doctest.h>

#include "core/machines/named.hpp"
#include "fireclaw/fireclaw.hpp"

using namespace fireclaw;

TEST_CASE("configurations are values: copies are equal, and each member counts") {
  MachineConfig machine;
  machine.name = "dev";
  machine.machine.nat.allow = {"example.org:443"};
  auto other = machine;
  CHECK(other == machine);
  other.machine.nat.allow.clear();
  CHECK(other != machine);
  other = machine;
  other.machine.detached = true;
  CHECK(other.machine != machine.machine);
  CHECK(other != machine);
  CHECK(PoolConfig{machine.machine, 2} == PoolConfig{machine.machine});
  CHECK(PoolConfig{machine.machine, 3} != PoolConfig{machine.machine});

  AgentConfig agent;
  agent.settings.model = "phi4-mini";
  auto second = agent;
  CHECK(second == agent);
  second.settings.model.reset();
  CHECK(second != agent);
  ForkConfig fork;
  fork.name = "bea";
  CHECK(fork != ForkConfig{});

  WorkspaceConfig workspace;
  workspace.size_mib = 128;
  CHECK(workspace != WorkspaceConfig{});
}

TEST_CASE("what an image is made from is compared by its kind and its content") {
  ImageConfig image;
  CHECK(image == ImageConfig{});
  image.root = OciRoot{"docker://alpine"};
  auto other = image;
  CHECK(other == image);
  other.root = OciRoot{"docker://debian"};
  CHECK(other != image);
  other.root = BusyboxRoot{};
  CHECK(other != image);
  other = image;
  other.kernel = KernelUrl{"https://example.org/vmlinux", std::string(64, '0')};
  CHECK(other != image);
}

TEST_CASE("a machine starts again with all that it was made with") {
  MachineConfig config;
  config.name = "dev";
  auto& machine = config.machine;
  machine.image = "tools";
  machine.cpus = 2;
  machine.memory_mib = 300;
  machine.network = NetworkMode::Nat;
  machine.nat.egress = Egress::None;
  machine.nat.allow = {"example.org:443"};
  machine.nat.allow_http = {"GET example.org/a"};
  machine.nat.publish = {"127.0.0.1:8080:80"};
  machine.nat.services = GatewayServices::All;
  machine.nat.mib_per_second = 7;
  machine.start = StartMode::Cold;
  machine.snapshot = "base";
  machine.hostname = "host";
  machine.workspace = "work";
  machine.scratch_mib = 64;
  machine.scratch_target = "/data";
  machine.disk_mib_per_second = 9;
  machine.detached = true;
  config.ttl = std::chrono::seconds{5};
  config.idle = std::chrono::seconds{6};

  const auto record = core::record_of_machine(config);
  CHECK(core::config_of_machine(record) == machine);
  CHECK(record.name == "dev");
  CHECK(record.ttl == config.ttl);
  CHECK(record.idle == config.idle);
  CHECK(record.key != core::record_of_machine(config).key);

  machine.start = StartMode::PreferSnapshot;
  machine.hostname.clear();
  const auto other = core::config_of_machine(core::record_of_machine(config));
  CHECK(other.start == StartMode::PreferSnapshot);
  CHECK(other.hostname == "dev");
  CHECK(other.detached);
}
