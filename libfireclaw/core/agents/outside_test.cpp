#include "core/agents/outside.hpp"

#include <doctest/doctest.h>

using namespace fireclaw;
using namespace fireclaw::core;

TEST_CASE("a URL names host and port, or the port of its scheme") {
  CHECK(server_of("http://gateway:11434") == ServerName{"gateway", 11434});
  CHECK(server_of("http://10.0.0.1/v1") == ServerName{"10.0.0.1", 80});
  CHECK(server_of("https://llm.example.org/v1") == ServerName{"llm.example.org", 443});
  for (const auto* url : {"ftp://x", "gateway:11434", "http://:80", "http://x:port", "http://x:70000", ""}) {
    CHECK_FALSE(server_of(url).has_value());
  }
}

TEST_CASE("servers that are not at the gateway are told apart") {
  using core::servers_elsewhere;
  using List = std::vector<std::string>;
  CHECK(servers_elsewhere({"172.16.0.1", 6667, "http://172.16.0.1:11434", "m"}, "172.16.0.1").empty());
  CHECK(servers_elsewhere({"irc.example", 6697, "https://llm.example/v1", "m"}, "172.16.0.1") ==
        List{"irc.example:6697", "llm.example:443"});
  CHECK(servers_elsewhere({"172.16.0.1", 6667, "http://10.0.0.5:8080", "m"}, "172.16.0.1") == List{"10.0.0.5:8080"});
}

TEST_CASE("a model without a tag is the latest") {
  const auto tags = json::Value::parse(R"({"models": [{"name": "gemma3:4b"}, {"name": "phi4:latest"}]})", "tags");
  CHECK(has_model(tags, "gemma3:4b"));
  CHECK(has_model(tags, "phi4"));
  CHECK(has_model(tags, "phi4:latest"));
  CHECK_FALSE(has_model(tags, "gemma3"));
  CHECK_FALSE(has_model(json::Value::parse("{}", "tags"), "phi4"));
}

TEST_CASE("what a bot is told to use is what is tried") {
  const auto bot = json::Value::parse(
      R"({"server": {"host": "172.16.0.1", "port": 6668}, "llm": {"url": "http://172.16.0.1:11434", "model": "m"}})",
      "bot");
  CHECK(read_needs(bot) == OutsideNeeds{"172.16.0.1", 6668, "http://172.16.0.1:11434", "m"});
}
