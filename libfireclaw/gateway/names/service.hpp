#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/clock.hpp"
#include "base/logger.hpp"
#include "gateway/names/lookups.hpp"
#include "gateway/names/rules.hpp"
#include "gateway/records/sources.hpp"
#include "sys/fd.hpp"

namespace fireclaw::gateway {

/// The machine that asks for a name, and its rights.
struct NameClient {
  Client client;
  NameRights rights;
};

/// The machines that may ask, and for which names, as of now. Use from one thread.
class NameSources {
 public:
  virtual ~NameSources() = default;
  /// The machine with this address (in dotted decimals).
  virtual std::optional<NameClient> name_client(std::string_view address) = 0;
};

/// Limits of what machines use of it at once. Beyond them, questions by UDP are dropped, and TCP is refused.
struct NameLimits {
  std::size_t machine_pending = 32;
  std::size_t pending = 256;
  std::size_t machine_connections = 8;
  std::size_t connections = 256;
  double machine_questions_per_second = 100;
  /// The most addresses with ports that are open by name to a machine at once.
  std::size_t machine_openings = 512;
  /// The time for a question by TCP to arrive, and for its answer to be taken.
  std::chrono::seconds patience{10};
  /// The shortest and the longest time that an answer opens an address for, and what it is open beyond its time to
  /// live.
  std::chrono::seconds shortest_opening{300};
  std::chrono::seconds longest_opening{86400};
  std::chrono::seconds grace{60};
};

/// A name that was not answered.
struct NameRefusal {
  Client client;
  std::string address;
  std::string name;
  std::string rule;
  std::string reason;
};

/// The gateway's name server: answers machines by UDP and TCP as their policy allows, and opens the firewall for the
/// answers. Works within an event loop: fd() is readable when run() has something to do. Use from one thread.
class NameService {
 public:
  struct Sockets {
    sys::Fd udp;
    /// Listens, and does not block.
    sys::Fd tcp;
  };
  struct Actions {
    /// net::Openings::open().
    std::function<bool(const net::VmPolicy&, std::span<const net::Destination>, std::chrono::milliseconds)> open;
    std::function<void(const NameRefusal&)> refused;
  };

  /// `sources`, `clock` and `logger` must outlive it. `gateway`: the address of the gateway's own name.
  NameService(NameSources& sources, NameServer server, Sockets sockets, net::Ipv4Address gateway, Actions actions,
              const NameLimits& limits, const Clock& clock, const Logger& logger);
  NameService(const NameService&) = delete;
  NameService& operator=(const NameService&) = delete;
  ~NameService();

  [[nodiscard]] int fd() const noexcept;
  void run();
  /// A name for which the machine at `asker` recently got `address`; empty if there is none.
  [[nodiscard]] std::string name_of(std::string_view asker, net::Ipv4Address address) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fireclaw::gateway
