#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/host/impl.hpp"
#include "fireclaw/network.hpp"
#include "net/policy.hpp"
#include "state/records/runs.hpp"
#include "sys/file.hpp"
#include "sys/inside.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {

/// Whether this process may configure its network namespace. If not, the network of the home folder's machines is in
/// another namespace, which an anchor keeps.
bool may_configure_network();

/// The network namespace, with its user namespace, of a home folder whose user has no rights to the host's network.
/// fireclaw-netd keeps both, and the program that connects them outside, as long as machines use them. NatNetwork works
/// in there unchanged. Other processes find the anchor; if it has ended, it is made again.
class Anchor {
 public:
  /// The running one. Error(Corrupt) for a torn record, Error(InvalidState) if it was started in another network
  /// namespace than this process's.
  static std::optional<Anchor> find(const Host::Impl& host);
  /// The running one, or a new one, within tenths of a second. While the result exists, it does not end for lack of
  /// machines. Error(Unsupported) naming what is missing here.
  static Anchor ensure(const Host::Impl& host);

  /// The process that holds the namespaces.
  [[nodiscard]] const sys::ProcessId& holder() const { return holder_; }
  [[nodiscard]] const sys::NetworkNamespace& namespaces() const { return namespaces_; }
  /// Runs `action` in them; see sys::run_inside(). Warnings that it logs with the logger it is given are passed on.
  std::optional<sys::Fd> run(const std::function<std::optional<sys::Fd>(const Logger&)>& action) const;
  /// The same without waiting for the child's end.
  [[nodiscard]] sys::EndingChild run_unwaited(const std::function<void(const Logger&)>& action) const;
  /// The same for text.
  [[nodiscard]] std::string ask(const std::function<std::string(const Logger&)>& question) const;
  /// Ends it, also while machines use it.
  void end() const;

 private:
  Anchor(const Host::Impl& host, const sys::ProcessId& holder);

  const Host::Impl* host_;
  sys::ProcessId holder_;
  sys::NetworkNamespace namespaces_;
  std::optional<sys::FileLock> use_;
};

/// Whether the machine's network has ended while the machine runs.
bool has_lost_network(const state::RunRecord& run);

/// A TCP connection to a machine, from where the network is.
sys::Fd connect_to_machine(const Host::Impl& host, const std::string& address, std::uint16_t port, Deadline deadline,
                           const std::stop_token& stop);

/// The policy for an anchor's namespace: machines reach the gateway's services at the gateway itself, where the anchor
/// answers for this host's loopback.
net::NetworkPolicy in_anchor(net::NetworkPolicy policy);

/// Finds what prevents an anchor. Changes nothing.
std::vector<NetworkObstacle> find_anchor_obstacles(const Host::Impl& host);

// The way out of a namespace is a program: pasta, else slirp4netns. Neither lets anything reach this host's loopback.
// In their arguments "{pid}" stands for the process that has the namespace.

/// Whether one of them is there.
bool has_uplink(const std::vector<std::filesystem::path>& search_path);
std::vector<std::string> pasta_command(const std::filesystem::path& program, bool as_root);
std::vector<std::string> slirp_command(const std::filesystem::path& program);
/// Whether this version of pasta tells a machine that has sent everything that the other end has closed. Debian 12's,
/// which calls its version unknown, does not: slirp4netns is used then, if it is installed.
bool passes_on_every_end(std::string_view pasta_version);

}  // namespace fireclaw::core
