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
  /// Whether config.json asks for one.
  bool configured = false;
  /// Whether it runs.
  bool running = false;
  /// The process; 0 if it does not run.
  std::int64_t pid = 0;
  /// Where agents ask LLMs, as in "172.16.0.1:11434"; empty if it does not run or serves none.
  std::string address;
  /// Where agents find IRC, as in "172.16.0.1:6667"; empty if it does not run or serves none.
  std::string irc_address;
  /// What it cannot serve and why, one line each: for instance, another program uses the port. It tries again.
  std::vector<std::string> problems;
  /// In the order of config.json.
  std::vector<GatewayUpstream> upstreams;
  /// In the order of config.json.
  std::vector<GatewayIrcServer> irc_servers;
  /// The HTTP proxy to web servers by name (NatOptions::allow_http).
  GatewayHttp http;
  /// By name.
  std::vector<GatewayAgent> agents;
  /// By name, refuser and rule.
  std::vector<GatewayRefusals> refusals;
};

/// Host::gateway(): the program between machines and the outside. It answers DNS questions by each machine's policy. It
/// passes requests of agents on to LLM and IRC servers, as section "gateway" of config.json allows, and adds keys and
/// passwords, so that no machine needs them. It starts with the network that machines share. It ends with
/// Network::down(), or after ten minutes without machines; the next machine starts it again. The host's network and the
/// network that needs no root have one each. Safe from several threads and processes.
class FIRECLAW_API Gateway {
 public:
  /// Asks the gateway of the network that this process uses, if it runs; else the other. Error(Corrupt) if config.json
  /// is torn; Error(Timeout) if it does not answer.
  [[nodiscard]] GatewayInfo info() const;
  /// Its counters in Prometheus's text format. Error(NotFound) if it does not run; Error(Timeout).
  [[nodiscard]] std::string metrics() const;
  /// Starts it again if it was killed while there are machines. True if it did; false if there was nothing to do, or if
  /// it could not, which is logged.
  bool ensure() const;
  /// Measures what a gateway costs here: starts one, and an LLM server that follows a script, on loopback, each in its
  /// own process. `rounds`: how many single answers to time. Error(Cancelled).
  static GatewayCost measure(unsigned rounds, std::stop_token stop = {});
  /// Serves as the gateway until the stop. `inherited`: the network has started this process, which then has the
  /// sockets to serve and the gateway's lock. Otherwise it brings the network up and makes them: Error(AlreadyExists)
  /// if a gateway runs already or a port is taken.
  void serve(bool inherited, std::stop_token stop) const;

 private:
  explicit Gateway(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

/// Host::secrets(): keys and passwords for the gateway, by name, in secrets.json, which only the user can read.
/// Only the gateway uses them; no machine ever has them. Safe from several threads and processes.
class FIRECLAW_API Secrets {
 public:
  /// Sets or replaces one. Error(InvalidArgument) unless `name` is 1 to 64 letters, digits, . _ - and `value` 1 to
  /// 8192 printable ASCII characters on one line. No error repeats the value.
  void set(const std::string& name, const std::string& value) const;
  /// The names, sorted. Error(PermissionDenied) if others could read the file.
  [[nodiscard]] std::vector<std::string> list() const;
  /// Removes one. Error(NotFound) if there is none of that name.
  void remove(const std::string& name) const;

 private:
  explicit Secrets(Host host) : host_{std::move(host)} {}
  Host host_;
  friend class Host;
};

}  // namespace fireclaw
