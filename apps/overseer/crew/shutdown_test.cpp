#include "crew/shutdown.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "testing/fake_agents.hpp"
#include "testing/temp_folder.hpp"

using namespace fireclaw;
using namespace fireclaw::overseer;

namespace {

AgentConfig of(const std::string& template_name, const std::string& name, bool detached = true) {
  AgentConfig config;
  config.template_name = template_name;
  config.name = name;
  config.detached = detached;
  return config;
}

}  // namespace

TEST_CASE("a shutdown ends what runs, and says once who is to be started again") {
  const TempFolder folder;
  FakeAgents agents{folder.path};
  agents.start(of("worker", "ada"), {});
  agents.start(of("worker", "bob"), {});
  agents.start(of("worker", "eve"), {});
  agents.stop("eve");
  agents.start(of("worker", "mine", false), {});
  const auto report = shut_down(agents, folder.path / "overseer", std::chrono::seconds{60});
  CHECK(report.ended == std::vector<std::string>{"agent ada", "agent bob"});
  CHECK(report.failed.empty());
  CHECK(agents.info("ada").state == AgentState::Stopped);
  CHECK(agents.info("mine").state == AgentState::Running);

  CHECK(shut_down(agents, folder.path / "overseer", std::chrono::seconds{60}).ended.empty());
  CHECK(take_interrupted(folder.path / "overseer") == std::vector<std::string>{"ada", "bob"});
  CHECK(take_interrupted(folder.path / "overseer").empty());
  agents.stop("mine");
}

TEST_CASE("a shutdown begins nothing after its time") {
  const TempFolder folder;
  FakeAgents agents{folder.path};
  agents.start(of("worker", "ada"), {});
  const auto report = shut_down(agents, folder.path / "overseer", std::chrono::milliseconds{-1});
  CHECK(report.ended.empty());
  REQUIRE(report.failed.size() == 1);
  CHECK(report.failed.front() == "agent ada: there was no time left for it");
  agents.stop("ada");
}
