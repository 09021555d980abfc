#pragma once

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "fireclaw/export.hpp"
#include "fireclaw/gateway_counts.hpp"
#include "fireclaw/host.hpp"

namespace fireclaw {

/// The gateway of a home folder.
struct GatewayInfo {
  /// config.json asks for one.
  bool configured = false;
  /// It runs.
  bool running = false;
  /// The process; 0 if it does not run.
  std::int64_t pid = 0;
  /// Where agents ask LLMs, as in "172.16.0.1:11434"; empty if it does not run or is to serve none.
  std::string address;
  /// Where agents find IRC while it runs, as in "172.16.0.1:6667"; empty if it serves none.
  std::string irc_address;
  /// What it cannot serve and why, one line each: a port that another program has, for instance. It tries again.
  std::vector<std::string> problems;
  /// In the order of config.json.
  std::vector<GatewayUpstream> upstreams;
  /// In the order of config.json.
  std::vector<GatewayIrcServer> irc_servers;
  /// The way to web servers by name (NatOptions::allow_http).
  GatewayHttp http;
  /// By name.
  std::vector<GatewayAgent> agents;
  /// By name, refuser and rule.
  std::vector<GatewayRefusals> refusals;
};

/// Host::gateway(): the program between machines and the outside. It answers for names by each machine's policy.
/// Between agents and the servers that they use, for LLMs and IRC, it has the keys and passwords, so that no machine
/// needs to, and passes on what section "gateway" of config.json allows. It starts with the network that machines
/// share. It ends with Network::down(), or when there have been no machines for ten minutes; the next machine starts it
/// again. The host's network and the network that needs no root have one each. Safe from several threads and processes.
class FIRECLAW_API Gateway {
 public:
  /// Asks the gateway of the machines that this process starts, if it runs; else the other. Error(Corrupt) if
  /// config.json is torn; Error(Timeout) if it does not answer.
  [[nodiscard]] GatewayInfo info() const;
  /// What it has counted, as Prometheus reads it. Error(NotFound) if it does not run; Error(Timeout).
  [[nodiscard]] std::string metrics() const;
  /// Starts it again if it was killed while there are machines. True if it did, false if there was nothing to do or it
  /// could not, which is logged.
  bool ensure() const;
  /// Measures what it costs here: a gateway, and an LLM server that follows a script, are made on loopback for it, each
  /// in its own process. `rounds`: of single answers. Error(Cancelled).
  static GatewayCost measure(unsigned rounds, std::stop_token stop = {});
  /// Is the gateway until the stop. `inherited`: the network has started this process, with the sockets that it serves
  /// and the lock of the one gateway there can be. Otherwise it brings the network up, and makes them:
  /// Error(AlreadyExists) if a gateway runs already, or a port is taken.
  void serve(bool inherited, std::stop_token stop) const;

 private:
  explicit Gateway(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::secrets(): keys and passwords by name, that the gateway uses: secrets.json, which the user alone can read.
/// Nothing else of fireclaw reads it, and no machine gets to know them. Safe from several threads and processes.
class FIRECLAW_API Secrets {
 public:
  /// Replaces one of that name. Error(InvalidArgument) unless `name` is 1 to 64 letters, digits, . _ - and `value` 1 to
  /// 8192 printable ASCII characters on one line. No error repeats the value.
  void set(const std::string& name, const std::string& value) const;
  /// The names, sorted. Error(PermissionDenied) if others could read the file.
  [[nodiscard]] std::vector<std::string> list() const;
  /// Forgets one. Error(NotFound) if there is none of that name.
  void remove(const std::string& name) const;

 private:
  explicit Secrets(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

}  // namespace fireclaw
