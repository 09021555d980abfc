#pragma once

#include <memory>
#include <span>

#include "net/policy.hpp"

struct nl_sock;

namespace fireclaw::net {

/// The kernel's table of connections, in the network namespace of the thread that made the object. The firewall lets
/// established connections pass, so when a machine ends, or loses rights, its connections must be removed: the next
/// holder of its address would inherit them. Use from one thread at a time.
class Conntrack {
 public:
  /// Error(Unsupported) if the kernel has no netfilter.
  Conntrack();
  Conntrack(Conntrack&&) noexcept;
  Conntrack& operator=(Conntrack&&) noexcept;
  ~Conntrack();

  /// Removes the connections that `address` made and those that were made to it. Returns how many. On a kernel that
  /// cannot show its table (no nf_conntrack_netlink) they stay until they time out.
  std::size_t forget(Ipv4Address address);
  /// Removes only the connections that `address` made to one of `networks`.
  std::size_t forget(Ipv4Address address, std::span<const Ipv4Network> networks);
  /// Removes only the connections that `address` made to none of `kept`.
  std::size_t forget_others(Ipv4Address address, std::span<const Destination> kept);

 private:
  struct Search;
  std::size_t forget(Search& search);
  struct Closer {
    void operator()(nl_sock* socket) const noexcept;
  };
  std::unique_ptr<nl_sock, Closer> socket_;
};

}  // namespace fireclaw::net
