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

/// Whether this process may configure the network namespace that it is in. Where not, the network of the home folder's
/// machines is in one that an anchor keeps.
bool may_configure_network();

/// The network namespace, with its user namespace, of a home folder whose user has no rights to the host's network:
/// fireclaw-netd keeps them, and the program that is their way out, as long as machines use them. Everything that
/// NatNetwork does works in there unchanged. Found again by other processes; made again when it has ended.
class Anchor {
 public:
  /// The one that runs. Error(Corrupt) for a torn record, Error(InvalidState) if it was started in another network
  /// namespace than this process is in.
  static std::optional<Anchor> find(const Host::Impl& host);
  /// The one that runs, or a new one, in tenths of a second. While the result lives it does not end for want of
  /// machines. Error(Unsupported) with what is missing here.
  static Anchor ensure(const Host::Impl& host);

  /// Who has the namespaces.
  [[nodiscard]] const sys::ProcessId& holder() const { return holder_; }
  [[nodiscard]] const sys::NetworkNamespace& namespaces() const { return namespaces_; }
  /// Runs `action` in them; see sys::run_inside(). Warnings that it logs with the logger it is given are passed on.
  std::optional<sys::Fd> run(const std::function<std::optional<sys::Fd>(const Logger&)>& action) const;
  /// The same without waiting for the end of the child that has done it.
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

/// Whether the network that the machine was connected to has ended under it.
bool has_lost_network(const state::RunRecord& run);

/// A TCP connection to a machine, from where the network is.
sys::Fd connect_to_machine(const Host::Impl& host, const std::string& address, std::uint16_t port, Deadline deadline,
                           const std::stop_token& stop);

/// What the policy becomes in an anchor's namespace: the gateway's services are reached at the gateway itself, where
/// the anchor answers for this host's loopback.
net::NetworkPolicy in_anchor(net::NetworkPolicy policy);

/// What stands in the way of an anchor. Changes nothing.
std::vector<NetworkObstacle> find_anchor_obstacles(const Host::Impl& host);

// The way out of a namespace is a program: pasta, else slirp4netns. Neither lets anything reach this host's loopback.
// In their arguments "{pid}" stands for who has the namespace.

/// Whether one of them is there.
bool has_uplink(const std::vector<std::filesystem::path>& search_path);
std::vector<std::string> pasta_command(const std::filesystem::path& program, bool as_root);
std::vector<std::string> slirp_command(const std::filesystem::path& program);
/// Whether this pasta, by what it says of its version, tells a machine that has sent all it had that the other end has
/// closed. Debian 12's, which calls its version unknown, does not: then slirp4netns is taken, if it is there.
bool passes_on_every_end(std::string_view pasta_version);

}  // namespace fireclaw::core
