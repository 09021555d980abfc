#pragma once

#include <fireclaw/network.hpp>

#include "convert.hpp"

/// The network that machines share, and what one of them may do there.
namespace fireclaw::python {

template <>
struct Enumerators<NetworkMode> {
  static constexpr const char* name = "NetworkMode";
  static constexpr std::array values{std::pair{NetworkMode::None, std::string_view{"none"}},
                                     std::pair{NetworkMode::User, std::string_view{"user"}},
                                     std::pair{NetworkMode::Nat, std::string_view{"nat"}}};
};

template <>
struct Enumerators<Egress> {
  static constexpr const char* name = "Egress";
  static constexpr std::array values{std::pair{Egress::None, std::string_view{"none"}},
                                     std::pair{Egress::Allowlist, std::string_view{"allowlist"}},
                                     std::pair{Egress::Internet, std::string_view{"internet"}}};
};

template <>
struct Fields<NatOptions> {
  static constexpr const char* name = "NatOptions";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("egress", of.egress);
    field("allow", of.allow);
    field("publish", of.publish);
    field("services", of.services);
  }
};

template <>
struct Fields<NetworkObstacle> {
  static constexpr const char* name = "NetworkObstacle";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("problem", of.problem);
    field("remedy", of.remedy);
  }
};

template <>
struct Fields<NetworkLease> {
  static constexpr const char* name = "NetworkLease";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("address", of.address);
    field("mac", of.mac);
    field("tap", of.tap);
    field("vm", of.vm);
    field("holder_pid", of.holder_pid);
    field("alive", of.alive);
  }
};

template <>
struct Fields<NetworkInfo> {
  static constexpr const char* name = "NetworkInfo";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("obstacles", of.obstacles);
    field("up", of.up);
    field("bridge", of.bridge);
    field("subnet", of.subnet);
    field("gateway", of.gateway);
    field("resolver", of.resolver);
    field("services", of.services);
    field("capacity", of.capacity);
    field("leases", of.leases);
  }
};

template <>
struct Fields<NetworkChoice> {
  static constexpr const char* name = "NetworkChoice";
  template <class Visitor, class Object>
  static void visit(Visitor& field, Object& of) {
    field("mode", of.mode);
    field("reason", of.reason);
  }
};

}  // namespace fireclaw::python
