#include "processes/users.hpp"

#include <doctest/doctest.h>

namespace fireclaw::guestd {
namespace {

constexpr std::string_view passwd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "agent:x:1000:1000:,,,:/home/agent:/bin/sh\n"
    "short:x:7\n"
    "\n"
    "odd:x:-1:0::/:\n"
    "big:x:4294967295:0::/:\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin";
constexpr std::string_view group =
    "root:x:0:\n"
    "disk:x:6:agent\n"
    "broken\n"
    "wheel:x:10:root,agent,nobody\n"
    "agent:x:1000:agent\n"
    "agents:x:1001:agent2\n";

struct Found {
  bool found;
  User user;
  std::string problem;
};

Found find(std::string_view wanted, std::string_view users = passwd) {
  Found result;
  result.found = find_user(wanted, users, group, result.user, result.problem);
  return result;
}

TEST_CASE("a user is found by name, with home and every group that lists it") {
  const Found agent = find("agent");
  REQUIRE(agent.found);
  CHECK(agent.user.name == "agent");
  CHECK(agent.user.uid == 1000);
  CHECK(agent.user.gid == 1000);
  CHECK(agent.user.home == "/home/agent");
  CHECK(agent.user.groups == std::vector<gid_t>{1000, 6, 10});
}

TEST_CASE("a user is found by number, also when the number has no entry") {
  const Found known = find("65534");
  REQUIRE(known.found);
  CHECK(known.user.name == "nobody");
  CHECK(known.user.groups == std::vector<gid_t>{65534, 10});
  const Found unknown = find("4000");
  REQUIRE(unknown.found);
  CHECK(unknown.user.name.empty());
  CHECK(unknown.user.gid == 0);
  CHECK(unknown.user.groups == std::vector<gid_t>{0});
  CHECK(unknown.user.home == "/");
}

TEST_CASE("a group given, by number or by name, is the only group") {
  for (const char* wanted : {"1000:6", "1000:disk", "agent:6", "agent:disk"}) {
    CAPTURE(wanted);
    const Found agent = find(wanted);
    REQUIRE(agent.found);
    CHECK(agent.user.name == "agent");
    CHECK(agent.user.uid == 1000);
    CHECK(agent.user.home == "/home/agent");
    CHECK(agent.user.gid == 6);
    CHECK(agent.user.groups == std::vector<gid_t>{6});
  }
  CHECK(find("1000:4242").user.gid == 4242);
}

TEST_CASE("nobody named is root, also without any /etc/passwd") {
  CHECK(find("").user.home == "/root");
  const Found bare = find("", "");
  REQUIRE(bare.found);
  CHECK(bare.user.uid == 0);
  CHECK(bare.user.name == "root");
  CHECK(bare.user.home == "/root");
}

TEST_CASE("a user or a group that is left out beside the colon is as if there were no colon") {
  for (const auto& [wanted, same] : {std::pair{"1000:", "1000"}, {"agent:", "agent"}, {":", ""}}) {
    CAPTURE(wanted);
    REQUIRE(find(wanted).found);
    CHECK(find(wanted).user.uid == find(same).user.uid);
    CHECK(find(wanted).user.groups == find(same).user.groups);
  }
  const Found root = find(":disk");
  REQUIRE(root.found);
  CHECK(root.user.uid == 0);
  CHECK(root.user.gid == 6);
}

TEST_CASE("a missing user or group is named") {
  CHECK(find("ghost").problem == "there is no user 'ghost' in the guest's /etc/passwd");
  CHECK(find("ghost:disk").problem == "there is no user 'ghost' in the guest's /etc/passwd");
  CHECK(find("agent:ghosts").problem == "there is no group 'ghosts' in the guest's /etc/group");
  CHECK(find("agent:broken").problem == "there is no group 'broken' in the guest's /etc/group");
  CHECK(find("1000:4294967295").problem == "there is no group '4294967295' in the guest's /etc/group");
  CHECK_FALSE(find("4294967295").found);
  CHECK_FALSE(find("99999999999999999999").found);
}

TEST_CASE("lines that make no sense are passed over") {
  CHECK_FALSE(find("short").found);
  CHECK_FALSE(find("odd").found);
  CHECK_FALSE(find("big").found);
  CHECK_FALSE(find("broken").found);
}

}  // namespace
}  // namespace fireclaw::guestd
