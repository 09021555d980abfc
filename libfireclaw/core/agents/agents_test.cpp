#include "fireclaw/agent.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "core/agents/guest.hpp"
#include "core/agents/impl.hpp"
#include "core/networks/nat.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;
using sys::testing::code_of;
using sys::testing::thrown_by;

namespace {

class Home {
 public:
  Home() : folder_{std::filesystem::temp_directory_path(), "fireclaw-agents-"} {
    HostOptions options;
    options.home = folder_.path() / "home";
    host.emplace(Host::open(options));
  }

  /// Where IRC is, and the network, in one edit.
  void write(const std::string& irc, const std::string& subnet) const {
    sys::write_file_atomic(Access::impl(*host)->layout.config(),
                           R"({"schema": 1, "set_up_by": "0", "engines": [], "irc": {"host": ")" + irc +
                               R"("}, "network": {"subnet": ")" + subnet + R"("}})");
  }

 private:
  sys::TempDir folder_;

 public:
  std::optional<Host> host;
};

std::string subnet_of(const Host::Impl& host) { return core::NatNetwork{host}.policy().subnet.to_string(); }

std::string irc_of(const AgentManager::Impl& agents) {
  state::AgentRecord record;
  record.name = "ada";
  record.template_name = "worker";
  const auto agent = agents.resolve(record, agents.require_template("worker"), NetworkMode::User);
  return std::string{json::Value::parse(agent.bot_json, "the bot's configuration").at("server").at("host").as_string()};
}

}  // namespace

TEST_CASE("what starts an agent sees one configuration, whatever is written meanwhile") {
  const Home home;
  home.write("one.example", "10.1.0.0/24");
  const AgentManager::Impl agents{*home.host};
  std::shared_ptr<Host::Impl> left;
  {
    const core::SettledHost settled{*agents.host};
    const AgentManager::Impl start{agents, settled};
    home.write("two.example", "10.2.0.0/24");
    CHECK(irc_of(start) == "one.example");
    CHECK(subnet_of(*start.host) == "10.1.0.0/24");
    CHECK(irc_of(agents) == "two.example");
    CHECK(subnet_of(*agents.host) == "10.2.0.0/24");
    left = settled.host;
  }
  // A machine that was started then.
  CHECK(subnet_of(*left) == "10.2.0.0/24");
}

TEST_CASE("an agent is not copied onto itself, which is said before anything is waited for") {
  const Home home;
  AgentManager::Impl agents{*home.host};
  ForkConfig fork;
  fork.name = "ada";
  CHECK(code_of([&] { agents.fork("ada", fork, {}); }) == ErrorCode::AlreadyExists);
  fork.name = "bob";
  CHECK(code_of([&] { agents.fork("ada", fork, {}); }) == ErrorCode::NotFound);
  fork.name = "../ada";
  CHECK(code_of([&] { agents.fork("ada", fork, {}); }) == ErrorCode::InvalidArgument);
}

TEST_CASE("the network that is asked for goes before the template's, and an agent has one") {
  const Home home;
  sys::make_directories(Access::impl(*home.host)->layout.templates());
  AgentManager::Impl agents{*home.host};
  AgentConfig config;
  config.name = "ada";
  config.template_name = "tern";
  const auto refusal = [&](const std::string& network, std::optional<NetworkMode> asked) {
    sys::write_file_atomic(
        Access::impl(*home.host)->layout.templates() / "tern.json",
        R"({"schema": 1, "nick": "tern", "model": "m", "persona": "A bird.", "image": "none-such", "network": ")" +
            network + "\"}");
    config.network = asked;
    return std::string{thrown_by([&] { agents.start(config, {}); }).what()};
  };
  constexpr auto needs_one = "an agent needs a network";
  for (const std::string network : {"nat", "user", "services"}) {
    CAPTURE(network);
    CHECK(refusal(network, NetworkMode::None).starts_with(needs_one));
    CHECK(refusal(network, NetworkMode::User).find("has not been set up") != std::string::npos);
  }
  CHECK_FALSE(agents.agents.find("ada"));
  CHECK(Access::impl(*home.host)->workspaces.names().empty());
}

TEST_CASE("an agent's machine is its template's, with what was asked for beyond") {
  const Home home;
  sys::make_directories(Access::impl(*home.host)->layout.templates());
  sys::write_file_atomic(Access::impl(*home.host)->layout.templates() / "tern.json",
                         R"({"schema": 1, "nick": "tern", "model": "m", "persona": "A bird.", "image": "mine",
                             "cpus": 2, "memory_mib": 500, "scratch_mib": 100, "disk_mib_per_second": 3,
                             "network_mib_per_second": 4, "egress": "none", "allow": ["example.org:443"],
                             "allow_http": ["GET example.org/a"], "publish": ["127.0.0.1:8080:80"]})");
  const AgentManager::Impl agents{*home.host};
  AgentConfig config;
  config.template_name = "tern";
  config.network = NetworkMode::Nat;
  const auto machine = [&] {
    auto agent = agents.plan("a_tern", config, agents.require_template("tern"), std::nullopt);
    return core::machine_of(agent, config);
  };
  auto expected = machine();
  CHECK(expected.image == "mine");
  CHECK(expected.cpus == 2);
  CHECK(expected.memory_mib == 500);
  CHECK(expected.scratch_mib == 100);
  CHECK(expected.disk_mib_per_second == 3);
  CHECK(expected.hostname == "a-tern");
  CHECK(expected.workspace == "a_tern");
  CHECK(expected.network == NetworkMode::Nat);
  CHECK(expected.nat == NatOptions{.egress = Egress::Allowlist,
                                   .allow = {"example.org:443"},
                                   .publish = {"127.0.0.1:8080:80"},
                                   .services = GatewayServices::All,
                                   .mib_per_second = 4,
                                   .allow_http = {"GET example.org/a"}});
  CHECK(expected.start == StartMode::PreferSnapshot);
  config.cpus = 3;
  config.memory_mib = 600;
  config.start = StartMode::Cold;
  config.detached = !config.detached;
  expected.cpus = 3;
  expected.memory_mib = 600;
  expected.start = StartMode::Cold;
  expected.detached = config.detached;
  CHECK(machine() == expected);
  // With the gateway's services alone, of what the template lets it reach nothing is left.
  config.services_only = true;
  expected.nat = {};
  expected.nat.egress = Egress::None;
  expected.nat.services = GatewayServices::All;
  expected.nat.mib_per_second = 4;
  CHECK(machine() == expected);
}

