#include "core/networks/anchor.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <string>
#include <utility>

#include "fireclaw/host.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/testing/outcome.hpp"

using namespace fireclaw;

namespace {

bool has(const std::vector<std::string>& words, const std::string& word) {
  return std::ranges::find(words, word) != words.end();
}

}  // namespace

TEST_CASE("no way out leads to this host's loopback, and each enters the namespaces of the process that is named") {
  for (const bool as_root : {false, true}) {
    const auto pasta = core::pasta_command("/usr/bin/pasta", as_root);
    CHECK(pasta.front() == "/usr/bin/pasta");
    CHECK(has(pasta, "--no-map-gw"));
    for (const auto* forwarding : {"--tcp-ports", "--udp-ports", "--tcp-ns", "--udp-ns"}) {
      const auto option = std::ranges::find(pasta, forwarding);
      REQUIRE(option != pasta.end());
      CHECK(*std::next(option) == "none");
    }
    CHECK(has(pasta, "/proc/{pid}/ns/user"));
    CHECK(has(pasta, "/proc/{pid}/ns/net"));
    CHECK(has(pasta, "--runas") == as_root);
  }
  const auto slirp = core::slirp_command("/usr/bin/slirp4netns");
  CHECK(has(slirp, "--disable-host-loopback"));
  CHECK(has(slirp, "--userns-path=/proc/{pid}/ns/user"));
  CHECK(has(slirp, "/proc/{pid}/ns/net"));
}

TEST_CASE("a pasta that forgets to say that a connection has ended is known by its version") {
  CHECK_FALSE(core::passes_on_every_end("pasta unknown version\nCopyright Red Hat\n"));
  CHECK(core::passes_on_every_end("pasta 0.0~git20240220.1e6f92b-1\nCopyright Red Hat\n"));
}

TEST_CASE("a way out is there if one of its programs is") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "uplink-test-"};
  CHECK_FALSE(core::has_uplink({folder.path()}));
  for (const auto* name : {"slirp4netns", "pasta"}) {
    const auto program = folder.path() / name;
    std::ofstream{program} << "#!/bin/sh\n";
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    CHECK(core::has_uplink({folder.path()}));
    std::filesystem::remove(program);
  }
}

TEST_CASE("a machine has lost its network if the process has ended that kept it") {
  state::RunRecord run;
  CHECK_FALSE(core::has_lost_network(run));
  run.nat.emplace();
  CHECK_FALSE(core::has_lost_network(run));  // it is in the host's own
  run.nat->anchor = sys::current_process();
  CHECK_FALSE(core::has_lost_network(run));
  ++run.nat->anchor->start_time;
  CHECK(core::has_lost_network(run));
}

TEST_CASE("a network that was made in another network namespace is not used from this one") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "anchor-test-"};
  HostOptions options;
  options.home = folder.path() / "home";
  const auto host = Access::impl(Host::open(options));
  struct stat here {};
  REQUIRE(::stat("/proc/self/ns/net", &here) == 0);
  const auto kept_by_this_process = [&](std::uint64_t network_namespace) {
    const auto self = sys::current_process();
    sys::make_directories(host->layout.network_anchor().parent_path());
    std::ofstream{host->layout.network_anchor()} << fmt::format(
        R"({{"schema": 1, "home": "{}", "holder": {{"pid": {}, "start_time": {}}}, "network_namespace": {},
             "services": "none"}})",
        host->layout.home().string(), self.pid, self.start_time, network_namespace);
  };
  kept_by_this_process(here.st_ino);
  const auto found = core::Anchor::find(*host);
  REQUIRE(found);
  CHECK(found->holder() == sys::current_process());
  kept_by_this_process(here.st_ino + 1);
  CHECK(sys::testing::error_of([&] { static_cast<void>(core::Anchor::find(*host)); }) ==
        std::pair{ErrorCode::InvalidState,
                  fmt::format("the machines' network was made in another network namespace, by way of process {}; end "
                              "them there, or use another home folder here",
                              ::getpid())});
}

TEST_CASE("in an anchor the gateway's services are its own") {
  net::NetworkPolicy policy;
  policy.services = {net::Service::parse("127.0.0.1:11434"), net::Service::parse("6667")};
  CHECK(core::in_anchor(policy).services == std::vector{net::Service::parse("11434"), net::Service::parse("6667")});
}
