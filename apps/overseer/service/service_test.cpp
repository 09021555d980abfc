// What the overseer is to the machine it runs on: metrics, status, audit log, systemd.
#include <doctest/doctest.h>
#include <poll.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <csignal>
#include <cstring>
#include <ctime>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include <fmt/format.h>

#include "crew/audit.hpp"
#include "fireclaw/error.hpp"
#include "service/irc_server.hpp"
#include "service/notifier.hpp"
#include "service/units.hpp"
#include "status/metrics.hpp"
#include "status/server.hpp"
#include "testing/temp_folder.hpp"

using namespace fireclaw;
using namespace fireclaw::overseer;

namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("the audit log is private, one object a line, and is appended to") {
  const TempFolder folder;
  const auto path = folder.path / "audit.log";
  AuditLog{path}.add(
      {"alice!a@h", "alice", "#control", "!list", "done", "said \"x\"\n\xFF", std::chrono::milliseconds{7}});
  AuditLog{path}.add({"overseer", "", "", "watch", "done", "", {}});
  struct stat about {};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  const auto first = nlohmann::json::parse(line);
  CHECK(first.at("who") == "alice!a@h");
  CHECK(first.at("account") == "alice");
  CHECK(first.at("detail") == "said \"x\"\n\uFFFD");
  CHECK(first.at("took_ms") == 7);
  std::getline(file, line);
  CHECK(nlohmann::json::parse(line).at("command") == "watch");
  CHECK_FALSE(std::getline(file, line));
}

TEST_CASE("a full audit log makes room") {
  const TempFolder folder;
  const auto path = folder.path / "audit.log";
  std::ofstream{path} << std::string((8 << 20) - 10, 'x');
  AuditLog log{path};
  log.add({"a", "", "", "c", "done", "", {}});
  CHECK(std::filesystem::file_size(folder.path / "audit.log.1") == (8 << 20) - 9);
  CHECK(std::filesystem::file_size(path) < 250);
}

TEST_CASE("a line of the audit log that was changed, put in or taken out is found") {
  const TempFolder folder;
  const auto path = folder.path / "audit.log";
  for (int i = 0; i < 2; ++i) {
    AuditLog log{path};
    for (const auto* command : {"!invoke a", "!list", "!destroy a"})
      log.add({"alice!a@h", "", "#control", command, "done", "", {}});
    CHECK(verify_audit(path).chain == log.chain());
  }
  const auto text = content(path);
  const auto report = verify_audit(path);
  CHECK(report.lines == 6);
  CHECK(report.complete);
  std::vector<std::string> lines;
  std::istringstream stream{text};
  for (std::string line; std::getline(stream, line);) lines.push_back(line + "\n");
  const auto written = [&](const std::vector<std::string>& some) {
    std::ofstream file{path};
    for (const auto& line : some) file << line;
  };
  for (std::size_t i = 0; i < 5; ++i) {
    CAPTURE(i);
    auto without = lines;
    without.erase(without.begin() + static_cast<std::ptrdiff_t>(i));
    written(without);
    CHECK_THROWS_WITH_AS(verify_audit(path), doctest::Contains("was changed"), Error);
    auto changed = lines;
    changed[i].replace(changed[i].find("alice"), 5, "bobby");
    written(changed);
    CHECK_THROWS_WITH_AS(verify_audit(path), doctest::Contains("was changed"), Error);
    auto added = lines;
    added.insert(added.begin() + static_cast<std::ptrdiff_t>(i) + 1, "{\"who\":\"mallory\"}\n");
    written(added);
    CHECK_THROWS_WITH_AS(verify_audit(path), doctest::Contains("has no chain"), Error);
  }
  auto torn = lines;
  torn.back().resize(20);
  written(torn);
  CHECK_THROWS_AS(verify_audit(path), Error);
  written(lines);
  CHECK(verify_audit(path).lines == 6);
  CHECK_THROWS_WITH_AS(verify_audit(folder.path / "none"), doctest::Contains("no audit log"), Error);
}

