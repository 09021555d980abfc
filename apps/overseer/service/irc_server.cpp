#include "service/irc_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "common/files/fd.hpp"
#include "common/files/private_folder.hpp"
#include "common/files/replaced_file.hpp"
#include "common/processes/child.hpp"
#include "event_loop.hpp"
#include "fireclaw/error.hpp"
#include "irc/pacing.hpp"
#include "irc/resolver.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::string_view ngircd_configuration = R"(# Written by fireclaw at each start.
[Global]
Name = irc.fireclaw
Network = fireclaw
Info = fireclaw's private server
AdminInfo1 = fireclaw
MotdPhrase = People, agents and the overseer of this machine meet here.
Listen = {}
Ports = {}
{}
[Limits]
MaxConnections = 0
MaxConnectionsIP = 0
MaxJoins = 50
MaxNickLength = 30
MaxPenaltyTime = 0
PingTimeout = 120
PongTimeout = 60

[Options]
AllowRemoteOper = no
ChrootDir =
DNS = no
Ident = no
PAM = no

[Channel]
Name = #agents
Topic = Agents
Modes = tn

[Channel]
Name = #control
Topic = The overseer listens here: !help
Modes = tn
)";

/// Its own brakes are for strangers, and there are none here.
constexpr std::string_view inspircd_configuration = R"(# Written by fireclaw at each start.
<server name="irc.fireclaw" description="fireclaw's private server" network="fireclaw">
<admin name="fireclaw" nick="fireclaw" email="root@localhost">
{bind}<connect name="all" allow="*" maxchans="1000" timeout="60" pingfreq="120" hardsendq="8M" softsendq="1M" recvq="1M"
         localmax="10000" globalmax="10000" maxconnwarn="no" resolvehostnames="no" commandrate="1000000" threshold="100000"
         fakelag="no">
<limits maxnick="30" maxchan="64" maxident="20">
<options defaultmodes="nt" splitwhois="no" hidebans="no">
<dns server="127.0.0.1">
<performance nouserdns="yes" netbuffersize="10240" somaxconn="1024">
<security {identity}hidesplits="no">
<log method="file" type="*" level="default" target="{folder}/inspircd.log">
<path configdir="{folder}" datadir="{folder}" logdir="{folder}" runtimedir="{folder}">
<class name="none">
<module name="botmode">
<module name="cap">
<module name="ircv3">
<module name="ircv3_batch">
<module name="ircv3_ctctags">
<module name="ircv3_echomessage">
<module name="ircv3_labeledresponse">
<module name="ircv3_servertime">
<module name="monitor">
<module name="permchannels">
{websocket}<permchannels channel="#agents" modes="Pnt" topic="Agents">
<permchannels channel="#control" modes="Pnt" topic="The overseer listens here: !help">
)";

/// What agents and their machines' network take without config.json's word.
constexpr std::uint16_t default_port = 6667;
constexpr const char* default_services[] = {"6667", "6697", "11434", "53", "53/udp"};

constexpr std::chrono::milliseconds look_again{50};
constexpr std::chrono::seconds good_life{60};
constexpr std::chrono::seconds goodbye_limit{5};

sockaddr_in place_of(const std::string& address, std::uint16_t port) {
  sockaddr_in place{};
  place.sin_family = AF_INET;
  place.sin_port = htons(port);
  if (::inet_pton(AF_INET, address.c_str(), &place.sin_addr) != 1) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an IPv4 address", address)};
  }
  return place;
}

bool answers(const sockaddr_in& place) {
  const cli::Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  // An address that turns out not to be this machine's must not hold up the loop.
  const timeval limit{0, 100'000};
  return socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit) == 0 &&
         ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) == 0;
}

/// Another server would answer in the place of ours.
void require_free(const IrcServerOptions& options) {
  for (const auto& address : options.addresses) {
    const auto place = place_of(address, options.port);
    const cli::Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    // With it only what listens is in the way, not connections that have just ended.
    const int yes = 1;
    if (socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) == 0 &&
        ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&place), sizeof place) != 0 && errno == EADDRINUSE) {
      throw Error{
          ErrorCode::AlreadyExists,
          fmt::format("something else listens on {} port {}; what it is: ss -ltnp sport = :{}; Debian's own IRC "
                      "servers end with: systemctl disable --now ngircd (or inspircd)",
                      address, options.port, options.port)};
    }
  }
}

