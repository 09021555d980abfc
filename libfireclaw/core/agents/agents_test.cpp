#include "fireclaw/agent.hpp"

#include <doctest/doctest.h>

#include "core/agents/impl.hpp"
#include "core/networks/nat.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

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
