#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <vector>

#include "fireclaw/export.hpp"

namespace fireclaw {

class Host;

/// What an agent has asked LLMs for through the gateway, since that started.
struct GatewayAgent {
  /// The agent's name, or the id of a machine that was not started for one.
  std::string name;
  /// Requests that were passed on.
  std::uint64_t requests = 0;
  /// Requests that were not: nobody serves the model, a limit is reached, or they ask for something else.
  std::uint64_t refused = 0;
  /// Requests that an LLM server did not answer as a whole.
  std::uint64_t errors = 0;
  /// Tokens that LLMs were sent; estimated where a server does not count.
  std::uint64_t prompt_tokens = 0;
  /// Tokens that they answered, likewise.
  std::uint64_t completion_tokens = 0;
  /// The mean time until an answer began.
  std::chrono::milliseconds first_token{0};
  /// The longest of these times.
  std::chrono::milliseconds longest_first_token{0};

  /// Equal in all members.
  bool operator==(const GatewayAgent&) const = default;
};

/// An LLM server that the gateway passes requests on to.
struct GatewayUpstream {
  /// Its name in config.json.
  std::string name;
  /// Its address there.
  std::string url;
  /// Requests that it was sent since the gateway started.
  std::uint64_t requests = 0;
  /// Those of them that it did not answer as a whole.
  std::uint64_t errors = 0;
  /// Requests that it is answering now.
  std::uint64_t running = 0;
  /// Requests that wait for their turn.
  std::uint64_t waiting = 0;
  /// What went wrong last, one line; empty after an answer.
  std::string last_error;

  /// Equal in all members.
  bool operator==(const GatewayUpstream&) const = default;
};

/// An IRC server that the gateway passes connections on to.
struct GatewayIrcServer {
  /// Its name in config.json.
  std::string name;
  /// Where it is, as in "irc.example.org:6697".
  std::string server;
  /// Connections of agents since the gateway started.
  std::uint64_t connections = 0;
  /// Those of them that the server did not take in, or that broke off.
  std::uint64_t errors = 0;
  /// Connections that are open.
  std::uint64_t open = 0;
  /// What went wrong last, one line; empty after a connection.
  std::string last_error;

  /// Equal in all members.
  bool operator==(const GatewayIrcServer&) const = default;
};

/// What machines were refused since the gateway started.
struct GatewayRefusals {
  /// The agent's name, or the id of a machine that was not started for one.
  std::string name;
  /// What refused: "firewall", "names", "llm", "irc" or "proxy".
  std::string by;
  /// The rule in one word, as in "allowlist".
  std::string rule;
  /// How often. The firewall tells at most 5 a second of a machine, after the first 20.
  std::uint64_t count = 0;

  /// Equal in all members.
  bool operator==(const GatewayRefusals&) const = default;
};

/// The gateway of a home folder.
struct GatewayInfo {
  /// config.json asks for one.
  bool configured = false;
  /// It runs.
  bool running = false;
  /// The process; 0 if it does not run.
  std::int64_t pid = 0;
  /// Where agents ask LLMs, as in "172.16.0.1:11434"; empty if it does not run or serves none.
  std::string address;
  /// Where agents find IRC while it runs, as in "172.16.0.1:6667"; empty if it serves none.
  std::string irc_address;
  /// In the order of config.json.
  std::vector<GatewayUpstream> upstreams;
  /// In the order of config.json.
  std::vector<GatewayIrcServer> irc_servers;
  /// By name.
  std::vector<GatewayAgent> agents;
  /// By name, refuser and rule.
  std::vector<GatewayRefusals> refusals;
};

/// The program between machines and the outside: it answers for names by each machine's policy. Between agents and the
/// servers that they use, for LLMs and IRC, it has the keys and passwords, so that no machine needs to, and passes on
/// what section "gateway" of config.json allows. It starts with the network that
/// machines share, ends with Network::down(), and is started again by the next machine if it was killed. Safe from
/// several threads and processes.
class FIRECLAW_API Gateway {
 public:
  /// Asks the gateway, if it runs. Error(Corrupt) if config.json is torn; Error(Timeout) if it does not answer.
  static GatewayInfo info(const Host& host);
  /// What it has counted, as Prometheus reads it. Error(NotFound) if it does not run; Error(Timeout).
  static std::string metrics(const Host& host);
  /// Starts it again if the network is up and it was killed. True if it did, false if there was nothing to do or it
  /// could not, which is logged.
  static bool ensure(const Host& host);
  /// Is the gateway until the stop. `inherited`: the network has started this process, with the sockets that it serves
  /// and the lock of the one gateway there can be. Otherwise it brings the network up, and makes them:
  /// Error(AlreadyExists) if a gateway runs already, or a port is taken.
  static void serve(const Host& host, bool inherited, std::stop_token stop);
};

/// Keys and passwords by name, that the gateway uses: secrets.json, which the user alone can read. Nothing else of
/// fireclaw reads it, and no machine gets to know them. Safe from several threads and processes.
class FIRECLAW_API Secrets {
 public:
  /// Replaces one of that name. Error(InvalidArgument) unless `name` is 1 to 64 letters, digits, . _ - and `value` 1 to
  /// 8192 printable ASCII characters on one line. No error repeats the value.
  static void set(const Host& host, const std::string& name, const std::string& value);
  /// The names, sorted. Error(PermissionDenied) if others could read the file.
  static std::vector<std::string> list(const Host& host);
  /// Error(NotFound) if there is none of that name.
  static void remove(const Host& host, const std::string& name);
};

}  // namespace fireclaw