std::filesystem::path config_of(const IrcServerOptions& options) {
  return options.folder / (options.software == IrcSoftware::Inspircd ? "inspircd.conf" : "ngircd.conf");
}

/// How it is started in the foreground.
std::vector<std::string> command_for(const IrcServerOptions& options, const std::filesystem::path& config) {
  if (options.software == IrcSoftware::Ngircd) {
    return {options.program.native(), "--nodaemon", "--config", config.native()};
  }
  // As root it becomes nobody by its configuration, and asks for this word all the same.
  return {options.program.native(), "--nofork", "--nopid", "--runasroot", "--config", config.native()};
}

/// The server's process, as long as it lives.
class Server {
 public:
  Server(EventLoop& loop, const IrcServerOptions& options, const Notifier& notifier, const Log& log)
      : loop_{loop},
        options_{options},
        notifier_{notifier},
        log_{log},
        config_{config_of(options)},
        backoff_{Seconds{0.5}, Seconds{60}, 2.0, std::random_device{}()} {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  /// Error(AlreadyExists) if something else has the place, Error(Io).
  void start() {
    require_free(options_);
    began_ = EventLoop::Clock::now();
    child_.emplace(cli::ChildOptions{command_for(options_, config_), {}, -1, false});
    watching_ = loop_.watch(child_->fd(), POLLIN, [this](short) { on_end(); });
    look();
  }

  void stop() {
    stopping_ = true;
    loop_.cancel(std::exchange(timer_, 0));
    if (!child_) return loop_.quit();
    child_->signal(SIGTERM);
    timer_ = loop_.after(goodbye_limit, [this] { child_->signal(SIGKILL); });
  }

 private:
  /// Says that the server is there once it is.
  void look() {
    timer_ = 0;
    if (!child_ || stopping_) return;
    if (std::ranges::any_of(options_.addresses,
                            [&](const auto& address) { return answers(place_of(address, options_.port)); })) {
      log_(LogLevel::Info, fmt::format("IRC server on {} port {}", fmt::join(options_.addresses, ", "), options_.port));
      notifier_.tell("READY=1\nSTATUS=serving");
    } else {
      timer_ = loop_.after(look_again, [this] { look(); });
    }
  }

  void on_end() {
    const int status = child_->wait();
    loop_.cancel(std::exchange(watching_, 0));
    loop_.cancel(std::exchange(timer_, 0));
    child_.reset();
    if (stopping_) return loop_.quit();
    if (EventLoop::Clock::now() - began_ >= good_life) backoff_.reset();
    start_later(fmt::format("the IRC server ended with {}", cli::describe_end(status)));
  }

  void start_later(const std::string& why) {
    const auto wait = backoff_.next();
    log_(LogLevel::Error, fmt::format("{}; starting it again in {:.1f} s", why, wait.count()));
    timer_ = loop_.after(std::chrono::duration_cast<EventLoop::Clock::duration>(wait), [this] {
      timer_ = 0;
      try {
        start();
      } catch (const Error& problem) {
        start_later(problem.what());
      }
    });
  }

  EventLoop& loop_;
  const IrcServerOptions& options_;
  const Notifier& notifier_;
  const Log& log_;
  std::filesystem::path config_;
  Backoff backoff_;
  TimePoint began_;
  std::optional<cli::Child> child_;
  EventLoop::Id watching_ = 0;
  EventLoop::Id timer_ = 0;
  bool stopping_ = false;
};

void keep_watchdog(EventLoop& loop, const Notifier& notifier) {
  if (!notifier.watchdog()) return;
  notifier.tell("WATCHDOG=1");
  loop.after(*notifier.watchdog(), [&loop, &notifier] { keep_watchdog(loop, notifier); });
}

}  // namespace

std::string to_ngircd_conf(const IrcServerOptions& options, bool as_root) {
  const auto* identity = as_root ? "ServerUID = nobody\nServerGID = nogroup\n" : "";
  return fmt::format(ngircd_configuration, fmt::join(options.addresses, ","), options.port, identity);
}

