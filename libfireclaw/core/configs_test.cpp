#include <doctest/doctest.h>

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