TEST_CASE("an audit log of an earlier version continues with a chain, and so does a full one in the next file") {
  const TempFolder folder;
  const auto path = folder.path / "audit.log";
  std::ofstream{path} << "{\"who\":\"old\"}\n";
  AuditLog log{path};
  const std::string much(100'000, 'x');
  for (int i = 0; i < 100; ++i) log.add({"a", "", "", "c", "done", much, {}});
  CHECK(std::filesystem::exists(folder.path / "audit.log.1"));
  const auto report = verify_audit(path);
  CHECK(report.lines == 101);
  CHECK(report.unchained == 1);
  for (int i = 0; i < 100; ++i) log.add({"a", "", "", "c", "done", much, {}});
  CHECK_FALSE(verify_audit(path).complete);
}

TEST_CASE("what is refused does not push out what was done") {
  const TempFolder folder;
  const auto path = folder.path / "audit.log";
  const std::string much(10'000, 'x');
  for (int round = 0; round < 2; ++round) {
    AuditLog log{path};
    log.add({"a", "", "", "kept", "done", "", {}});
    for (int i = 0; i < 2000; ++i) log.add({"m", "", "", "c", "refused", much, {}});
  }
  CHECK_FALSE(std::filesystem::exists(folder.path / "audit.log.1"));
  CHECK(std::filesystem::file_size(path) < (1 << 20) + 1000);
  CHECK(verify_audit(path).lines > 50);
}

TEST_CASE("a line that the disk does not take is an error, and leaves nothing behind") {
  const TempFolder folder;
  const auto path = folder.path / "audit.log";
  AuditLog log{path};
  log.add({"a", "", "", "c", "done", "", {}});
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  const rlimit low{std::filesystem::file_size(path) + 50, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &low) == 0);
  CHECK_THROWS_WITH_AS(log.add({"a", "", "", "c", "done", "", {}}), doctest::Contains("cannot be written"), Error);
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  log.add({"a", "", "", "c", "done", "", {}});
  CHECK(verify_audit(path).lines == 2);
}

TEST_CASE("an audit log that is somebody else's link is not followed") {
  const TempFolder folder;
  std::filesystem::create_symlink(folder.path / "elsewhere", folder.path / "audit.log");
  CHECK_THROWS_AS(AuditLog{folder.path / "audit.log"}, Error);
}

TEST_CASE("metrics are in Prometheus' form") {
  Metrics metrics;
  AgentInfo worker;
  worker.name = "wo\"rker";
  worker.vm = "1";
  worker.state = AgentState::Running;
  worker.memory_bytes = 7;
  AgentInfo down;
  down.state = AgentState::Crashed;
  metrics.agents({worker, down});
  metrics.started(std::chrono::milliseconds{700});
  metrics.started(std::chrono::seconds{500});
  metrics.irc(true, 3);
  const auto text = metrics.text();
  CHECK(has(text, "fireclaw_agents{state=\"running\"} 1\n"));
  CHECK(has(text, "fireclaw_agents{state=\"crashed\"} 1\n"));
  CHECK(has(text, "fireclaw_agents{state=\"paused\"} 0\n"));
  CHECK(has(text, "fireclaw_agent_memory_bytes{agent=\"wo\\\"rker\"} 7\n"));
  CHECK(has(text, "fireclaw_agent_start_seconds_bucket{le=\"0.5\"} 0\n"));
  CHECK(has(text, "fireclaw_agent_start_seconds_bucket{le=\"1\"} 1\n"));
  CHECK(has(text, "fireclaw_agent_start_seconds_bucket{le=\"+Inf\"} 2\n"));
  CHECK(has(text, "fireclaw_overseer_irc_online 1\n"));
  CHECK(has(text, "# TYPE fireclaw_agent_start_seconds histogram\n"));
}

TEST_CASE("pages are served over a private socket, however long its path") {
  const TempFolder folder;
  const auto deep = folder.path / std::string(120, 'd');
  std::filesystem::create_directories(deep);
  EventLoop loop;
  StatusServer server{loop,
                      {{"/status",
                        [] {
                          return StatusServer::Page{"application/json", std::string(100'000, 'x')};
                        }},
                       {"/endless", [] {
                          return StatusServer::Page{"application/json", std::string(17 << 20, 'x')};
                        }}}};
  server.add(listen_unix(deep / "socket"));
  struct stat about {};
  REQUIRE(::stat((deep / "socket").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
  std::thread client{[&] {
    CHECK(get_unix(deep / "socket", "/status").size() == 100'000);
    CHECK_THROWS_AS(get_unix(deep / "socket", "/other"), Error);
    CHECK_THROWS_WITH_AS(get_unix(deep / "socket", "/endless"), doctest::Contains("has no end"), Error);
    loop.post([&] { loop.quit(); });
  }};
  loop.run();
  client.join();
  CHECK_THROWS_WITH_AS(get_unix(folder.path / "none" / "socket", "/"), doctest::Contains("no overseer answers"), Error);
}

TEST_CASE("a socket takes the place of a dead one, and of nothing else") {
  const TempFolder folder;
  const auto path = folder.path / "socket";
  { const auto dead = listen_unix(path); }
  REQUIRE(std::filesystem::is_socket(path));
  const auto alive = listen_unix(path);
  CHECK_THROWS_WITH_AS(listen_unix(path), doctest::Contains("another process' socket"), Error);
  CHECK(std::filesystem::is_socket(path));
  const auto file = folder.path / "notes";
  std::ofstream{file} << "mine";
  const auto link = folder.path / "link";
  std::filesystem::create_symlink(path, link);
  std::filesystem::create_directory(folder.path / "folder");
  for (const auto& other : {file, link, folder.path / "folder"}) {
    CHECK_THROWS_WITH_AS(listen_unix(other), doctest::Contains("is not a socket"), Error);
  }
  CHECK(content(file) == "mine");
  CHECK(std::filesystem::is_symlink(link));
}

TEST_CASE("clients that say nothing or too much keep nobody else out") {
  const TempFolder folder;
  EventLoop loop;
  StatusServer server{loop, {{"/", [] { return StatusServer::Page{"text/plain", "hello"}; }}}};
  server.add(listen_unix(folder.path / "socket"));
  std::thread client{[&] {
    std::vector<cli::Fd> silent;
    for (int i = 0; i < 40; ++i) {
      silent.emplace_back(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
      sockaddr_un address{};
      address.sun_family = AF_UNIX;
      std::strcpy(address.sun_path, (folder.path / "socket").c_str());
      CHECK(::connect(silent.back().get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    }
    const std::string much(100'000, 'x');
    static_cast<void>(::send(silent.back().get(), much.data(), much.size(), MSG_NOSIGNAL));
    CHECK(get_unix(folder.path / "socket", "/") == "hello");
    loop.post([&] { loop.quit(); });
  }};
  loop.run();
  client.join();
}

TEST_CASE("a process that has no descriptors left waits for some, and does nothing meanwhile") {
  const TempFolder folder;
  EventLoop loop;
  StatusServer server{loop, {{"/", [] { return StatusServer::Page{"text/plain", "hello"}; }}}};
  server.add(listen_unix(folder.path / "socket"));
  cli::Fd client{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit low{64, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  std::vector<cli::Fd> all;
  for (int fd = ::dup(0); fd >= 0; fd = ::dup(0)) all.emplace_back(fd);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strcpy(address.sun_path, (folder.path / "socket").c_str());
  REQUIRE(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
  const std::string_view request = "GET / HTTP/1.0\r\n\r\n";
  REQUIRE(::send(client.get(), request.data(), request.size(), MSG_NOSIGNAL) == ssize_t(request.size()));
  const auto began = std::clock();
  loop.after(std::chrono::milliseconds{500}, [&] {
    CHECK(std::clock() - began < CLOCKS_PER_SEC / 10);
    all.clear();
  });
  std::string answer;
  loop.watch(client.get(), POLLIN, [&](short) {
    char buffer[256];
    const auto got = ::recv(client.get(), buffer, sizeof buffer, 0);
    if (got <= 0) return loop.quit();
    answer.append(buffer, static_cast<std::size_t>(got));
  });
  loop.after(std::chrono::seconds{10}, [&] { loop.quit(); });
  loop.run();
  CHECK(answer.ends_with("\r\n\r\nhello"));
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
}

TEST_CASE("metrics are offered to this machine alone") {
  CHECK(listen_loopback("127.0.0.1:0").get() >= 0);
  for (const auto* address :
       {"0.0.0.0:9464", "10.0.0.1:1", "[::]:1", "localhost:1", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ""}) {
    CAPTURE(address);
    CHECK_THROWS_WITH_AS(listen_loopback(address), doctest::Contains("127.0.0.1:9464"), Error);
  }
}

TEST_CASE("systemd is told over its socket, by path and by abstract name") {
  const TempFolder folder;
  for (const auto& name : {(folder.path / "notify").native(), fmt::format("@fireclaw-test-{}", ::getpid())}) {
    const cli::Fd socket{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), name.size());
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto size = offsetof(sockaddr_un, sun_path) + name.size() + (name[0] == '/' ? 1 : 0);
    REQUIRE(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(size)) == 0);
    const Notifier notifier{name, "30000000"};
    CHECK(notifier.watchdog() == std::chrono::seconds{15});
    notifier.tell("READY=1");
    char buffer[64];
    const auto got = ::recv(socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    CHECK(std::string_view{buffer, static_cast<std::size_t>(std::max<ssize_t>(got, 0))} == "READY=1");
  }
  const Notifier nobody{"", ""};
  nobody.tell("READY=1");
  CHECK_FALSE(nobody.watchdog());
  CHECK_THROWS_AS(Notifier("relative", ""), Error);
}

TEST_CASE("a unit file quotes what systemd would take for its own") {
  Unit unit;
  unit.name = "x";
  unit.description = "a service";
  unit.command = {"/opt/a b/program", "--home", "/srv/100%/$x\"y"};
  unit.home = "/srv/100%/x";
  unit.writes_to = {"/var/log/a b", "/run/100%"};
  unit.runs_machines = true;
  unit.after = "fireclaw-irc.service";
  const auto text = to_unit_file(unit, false);
  CHECK(has(text, R"(ExecStart="/opt/a b/program" "--home" "/srv/100%%/$$x\"y")"));
  CHECK(has(text, "Type=notify\n"));
  CHECK(has(text, "WatchdogSec=30\n"));
  CHECK(has(text, "KillMode=process\n"));
  CHECK(has(text, "Delegate=yes\nOOMPolicy=continue\n"));
  CHECK(has(text, "Slice=fireclaw.slice\n"));
  CHECK(has(text, "ProtectControlGroups=no\n"));
  CHECK(has(text, "RuntimeDirectory=fireclaw\n"));
  CHECK(has(text, "DeviceAllow=/dev/kvm rw\n"));
  CHECK(has(text, "ReadWritePaths=\"/srv/100%%/x\" \"-/var/log/a b\" \"-/run/100%%\"\n"));
  CHECK(has(text, "After=network.target fireclaw-irc.service\n"));
  CHECK(has(text, "WantedBy=multi-user.target\n"));
  unit.holds_machines = true;
  const auto holds = to_unit_file(unit, false);
  CHECK(has(holds, R"(ExecStop="/opt/a b/program" "--home" "/srv/100%%/$$x\"y")"));
  CHECK(has(holds, "ExecStart=/bin/sleep infinity\nRemainAfterExit=yes\n"));
  CHECK(has(holds, "Slice=fireclaw.slice\nTimeoutStopSec=180\nTasksMax=infinity\nDelegate=yes\nOOMPolicy=continue\n"));
  for (const auto* line : {"Restart=", "WatchdogSec=", "KillMode=", "ExecStartPre="}) CHECK_FALSE(has(holds, line));
  unit.user = "anna";
  CHECK(has(to_unit_file(unit, false),
            "ExecStartPre=-+/bin/chown anna /sys/fs/cgroup/fireclaw.slice/cgroup.procs\nExecStart=/bin/sleep"));
  unit.user.clear();
  unit.holds_machines = false;
  const auto user = to_unit_file(unit, true);
  CHECK(has(user, "WantedBy=default.target\n"));
  CHECK_FALSE(has(user, "CapabilityBoundingSet"));
  CHECK(has(user, "Delegate=yes\n"));
  unit.runs_machines = false;
  CHECK_FALSE(has(to_unit_file(unit, false), "KillMode"));
  CHECK_FALSE(has(to_unit_file(unit, false), "Delegate"));
  CHECK(has(to_unit_file(unit, false), "ProtectControlGroups=yes\n"));
  // It sets the bridge's.
  CHECK_FALSE(has(to_unit_file(unit, false), "ProtectKernelTunables"));
  unit.command.emplace_back("a\nExecStartPre=/bin/evil");
  CHECK_THROWS_AS(to_unit_file(unit, false), Error);
}

TEST_CASE("the command in a unit file is read as it was written, and no other is") {
  for (const bool holds_machines : {false, true}) {
    Unit unit;
    unit.holds_machines = holds_machines;
    unit.command = {"/opt/a b/program",    "", " ", "$x", "$$", "100%", "%%", "\\", "\\\\\"", "\"", "a\"b\\c$d%e",
                    "--home=/srv/\xC3\xA4"};
    CHECK(unit_command(to_unit_file(unit, false)) == unit.command);
    CHECK(unit_command(to_unit_file(unit, true)) == unit.command);
  }
  CHECK(unit_command("[Service]\nExecStart=\"/a\"\n") == std::vector<std::string>{"/a"});
  for (const auto* file :
       {"", "[Service]\n", "[Service]\nExecStart=\n", "[Service]\nExecStart=/usr/bin/fireclaw overseer\n",
        "[Service]\nExecStart=\"/a\" b\n", "[Service]\nExecStart=\"/a\n", "[Service]\nExecStart=\"/a\\\n",
        "[Service]\n ExecStart=\"/a\"\n", "[Service]\nExecStart=\"", "#ExecStart=\"/a\"\n"}) {
    CAPTURE(file);
    CHECK(unit_command(file).empty());
  }
}

TEST_CASE("a service of root gives engines users, and one of another user has the rights that a network takes") {
  Unit unit;
  unit.home = "/srv/fireclaw";
  unit.runs_machines = true;
  const auto root = to_unit_file(unit, false);
  CHECK_FALSE(has(root, "\nUser="));
  CHECK_FALSE(has(root, "AmbientCapabilities"));
  CHECK(has(root, " CAP_SETUID CAP_SETGID\n"));
  unit.user = "fireclaw";
  unit.groups = {"kvm"};
  const auto other = to_unit_file(unit, false);
  CHECK(has(other,
            "\nUser=fireclaw\nSupplementaryGroups=kvm\nAmbientCapabilities=CAP_NET_ADMIN\n"
            "CapabilityBoundingSet=CAP_NET_ADMIN\n"));
  CHECK(has(other, "Delegate=yes\nOOMPolicy=continue\n"));
  CHECK_FALSE(has(to_unit_file(unit, true), "User="));
}

TEST_CASE("a service runs as the owner of its home folder") {
  const TempFolder folder;
  Unit unit;
  unit.home = folder.path;
  unit.runs_machines = true;
  const auto* self = ::getpwuid(::geteuid());
  REQUIRE(self != nullptr);
  run_as_owner(unit);
  CHECK(unit.user == (::geteuid() == 0 ? "" : self->pw_name));
  if (::geteuid() == 0) {
    const auto* nobody = ::getpwnam("nobody");
    REQUIRE(nobody != nullptr);
    REQUIRE(::chown(folder.path.c_str(), nobody->pw_uid, nobody->pw_gid) == 0);
    run_as_owner(unit);
    CHECK(unit.user == "nobody");
    REQUIRE(::chown(folder.path.c_str(), 2'000'000'000, 0) == 0);
    CHECK_THROWS_WITH_AS(run_as_owner(unit), doctest::Contains("2000000000, who has no name here"), Error);
  }
  unit.home = folder.path / "missing";
  CHECK_THROWS_WITH_AS(run_as_owner(unit), doctest::Contains("No such file"), Error);
}

TEST_CASE("a service sees users' home directories where something of it is in one, and else not") {
  Unit unit;
  unit.home = "/srv/fireclaw";
  unit.command = {"/usr/bin/fireclaw-overseer", "--home", "/srv/fireclaw"};
  CHECK(has(to_unit_file(unit, false), "ProtectHome=yes\n"));
  const auto sees = [](const Unit& changed) { return !has(to_unit_file(changed, false), "ProtectHome"); };
  for (const auto* path : {"/home/ada/.fireclaw", "/root/.fireclaw", "/run/user/1000/x", "/srv/../root/x"}) {
    CAPTURE(path);
    Unit changed = unit;
    changed.home = path;
    CHECK(sees(changed));
    changed = unit;
    changed.command.emplace_back(path);
    CHECK(sees(changed));
    changed = unit;
    changed.writes_to.emplace_back(path);
    CHECK(sees(changed));
  }
}

TEST_CASE("a unit file is written where it is wanted, over an older one") {
  const TempFolder folder;
  Unit unit;
  unit.name = "fireclaw-x";
  unit.description = "a service";
  unit.command = {"/bin/true"};
  unit.home = "/srv";
  static_cast<void>(install(unit, {false, folder.path / "units", false}));
  static_cast<void>(install(unit, {true, folder.path / "units", false}));
  CHECK(content(folder.path / "units/fireclaw-x.service") == to_unit_file(unit, true));
  CHECK(std::distance(std::filesystem::directory_iterator{folder.path / "units"}, {}) == 1);
}

TEST_CASE("a user who is not root is told what else can be installed") {
  require_manager({false, "", true}, true);
  require_manager({true, "", true}, false);
  require_manager({false, "/somewhere", false}, false);
  for (const auto& options : {InstallOptions{false, "", true}, {false, "", false}, {false, "/somewhere", true}}) {
    CHECK_THROWS_WITH_AS(require_manager(options, false), doctest::Contains("use sudo, or --user"), Error);
  }
}

TEST_CASE("the private server listens where it is told and gives up root's rights") {
  IrcServerOptions options;
  options.addresses = {"127.0.0.1", "172.16.0.1"};
  options.port = 7000;
  const auto text = to_ngircd_conf(options, true);
  CHECK(has(text, "Listen = 127.0.0.1,172.16.0.1\nPorts = 7000\nServerUID = nobody\n"));
  CHECK(has(text, "Network = fireclaw\n"));
  CHECK(has(text, "Name = #control\n"));
  CHECK_FALSE(has(to_ngircd_conf(options, false), "ServerUID"));
  options.folder = "/srv/a&\"b";
  const auto inspircd = to_inspircd_conf(options, true);
  for (const auto* part :
       {"network=\"fireclaw\"", "<bind address=\"127.0.0.1\" port=\"7000\" type=\"clients\">",
        "<bind address=\"172.16.0.1\" port=\"7000\" type=\"clients\">", "runasuser=\"nobody\"", "fakelag=\"no\"",
        "<permchannels channel=\"#control\"", "target=\"/srv/a&amp;&quot;b/inspircd.log\""}) {
    CAPTURE(part);
    CHECK(has(inspircd, part));
  }
  CHECK_FALSE(has(inspircd, "websocket"));
  options.websocket_port = 7001;
  const auto open = to_inspircd_conf(options, false);
  CHECK(has(open, "<bind address=\"127.0.0.1\" port=\"7001\" type=\"clients\" hook=\"websocket\">"));
  CHECK(has(open, "<wsorigin allow=\"http://localhost\">\n<wsorigin allow=\"http://localhost:*\">"));
  CHECK_FALSE(has(open, "runasuser"));
}

TEST_CASE("a server of IRC on another port prints the settings that agents need, and no more than that") {
  const TempFolder folder;
  const auto config = folder.path / "config.json";
  CHECK(advice_for_agents(config, 6667).empty());
  CHECK(advice_for_agents(config, 7000) ==
        "agents will not find this server; put into " + config.native() +
            R"(: "irc": {"port": 7000}, "network": {"services": ["6667","6697","11434","53","53/udp","7000"]})");
  const auto says = [&](std::string_view text) { std::ofstream{config} << text; };
  says(R"({"irc": {"port": 7000}})");
  CHECK(advice_for_agents(config, 7000)
            .ends_with(R"(config.json: "network": {"services": ["6667","6697","11434","53","53/udp","7000"]})"));
  says(R"({"network": {"services": ["7000/tcp"]}})");
  CHECK(advice_for_agents(config, 7000).ends_with(R"(config.json: "irc": {"port": 7000})"));
  says(R"({"irc": {"port": 7000}, "network": {"services": ["7000", "11434"]}})");
  CHECK(advice_for_agents(config, 7000).empty());
  CHECK(advice_for_agents(config, 6667)
            .find(R"("irc": {"port": 6667}, "network": {"services": ["7000","11434","6667"]})") != std::string::npos);
  says("{ torn");
  CHECK(advice_for_agents(config, 6667).empty());
}