TEST_CASE("the last lines of a text are whole, and the last one need not end") {
  struct Row {
    std::string text;
    std::size_t lines;
    std::string expected;
  };
  for (const auto& row : std::vector<Row>{{"", 0, ""},
                                          {"", 3, ""},
                                          {"one", 1, "one"},
                                          {"one\n", 1, "one\n"},
                                          {"one\ntwo\n", 0, "one\ntwo\n"},
                                          {"one\ntwo\n", 1, "two\n"},
                                          {"one\ntwo", 1, "two"},
                                          {"one\ntwo\n", 2, "one\ntwo\n"},
                                          {"one\ntwo\n", 3, "one\ntwo\n"},
                                          {"one\n\n\n", 2, "\n\n"},
                                          {"\n", 1, "\n"},
                                          {"\none\n", 1, "one\n"}}) {
    CAPTURE(row.text);
    CAPTURE(row.lines);
    CHECK(core::last_lines(row.text, row.lines) == row.expected);
  }
}

TEST_CASE("of what a bot wrote of itself all is believed or nothing") {
  const auto whole = core::parse_status(
      R"({"name": "ada", "nick": "ada_", "state": "online", "channels": ["#a", "#b"], "last_error": "e", "llm_errors": 3})");
  CHECK(whole.name == "ada");
  CHECK(whole.nick == "ada_");
  CHECK(whole.online);
  CHECK(whole.channels == std::vector<std::string>{"#a", "#b"});
  CHECK(whole.last_error == "e");
  CHECK(whole.llm_errors == 3);
  const auto least = core::parse_status(R"({"name": "ada", "state": "joining", "channels": []})");
  CHECK(least.name == "ada");
  CHECK_FALSE(least.online);
  CHECK(least.last_error.empty());
  for (const std::string text :
       {"{", "[]", R"({"name": "ada", "state": "online"})", R"({"name": "ada", "state": "online", "channels": [7]})",
        R"({"name": "ada", "state": "online", "channels": ["#a"], "llm_errors": -1})",
        R"({"name": "ada", "state": "online", "channels": ["#a"], "nick": {}})",
        R"({"name": 5, "state": "online", "channels": ["#a"]})"}) {
    CAPTURE(text);
    const auto status = core::parse_status(text);
    CHECK(status.name.empty());
    CHECK(status.nick.empty());
    CHECK_FALSE(status.online);
    CHECK(status.channels.empty());
    CHECK_FALSE(status.last_error.empty());
  }
  CHECK(core::parse_status("").last_error.empty());
}

TEST_CASE("a settled host learns of engines, and of nothing else that is written") {
  const Home home;
  home.write("one.example", "10.1.0.0/24");
  const core::SettledHost settled{*Access::impl(*home.host)};
  home.write("two.example", "10.2.0.0/24");
  auto config = Access::impl(*home.host)->config();
  config.engines.emplace_back().verdict.engine = "qemu-tcg";
  settled.host->learn_engines(config);
  REQUIRE(settled.host->config().engines.size() == 1);
  CHECK(settled.host->config().engines.front().verdict.engine == "qemu-tcg");
  CHECK(subnet_of(*settled.host) == "10.1.0.0/24");
  // One that is not settled reads the file.
  Access::impl(*home.host)->learn_engines(config);
  CHECK(Access::impl(*home.host)->config().engines.empty());
}

TEST_CASE("an agent may reach what its template says, without what it was denied, and what it was allowed") {
  const auto from = state::parse_template(
      "t", R"({"nick": "t", "model": "m", "persona": "P.", "allow": ["192.0.2.1", "Example.org:443"]})", "/t.json");
  state::AgentRecord record;
  CHECK(core::allowed_list(record, from) == std::vector<std::string>{"192.0.2.1", "Example.org:443"});
  record.denied = {"example.org:443", "192.0.2.9"};
  record.allowed = {"192.0.2.2", "192.0.2.1/32"};
  CHECK(core::allowed_list(record, from) == std::vector<std::string>{"192.0.2.1", "192.0.2.2"});
  record.services_only = true;
  CHECK(core::allowed_list(record, from) == std::vector<std::string>{"192.0.2.2", "192.0.2.1"});
}
