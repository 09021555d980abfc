#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/address.hpp"

namespace fireclaw::gateway {

/// The server to ask for names.
struct NameServer {
  /// nullopt: those of this host's resolv.conf, as it is at each question.
  std::optional<net::Ipv4Address> address;
  std::uint16_t port = 53;
  /// How long to wait for one before asking the next, or the same again.
  std::chrono::milliseconds patience{2000};

  bool operator==(const NameServer&) const = default;
};

/// Questions to name servers, any number at once. Each goes out from its own socket, with a port and an id that are
/// random. An answer that is too long for UDP is fetched by TCP. Works within an event loop: fd() is readable when
/// run() has something to do. Use from one thread.
class Lookups {
 public:
  using Id = std::uint64_t;
  enum class Outcome {
    Found,
    NoData,   ///< the name exists, and has nothing of the kind
    NoName,   ///< there is no such name
    Refused,  ///< the server does not answer this
    Failed,   ///< no server answered, or not with what could be understood
  };
  struct Address {
    net::Ipv4Address address;
    std::chrono::seconds ttl{0};
  };
  using Addresses = std::function<void(Outcome, std::vector<Address>)>;
  /// `message`: the server's, whole; empty if there is none.
  using Message = std::function<void(Outcome, std::string_view message)>;

  explicit Lookups(NameServer server);
  Lookups(const Lookups&) = delete;
  Lookups& operator=(const Lookups&) = delete;
  /// Drops all questions without calling anybody.
  ~Lookups();

  [[nodiscard]] int fd() const noexcept;
  void run();

  /// A name's IPv4 addresses. `own_hosts`: those of this host's hosts file come first. `done` is called once, not
  /// before this returns.
  void find_addresses(const std::string& name, bool own_hosts, Addresses done);
  /// Asks for records of another type.
  void ask(const std::string& name, std::uint16_t type, Message done);
  [[nodiscard]] std::size_t pending() const noexcept;

 private:
  struct Lookup;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fireclaw::gateway
