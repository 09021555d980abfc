#include "core/agents/llm_servers.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "fireclaw/host.hpp"
#include "state/settings/gateway.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using namespace fireclaw::core;

namespace {

json::Value parse(std::string_view text) { return json::Value::parse(text, "test"); }

const LlmServer studio{"LM Studio", "http://127.0.0.1:1234", "openai", {"m"}};
const LlmServer ollama{"Ollama", "http://127.0.0.1:11434", "ollama", {"m"}};

}  // namespace

TEST_CASE("a server that is found becomes the gateway's first, and the next one replaces it") {
  const auto first = with_llm_server(std::nullopt, studio, 11434);
  CHECK(first == parse(R"({"llm": {"upstreams": [{"name": "up", "url": "http://127.0.0.1:1234", "api": "openai"}]}})"));
  const auto second = with_llm_server(first, ollama, 11434);
  const auto settings = state::read_gateway_settings(second);
  REQUIRE(settings.llm);
  REQUIRE(settings.llm->upstreams.size() == 1);
  CHECK(settings.llm->upstreams.front().url == "http://127.0.0.1:11434");
}

TEST_CASE("what people wrote of the gateway stays, behind the server that is found") {
  const auto theirs = parse(R"({
    "irc": {"upstreams": [{"name": "office", "host": "irc.example.org"}]},
    "llm": {"limits": {"requests_per_minute": 3}, "upstreams": [{"name": "far", "url": "https://llm.example.org"}]}})");
  const auto settings = state::read_gateway_settings(with_llm_server(theirs, ollama, 11435));
  REQUIRE(settings.irc);
  REQUIRE(settings.llm);
  CHECK(settings.llm->port == 11435);
  CHECK(settings.llm->limits.requests_per_minute == 3);
  REQUIRE(settings.llm->upstreams.size() == 2);
  CHECK(settings.llm->upstreams[0].name == "up");
  CHECK(settings.llm->upstreams[1].name == "far");
  const auto with_port = parse(R"({"llm": {"port": 9000, "upstreams": [{"name": "far", "url": "https://x"}]}})");
  CHECK(state::read_gateway_settings(with_llm_server(with_port, ollama, 11435)).llm->port == 9000);
}

TEST_CASE("an agent that reaches this host's loopback finds it under the gateway's name") {
  const auto section = pointed_at(parse(R"({"temperature": 0.5, "url": "http://old"})"), studio);
  CHECK(section == parse(R"({"api": "openai", "temperature": 0.5, "url": "http://gateway:1234", "by": "up"})"));
  CHECK(pointed_at(std::nullopt, {"", "http://localhost/v1", "openai", {}}).at("url").as_string() ==
        "http://gateway/v1");
  CHECK(pointed_at(std::nullopt, {"", "http://localhost.example.org", "openai", {}}).at("url").as_string() ==
        "http://localhost.example.org");
}

TEST_CASE("a key stays with the server that it is for") {
  const auto theirs = parse(R"({"api_key": "k", "ca_file": "/ca", "num_ctx": 512})");
  const auto elsewhere = pointed_at(theirs, studio);
  CHECK_FALSE(elsewhere.find("api_key"));
  CHECK_FALSE(elsewhere.find("ca_file"));
  CHECK(elsewhere.at("num_ctx").as_int() == 512);
  CHECK(pointed_at(theirs, ollama).at("api_key").as_string() == "k");
  const auto again = parse(R"({"url": "http://gateway:1234", "api": "openai", "by": "up", "api_key": "k"})");
  CHECK(pointed_at(again, studio) == again);
  CHECK_FALSE(pointed_at(again, ollama).find("api_key"));
}

TEST_CASE("a URL that was found is passed over and taken back, a person's stays") {
  const auto own = pointed_at(parse(R"({"temperature": 1})"), studio);
  CHECK_FALSE(persons_llm_url(own));
  CHECK_FALSE(named_llm_server(own, std::nullopt));
  CHECK(without_pointer(own) == parse(R"({"temperature": 1})"));
  const auto theirs = parse(R"({"url": "http://a", "api": "openai"})");
  CHECK(persons_llm_url(theirs) == "http://a");
  CHECK(without_pointer(theirs) == theirs);
  CHECK_FALSE(without_pointer(std::nullopt));
}

TEST_CASE("what is not the URL of a server is not asked") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "fireclaw-llm-"};
  HostOptions options;
  options.home = folder.path() / "home";
  const auto servers = Host::open(options).llm_servers();
  for (const auto* url : {"", "/", "127.0.0.1:1", "ftp://127.0.0.1:1", "http://", "http:///v1", "file:///etc/passwd"}) {
    CAPTURE(url);
    CHECK(sys::testing::code_of([&] { static_cast<void>(servers.ask(url)); }) == ErrorCode::InvalidArgument);
  }
}

TEST_CASE("a server counts as named unless it was only found") {
  CHECK_FALSE(named_llm_server(std::nullopt, std::nullopt));
  CHECK_FALSE(named_llm_server(std::nullopt, with_llm_server(std::nullopt, ollama, 11434)));
  CHECK_FALSE(named_llm_server(parse(R"({"temperature": 1})"), parse(R"({"irc": {"upstreams": []}})")));
  CHECK(named_llm_server(parse(R"({"url": "http://a"})"), std::nullopt) == "http://a");
  CHECK(named_llm_server(std::nullopt, parse(R"({"llm": {"upstreams": [{"name": "far", "url": "http://b"}]}})")) ==
        "http://b");
}
