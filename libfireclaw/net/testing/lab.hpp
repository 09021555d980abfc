#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "net/firewall/firewall.hpp"
#include "net/links/bridge.hpp"
#include "net/policy.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

// A small world for tests: network namespaces joined by veth pairs. Everything happens in namespaces that the test
// process made; it must itself have been moved into a private one first (tests/support/private_netns.cpp).

namespace fireclaw::net::testing {

/// A network namespace with loopback up. It ends with this object (and the sockets made in it).
class Namespace {
 public:
  Namespace();

  /// Runs `action` with the calling thread inside, and returns what it returns.
  template <typename F>
  auto in(F&& action) const {
    const Visit visit{*this};
    return std::forward<F>(action)();
  }
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  class Visit {
   public:
    explicit Visit(const Namespace& target);
    ~Visit();
    Visit(const Visit&) = delete;

   private:
    sys::Fd back_;
  };
  sys::Fd fd_;
};

/// A veth pair with an end in each, both down.
void connect(const Namespace& a, const std::string& name_a, const Namespace& b, const std::string& name_b);
void set_up(const Namespace& where, const std::string& link);
/// "198.51.100.1/24"
void add_address(const Namespace& where, const std::string& link, const std::string& address);
void add_route(const Namespace& where, const std::string& destination, const std::string& gateway);
/// Runs nft commands; returns what they print.
std::string nft(const Namespace& where, const std::string& commands);
/// All that a user of the namespace could see of it, as text: interfaces, addresses, routes, rules, settings.
std::string state_of(const Namespace& where);

/// Runs `action` as a thread without any capability; rethrows what it throws.
void without_capabilities(const std::function<void()>& action);

/// A forked process that runs `action` and then waits to be killed. Destruction kills it. The constructor returns once
/// the action is done; it throws if the action threw.
class Forked {
 public:
  explicit Forked(const std::function<void()>& action);
  Forked(const Forked&) = delete;
  ~Forked();
  [[nodiscard]] sys::ProcessId id() const { return id_; }
  /// SIGKILL; returns when the process is gone.
  void kill();

 private:
  pid_t pid_;
  sys::ProcessId id_;
};

/// Everything about one machine that a test needs.
struct Guest {
  Namespace inside;
  VmPolicy vm;
};

/// The host with a bridge and a firewall, an uplink to an "internet" of made-up addresses, and guests on request.
///   internet: 198.51.100.2 (the host's default gateway), public hosts 203.0.113.7 and .53, private ones 10.20.30.40
///             and 192.168.77.7, a metadata service 169.254.169.254. It routes the machines' subnet to the host.
///   host:     198.51.100.1 on "uplink".
class Lab {
 public:
  explicit Lab(NetworkPolicy policy = {});

  /// A guest in its own namespace behind a veth pair, with the address 172.16.0.<last>: attached to the bridge and
  /// known to the firewall.
  Guest& add_guest(unsigned last, Egress egress, const std::function<void(VmPolicy&)>& adjust = {});

  sys::TempDir folder;
  Namespace host;
  Namespace internet;
  BridgeConfig bridge;
  std::optional<Firewall> firewall;

 private:
  std::vector<std::unique_ptr<Guest>> guests_;
};

}  // namespace fireclaw::net::testing
