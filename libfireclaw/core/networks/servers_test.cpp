// What serves machines and what they are told of, in a network namespace of the test's own: the gateway, LLM servers of
// this host, what stands in the way of a network.
#include <doctest/doctest.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "core/agents/outside.hpp"
#include "core/host/engine_store.hpp"
#include "core/networks/gateway.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/gateway.hpp"
#include "fireclaw/llm.hpp"
#include "gateway/records/counters.hpp"
#include "http/scripted_server.hpp"
#include "net/links/bridge.hpp"
#include "net/links/netlink.hpp"
#include "state/settings/config.hpp"
#include "sys/digest.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::core {
namespace {

using http::test::Peer;
using http::test::ScriptedServer;
using sys::testing::error_of;
using Step = ScriptedServer::Step;

sys::ProcessId gone() {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  return sys::Child::spawn(spec).id();
}

Step answer(const std::string& status, const std::string& body) {
  return [=](Peer& peer) {
    peer.request();
    peer.send(
        fmt::format("HTTP/1.1 {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status, body.size(), body));
  };
}

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "servers-test-"};
  Host host = open();
  std::shared_ptr<Host::Impl> impl = Access::impl(host);

  Fixture() { set_loopback(true); }
  ~Fixture() {
    std::filesystem::remove(files().record);
    NatNetwork network{*impl};
    const auto turn = network.take_turn();
    network.reclaim();
    network.remove();
    set_loopback(false);
  }

  static void set_loopback(bool up) {
    net::Netlink netlink;
    netlink.set_up(netlink.get_link(net::InterfaceName{"lo"}).index, up);
  }
  [[nodiscard]] Host open() const {
    HostOptions options;
    options.home = folder.path() / "home";
    return Host::open(options);
  }
  [[nodiscard]] gateway::Files files() const { return gateway::files_of(impl->layout, gateway::Place::Host); }
  void configure_gateway() const {
    state::Config config;
    config.gateway =
        json::Value::parse(R"({"llm": {"upstreams": [{"name": "one", "url": "http://127.0.0.1:1"}]}})", "it");
    state::write_config(impl->layout.config(), config);
  }
};

TEST_CASE_FIXTURE(Fixture, "a gateway that is started by hand makes the network that it serves") {
  configure_gateway();
  const auto bridge = NatNetwork{*impl}.bridge();
  CHECK_FALSE(net::is_bridge_up(bridge));
  std::stop_source stop;
  stop.request_stop();
  host.gateway().serve(false, stop.get_token());
  CHECK(net::is_bridge_up(bridge));
  const auto found = find_gateway(*impl, gateway::Place::Host);
  REQUIRE(found);
  CHECK(found->process == sys::current_process());
  CHECK(found->address == "172.16.0.1:11434");
  CHECK_FALSE(std::filesystem::exists(files().status_socket));
}

TEST_CASE_FIXTURE(Fixture, "what a gateway counts and complains of is told") {
  configure_gateway();
  CHECK(host.gateway().info().configured);
  CHECK_FALSE(host.gateway().info().running);
  gateway::Status status;
  status.problems = {"port 53 is taken"};
  status.agents.emplace_back().agent.name = "ada";
  status.agents.front().agent.requests = 7;
  status.agents.front().answers = 2;
  status.agents.front().first_token_us = 6000;
  status.agents.front().longest_first_token_us = 4000;
  status.upstreams.push_back({"one", "http://127.0.0.1:1", 1, 2, 3, 4, "refused"});
  status.irc.push_back({"office", "irc.example.org:6697", 1, 2, 3, "gone"});
  status.http = {1, 2, 3, 4};
  status.refused = {{"ada", "names", "example.org", 5}, {"bob", "firewall", "tcp 22", 6}};
  put_gateway(*impl, sys::current_process(), NatNetwork{*impl}.policy().gateway, {11434, 6667, false});
  const auto server =
      ScriptedServer::on_unix_socket(files().status_socket, {answer("200 OK", json::record_text(status))});
  const auto info = host.gateway().info();
  CHECK(info.running);
  CHECK(info.pid == ::getpid());
  CHECK(info.address == "172.16.0.1:11434");
  CHECK(info.irc_address == "172.16.0.1:6667");
  CHECK(info.problems == status.problems);
  REQUIRE(info.agents.size() == 1);
  CHECK(info.agents.front() == gateway::to_agent(status.agents.front()));
  CHECK(info.upstreams == status.upstreams);
  CHECK(info.irc_servers == status.irc);
  CHECK(info.http == status.http);
  CHECK(info.refusals ==
        std::vector<GatewayRefusals>{{"ada", "names", "example.org", 5}, {"bob", "firewall", "tcp 22", 6}});
}

TEST_CASE_FIXTURE(Fixture, "an LLM server's answer is read up to 4 MiB") {
  constexpr std::size_t most = std::size_t{4} << 20;
  const std::string frame = R"({"models": ""})";
  const auto of_size = [&](std::size_t bytes) {
    return answer("200 OK", R"({"models": ")" + std::string(bytes - frame.size(), 'x') + R"("})");
  };
  const auto ask = [](const ScriptedServer& server) { return ask_llm_server(server.url("/api/tags")); };
  const auto fitting = ScriptedServer::on_loopback({of_size(most)});
  CHECK(ask(fitting).at("models").as_string().size() == most - frame.size());
  const auto endless = ScriptedServer::on_loopback({of_size(most + 1)});
  CHECK(error_of([&] { static_cast<void>(ask(endless)); }) ==
        std::pair{ErrorCode::InvalidArgument, fmt::format("'{}' has {} bytes or more; at most {} are accepted",
                                                          endless.url("/api/tags"), most + 1, most)});
}

TEST_CASE_FIXTURE(Fixture,
                  "LLM servers of this host are found at their ports, also if another program has one of these") {
  const auto looked_at = [](Peer& peer) { peer.wait_until_closed(); };
  const Step nothing = answer("404 Not Found", "");
  const Step models = answer("200 OK", R"({"data": [{"id": "m"}]})");
  const Step version = answer("200 OK", R"({"version": "1"})");
  const Step tags = answer("200 OK", R"({"models": [{"name": "n"}]})");
  struct Row {
    std::string what;
    std::vector<Step> first;
    std::vector<std::string> found;
  };
  for (const auto& row :
       std::vector<Row>{{"nothing", {}, {"llama.cpp openai m"}},
                        {"another program", {looked_at, nothing, nothing}, {"llama.cpp openai m"}},
                        {"Ollama", {looked_at, version, tags}, {"Ollama ollama n", "llama.cpp openai m"}},
                        {"a server that only lists as Ollama does",
                         {looked_at, nothing, models},
                         {"Ollama openai m", "llama.cpp openai m"}}}) {
    CAPTURE(row.what);
    const auto first = ScriptedServer::on_loopback(row.first, 11434);
    const auto second = ScriptedServer::on_loopback({looked_at, nothing, models}, 8080);
    std::vector<std::string> found;
    for (const auto& server : host.llm_servers().find()) {
      found.push_back(fmt::format("{} {} {}", server.name, server.api, fmt::join(server.models, ",")));
    }
    CHECK(found == row.found);
  }
}

TEST_CASE_FIXTURE(Fixture, "of an engine that is fetched its program stays, and nothing of what is not to be used") {
  const auto archive_of = [&](const std::string& name, const std::string& script) {
    const sys::TempDir made{folder.path(), "release-"};
    sys::write_file_atomic(made.path() / name, script, 0755);
    sys::ToolOptions tools;
    tools.search_path = impl->options.search_path;
    return sys::check_tool({"tar", "-czf", "-", "-C", made.path().native(), name}, tools).out;
  };
  const std::string version = "#!/bin/sh\necho 'Firecracker v1.16.1'\n";
  struct Row {
    std::string what;
    std::string archive;
    bool is_as_said;
    std::optional<ErrorCode> code;
  };
  const auto engines = impl->layout.home() / "engines";
  for (const auto& row :
       std::vector<Row>{{"another digest", archive_of("firecracker", version), false, ErrorCode::Corrupt},
                        {"no archive", "nothing", true, ErrorCode::Corrupt},
                        {"no program", archive_of("notes", version), true, ErrorCode::InvalidArgument},
                        {"another program", archive_of("firecracker", "#!/bin/sh\nexit 3\n"), true, ErrorCode::Vmm},
                        {"an old one", archive_of("firecracker", "#!/bin/sh\necho 'Firecracker v1.4.0'\n"), true,
                         ErrorCode::Unsupported},
                        {"a release", archive_of("firecracker-v1.16.1-x86_64", version), true, std::nullopt},
                        {"the same", archive_of("firecracker", version), true, std::nullopt}}) {
    CAPTURE(row.what);
    const auto server = ScriptedServer::on_loopback({answer("200 OK", row.archive)});
    const auto digest = sys::sha256_hex(row.is_as_said ? row.archive : "another");
    const auto fetch = [&] { return fetch_firecracker(*impl, server.url("/release.tgz"), digest, {}, {}); };
    std::vector<std::filesystem::path> left;
    if (row.code) {
      const auto [code, text] = error_of(fetch);
      CAPTURE(text);
      CHECK(code == row.code);
    } else {
      left.push_back(engines / "firecracker-1.16.1");
      CHECK(fetch() == left.front() / "firecracker");
    }
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator{engines}) found.push_back(entry.path());
    CHECK(found == left);
  }
}

TEST_CASE_FIXTURE(Fixture, "an address that no machine's record tells of is taken back when garbage is collected") {
  NatNetwork network{*impl};
  const auto kept = network.pool().allocate(sys::current_process(), "0123456789abcdef").lease;
  const auto left = network.pool().allocate(gone(), "fedcba9876543210").lease;
  CHECK(host.collect_garbage().addresses == std::vector{left.address.to_string()});
  const auto now = network.pool().list();
  REQUIRE(now.size() == 1);
  CHECK(now.front().address == kept.address);
  CHECK(host.collect_garbage().addresses.empty());
}

TEST_CASE_FIXTURE(Fixture, "what stands in the way of a network is told with what to do, or that nothing does") {
  NatNetwork network{*impl};
  CHECK(find_obstacles(network).empty());
  std::thread{[&] {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const __user_cap_data_struct none[2] = {};
    CHECK(::syscall(SYS_capset, &header, none) == 0);
    const auto found = find_obstacles(network);
    CHECK_FALSE(found.empty());
    if (found.empty()) return;
    CHECK(found.front().problem == "no CAP_NET_ADMIN");
    CHECK(found.front().remedy.find("--net user") != std::string::npos);
  }}.join();
  net::Netlink netlink;
  const auto& name = network.bridge().name;
  netlink.create_bridge(name, net::MacAddress::parse("02:00:00:00:00:01"), 1500);
  const auto found = find_obstacles(network);
  netlink.delete_link(name);
  REQUIRE(found.size() == 1);
  CHECK(found.front().problem.find("was not made by fireclaw") != std::string::npos);
  CHECK(found.front().remedy.find("network.bridge") != std::string::npos);
}

}  // namespace
}  // namespace fireclaw::core
