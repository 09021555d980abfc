#include "operators.hpp"

#include <doctest/doctest.h>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::overseer;

TEST_CASE("operators are known by mask or by account") {
  const Operators operators{{"alice!*@*.example.org", "account:Bob"}};
  CHECK_FALSE(operators.empty());
  CHECK(operators.need_accounts());
  CHECK(operators.lists("Alice!a@home.example.org", ""));
  CHECK_FALSE(operators.lists("alice!a@elsewhere.net", ""));
  CHECK(operators.lists("anyone!x@y", "bob"));
  CHECK_FALSE(operators.lists("bob!x@y", ""));
  CHECK_FALSE(operators.lists("bob!x@y", "bobby"));
  CHECK_FALSE(operators.lists("account:bob!x@y", ""));
}

TEST_CASE("nobody is an operator of an empty list") {
  const Operators nobody{std::vector<std::string>{}};
  CHECK(nobody.empty());
  CHECK_FALSE(nobody.lists("a!b@c", "a"));
  CHECK_FALSE(Operators{{"account:x"}}.lists("a!b@c", "*"));
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
