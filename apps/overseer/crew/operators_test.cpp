#include "crew/operators.hpp"

#include <arpa/inet.h>
#include <doctest/doctest.h>
#include <ifaddrs.h>

#include "fireclaw/error.hpp"
#include "irc/resolver.hpp"

using namespace fireclaw;
using namespace fireclaw::overseer;

TEST_CASE("operators are known by mask or by account") {
  const Operators operators{{"alice!*@*.example.org", "account:Bob"}};
  CHECK_FALSE(operators.empty());
  CHECK(operators.need_accounts());
  CHECK(operators.lists_mask("Alice!a@home.example.org"));
  CHECK_FALSE(operators.lists_mask("alice!a@elsewhere.net"));
  CHECK(operators.lists_account("bob"));
  CHECK_FALSE(operators.lists_account(""));
  CHECK_FALSE(operators.lists_account("bobby"));
  CHECK_FALSE(operators.lists_mask("account:bob!x@y"));
}

TEST_CASE("nobody is an operator of an empty list") {
  const Operators nobody{std::vector<std::string>{}};
  CHECK(nobody.empty());
  CHECK_FALSE(nobody.lists_mask("a!b@c"));
  CHECK_FALSE(Operators{{"account:*"}}.lists_account("*"));
}

TEST_CASE("names that not all servers take for the same are two people") {
  const Operators operators{{"alice[x]!*@*", "account:bob[x]"}};
  CHECK(operators.lists_mask("Alice[X]!a@b"));
  CHECK_FALSE(operators.lists_mask("alice{x}!a@b"));
  CHECK(operators.lists_account("BOB[x]"));
  CHECK_FALSE(operators.lists_account("bob{x}"));
}

TEST_CASE("a host is this machine's own if it is loopback or an address of one of its interfaces") {
  for (const auto* host : {"localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1", "0::1", "::ffff:127.0.0.1"}) {
    CAPTURE(host);
    CHECK(is_own_host(host));
  }
  // Of the nets for documentation: nobody has these.
  for (const auto* host : {"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "localhost.example.org",
                           "127.0.0.1.example.org", "1270.0.0.1", "", "host"}) {
    CAPTURE(host);
    CHECK_FALSE(is_own_host(host));
  }
  ifaddrs* all = nullptr;
  REQUIRE(::getifaddrs(&all) == 0);
  for (const auto* one = all; one != nullptr; one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    char text[INET_ADDRSTRLEN];
    ::inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(one->ifa_addr)->sin_addr, text, sizeof text);
    CAPTURE(std::string{text});
    CHECK(is_own_host(text));
  }
  ::freeifaddrs(all);
}

TEST_CASE("what is neither mask nor account is refused by name") {
  for (const auto* entry : {"", "alice", "alice@host", "alice!user", "!@", "a!@b", "alice!*@", "account:", "a b!c@d"}) {
    CAPTURE(entry);
    CHECK_THROWS_WITH_AS(Operators{{entry}}, doctest::Contains(entry), Error);
  }
}

TEST_CASE("agents are told from people by nick and by address") {
  const AgentTraces agents{{"worker"}, {"172.16.0.2"}};
  CHECK(agents.fit("worker!agent@somewhere"));
  CHECK(agents.fit("Worker_!agent@somewhere"));
  CHECK(agents.fit("worker__2!agent@somewhere"));
  CHECK(agents.fit("mallory!x@172.16.0.2"));
  CHECK_FALSE(agents.fit("workers-friend!x@127.0.0.1"));
  CHECK_FALSE(agents.fit("alice!x@172.16.0.20"));
  CHECK_FALSE(AgentTraces{}.fit("alice!x@y"));
}
