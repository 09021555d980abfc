#include "core/networks/reach.hpp"

#include <doctest/doctest.h>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using core::changed_list;
using core::ReachChange;
using List = std::vector<std::string>;

TEST_CASE("a destination is put on a list once, however it is written") {
  const auto allow = [](const List& list, std::string_view what) {
    return changed_list(list, what, ReachChange::Allow, "agent 'ada'");
  };
  CHECK(allow({}, "192.0.2.7:443") == List{"192.0.2.7:443"});
  CHECK(allow({}, "Example.org.:443") == List{"example.org:443"});
  CHECK(allow({"192.0.2.7:443"}, "192.0.2.7:443") == List{"192.0.2.7:443"});
  CHECK(allow({"192.0.2.7:443"}, "192.0.2.7:443/tcp") == List{"192.0.2.7:443", "192.0.2.7:443/tcp"});
  CHECK(allow({"192.0.2.7/32"}, "192.0.2.7") == List{"192.0.2.7/32"});
  CHECK(allow({"Example.org:443"}, "example.org.:443") == List{"Example.org:443"});
  CHECK(allow({"example.org"}, "*.example.org") == List{"example.org", "*.example.org"});
  CHECK_THROWS_AS(allow({}, "not a destination"), Error);
}

TEST_CASE("a destination is taken off a list, and what is not on it is named with what is") {
  const List list{"10.0.0.0/8", "Example.org:443"};
  const auto deny = [&](std::string_view what) { return changed_list(list, what, ReachChange::Deny, "agent 'ada'"); };
  CHECK(deny("10.0.0.0/8") == List{"Example.org:443"});
  CHECK(deny("example.org:443") == List{"10.0.0.0/8"});
  CHECK_THROWS_WITH_AS(deny("10.1.0.0/16"),
                       "'10.1.0.0/16' is not on the list of agent 'ada', which has 10.0.0.0/8, Example.org:443", Error);
  CHECK_THROWS_WITH_AS(changed_list({}, "example.org", ReachChange::Deny, "agent 'ada'"),
                       "'example.org' is not on the list of agent 'ada', which is empty", Error);
}