std::string to_inspircd_conf(const IrcServerOptions& options, bool as_root) {
  std::string bind;
  for (const auto& address : options.addresses) {
    bind += fmt::format("<bind address=\"{}\" port=\"{}\" type=\"clients\">\n", address, options.port);
  }
  std::string websocket;
  if (options.websocket_port != 0) {
    bind += fmt::format("<bind address=\"127.0.0.1\" port=\"{}\" type=\"clients\" hook=\"websocket\">\n",
                        options.websocket_port);
    // Any page in a browser could connect; its origin is the one thing that it cannot make up.
    websocket = "<module name=\"sha1\">\n<module name=\"websocket\">\n";
    for (const auto* origin : {"http://localhost", "http://localhost:*", "http://127.0.0.1", "http://127.0.0.1:*"}) {
      websocket += fmt::format("<wsorigin allow=\"{}\">\n", origin);
    }
  }
  std::string folder = options.folder.native();
  for (auto at = folder.find_first_of("\"&"); at != std::string::npos; at = folder.find_first_of("\"&", at + 5)) {
    folder.replace(at, 1, folder[at] == '&' ? "&amp;" : "&quot;");
  }
  return fmt::format(inspircd_configuration, fmt::arg("bind", bind), fmt::arg("websocket", websocket),
                     fmt::arg("folder", folder),
                     fmt::arg("identity", as_root ? "runasuser=\"nobody\" runasgroup=\"nogroup\" " : ""));
}

std::string advice_for_agents(const std::filesystem::path& config, std::uint16_t port) {
  using Json = nlohmann::json;
  std::ifstream file{config};
  const auto all = Json::parse(file, nullptr, false);
  const auto at = [&](const char* pointer, Json otherwise) {
    return all.is_object() ? all.value(Json::json_pointer{pointer}, std::move(otherwise)) : otherwise;
  };
  const auto text = std::to_string(port);
  const auto irc_port = at("/irc/port", Json(default_port));
  auto services = at("/network/services", Json(default_services));
  const bool reachable =
      std::ranges::any_of(services, [&](const Json& service) { return service == text || service == text + "/tcp"; });
  if (irc_port == port && reachable) return {};
  auto line = fmt::format("agents will not find this server; put into {}:", config.native());
  if (irc_port != port) line += fmt::format(R"( "irc": {{"port": {}}})", port);
  if (!reachable) {
    services.push_back(text);
    line += fmt::format(R"({} "network": {{"services": {}}})", irc_port == port ? "" : ",", services.dump());
  }
  return line;
}

IrcProgram find_irc_server() {
  const char* path = std::getenv("PATH");
  const auto folders = fmt::format("{}:/usr/sbin:/usr/local/sbin", path == nullptr ? "" : path);
  for (const auto& [software, name] : {std::pair{IrcSoftware::Inspircd, "inspircd"}, {IrcSoftware::Ngircd, "ngircd"}}) {
    std::string_view rest = folders;
    while (!rest.empty()) {
      const auto folder = rest.substr(0, rest.find(':'));
      rest.remove_prefix(std::min(folder.size() + 1, rest.size()));
      auto program = std::filesystem::path{folder} / name;
      if (folder.starts_with('/') && ::access(program.c_str(), X_OK) == 0) return {software, program};
    }
  }
  throw Error{ErrorCode::NotFound,
              "neither inspircd nor ngircd is installed; on Debian: apt-get install --no-install-recommends inspircd"};
}

int run_irc_server(const IrcServerOptions& options, Signals& signals, const Notifier& notifier, const Log& log) {
  cli::make_private_folder(options.folder);
  const bool as_root = ::geteuid() == 0;
  cli::replace_file(
      config_of(options),
      options.software == IrcSoftware::Inspircd ? to_inspircd_conf(options, as_root) : to_ngircd_conf(options, as_root),
      0600);
  EventLoop loop;
  Server server{loop, options, notifier, log};
  signals.attach(loop, [&](int) {
    notifier.tell("STOPPING=1");
    server.stop();
  });
  server.start();
  keep_watchdog(loop, notifier);
  loop.run();
  return 0;
}

}  // namespace fireclaw::overseer
