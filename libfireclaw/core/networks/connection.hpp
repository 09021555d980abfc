#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/networks/anchor.hpp"
#include "core/networks/destinations.hpp"
#include "core/networks/entrances.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/network.hpp"
#include "guest/session.hpp"
#include "net/links/tap.hpp"
#include "state/records/runs.hpp"
#include "sys/process.hpp"
#include "vmm/driver.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::core {

/// The host, as a guest with NetworkMode::User sees it: the same for every machine.
inline constexpr std::string_view user_network_host = "10.0.2.2";

/// The connection of one machine's network device. From connect() to disconnect() it owns the machine's address, tap,
/// port and firewall entry; destruction leaves them as they are, for a machine that continues without this process.
/// Refers to the host; use from one thread at a time.
class VmNetwork {
 public:
  /// For a machine that is yet to be started. `nic`: it has a device, which is not connected with NetworkMode::None.
  /// Error(InvalidArgument) for impossible options, Error(Unsupported) if the engine does not have the mode.
  VmNetwork(const Host::Impl& host, bool nic, NetworkMode mode, const NatOptions& options,
            const vmm::Capabilities& capabilities, const std::string& engine);
  /// For a running machine.
  VmNetwork(const Host::Impl& host, const state::RunRecord& record);

  /// Leaves the device unconnected, for machines that are only made to be saved. Call before prepare().
  void unplug() noexcept { mode_ = NetworkMode::None; }

  /// Call before the engine starts: makes sure that its tap can be made, and names it.
  void prepare();
  /// Call after prepare(), and before the engine opens its devices. Fills in record.nat and writes the record, so that
  /// others can undo this. If it throws, nothing is left. `engine_user`: the user who may open the tap by its name;
  /// nullopt: this process's user.
  void connect(state::RunRecord& record, std::optional<uid_t> engine_user);
  /// Adds the device for the engine: with the tap's descriptor if the tap exists and the engine takes descriptors, else
  /// with its name.
  void add_device(vmm::LaunchSpec& spec);
  /// Adds the interface's settings for the guest.
  void describe(guest::Identity& identity) const;
  /// Call once the engine runs: the tap then lives as long as the engine, and so does the address if the machine is to
  /// outlive this process.
  void hand_over(const sys::ProcessId& engine, bool detached);
  /// Call after the engine's end. Does nothing if there is nothing to undo.
  void disconnect() noexcept;
  /// Whether its tap ends with the engine, so that leave() can replace disconnect().
  [[nodiscard]] bool tap_ends_with_engine() const noexcept { return !tap_stays_; }
  /// Whether its engine has the socket by which the firewall is changed: freeze it during changes.
  [[nodiscard]] bool lends_socket() const noexcept { return lends_socket_; }
  /// Call it before the engine is killed, if nobody waits for its end: shuts the machine out and gives its address
  /// back. Returns the child that did it, if one did.
  std::optional<sys::EndingChild> leave() noexcept;

 private:
  /// The machine's rights by its options.
  struct Wishes {
    std::vector<net::Destination> allow;
    std::vector<NamedDestination> names;
    /// Their addresses now.
    std::vector<net::Destination> found;
    std::vector<net::Publication> publish;

    /// Looks a name up, for the addresses, and since one that is not there is a mistake.
    void add(const AllowedDestination& destination);
    /// For a machine that cannot ask the gateway: its names keep their present addresses. Error(InvalidArgument) for
    /// wildcards.
    void follow_no_names();
  };
  void make_tap(const net::InterfaceName& name, std::optional<uid_t> engine_user);
  void make_spare_tap();
  void remove_spare_tap() noexcept;
  void connect_here(state::RunRecord& record, Wishes wishes, std::optional<uid_t> engine_user);
  void connect_in_anchor(state::RunRecord& record, Wishes wishes);
  std::string hand_over_tap(const sys::ProcessId& engine, bool detached);
  /// `keep_tap`: the tap ends with the engine, which still runs.
  void undo_here(bool ours, bool keep_tap);
  void undo_ours(bool keep_tap);
  std::optional<sys::EndingChild> undo(bool keep_tap) noexcept;
  void undo_others();

  const Host::Impl& host_;
  Logger logger_;
  bool nic_ = false;
  NetworkMode mode_ = NetworkMode::None;
  NatOptions options_;
  bool tap_by_descriptor_ = false;
  bool can_lead_nowhere_ = false;
  /// Where this object's own thread acts; the anchor in whose namespaces the machine's tap is.
  NatPlace place_;
  std::optional<sys::ProcessId> anchor_;
  /// From prepare() until the engine has been started.
  std::optional<Anchor> anchored_;
  std::optional<net::InterfaceName> tap_name_;
  /// The anchor has an unconnected tap of that name, which no engine has opened yet.
  bool spare_tap_ = false;
  bool lends_socket_ = false;
  /// The engine's end leaves the tap in place.
  bool tap_stays_ = true;
  Entrances entrances_;

  /// The parts that connect() has made so far. The taps last until the engine has them.
  std::optional<NatNetwork> network_;
  std::optional<net::Lease> lease_;
  std::optional<net::VmPolicy> policy_;
  std::optional<net::Tap> tap_;
  std::optional<net::NamedTap> named_tap_;
};

}  // namespace fireclaw::core
