#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/logger.hpp"
#include "net/address.hpp"
#include "net/interface_name.hpp"
#include "sys/process.hpp"

namespace fireclaw::net {

/// An address on loan to a machine.
struct Lease {
  Ipv4Address address;
  /// The machine's run id.
  std::string run;
  /// The tap made for it, so that the process that reclaims the lease can delete what is left of it.
  InterfaceName tap;
  /// The process whose end ends the lease.
  sys::ProcessId holder;

  [[nodiscard]] MacAddress mac() const { return MacAddress::for_address(address); }
  bool operator==(const Lease&) const = default;
};

/// The addresses of a subnet and who has them: a file (ip-pool.json) that processes share, taking turns by a lock
/// beside it. A lease ends when it is released, or with its holder (pid and start time). Addresses are handed out in
/// a circle, so that one that was just returned rests as long as possible.
/// No lease outlives a reboot, so the file is replaced atomically but not synced, which would cost more than all the
/// rest of giving an address. A torn or foreign file is Error(Corrupt) naming it, and stays as it is; only if it was
/// last written before this boot (torn by a power failure, then) is it set aside as <file>.torn, with a warning.
/// The object keeps nothing but its configuration: use it from any thread.
class AddressPool {
 public:
  /// Network address, broadcast address and gateway are never handed out.
  AddressPool(std::filesystem::path file, InterfaceName bridge, Ipv4Network subnet, Ipv4Address gateway,
              Logger logger = {});

  struct Allocation {
    Lease lease;
    /// Leases of dead holders that were taken back to make room: remove their taps and firewall entries.
    std::vector<Lease> reclaimed;
  };
  /// A free address, or `wanted` itself, for the machine with this tap; without, a random tap name comes with it.
  /// Error(InvalidState) with the remedy if none is free; Error(AlreadyExists) if `wanted` is taken,
  /// Error(InvalidArgument) if it is not in the pool.
  Allocation allocate(const sys::ProcessId& holder, std::string_view run,
                      std::optional<Ipv4Address> wanted = std::nullopt,
                      const std::optional<InterfaceName>& tap = std::nullopt);
  /// False if `run` does not hold it (any more).
  bool release(Ipv4Address address, std::string_view run);
  /// Makes the lease end with another process: the engine's, for a machine that outlives its starter.
  /// Error(NotFound) if `run` does not hold the address.
  void transfer(Ipv4Address address, std::string_view run, const sys::ProcessId& holder);
  /// Takes back the leases of all dead holders and returns them, for their taps and firewall entries to be removed.
  std::vector<Lease> reclaim();
  /// By address. Those of dead holders are among them until they are reclaimed.
  [[nodiscard]] std::vector<Lease> list() const;

  /// How many addresses the pool has in all.
  [[nodiscard]] std::size_t size() const;

 private:
  struct Content;
  [[nodiscard]] Content parse() const;
  [[nodiscard]] Content read() const;
  [[nodiscard]] Content read_or_set_aside() const;
  void write(const Content& content) const;
  [[nodiscard]] bool is_usable(Ipv4Address address) const;
  [[nodiscard]] std::optional<Ipv4Address> next_free(const Content& content) const;

  std::filesystem::path file_;
  InterfaceName bridge_;
  Ipv4Network subnet_;
  Ipv4Address gateway_;
  Logger logger_;
};

}  // namespace fireclaw::net
