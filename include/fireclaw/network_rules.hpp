#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "fireclaw/export.hpp"

namespace fireclaw {

class Host;

/// Something that a machine with NetworkMode::Nat wanted and was refused.
struct NetworkRefusal {
  /// When.
  std::chrono::system_clock::time_point time;
  /// The machine's id.
  std::string vm;
  /// The machine's name; empty if it has only its id.
  std::string vm_name;
  /// The agent that the machine was started for; empty: for none.
  std::string agent;
  /// What refused: "firewall", "names", "llm", "irc" or "proxy".
  std::string by;
  /// "tcp", "udp", "icmp", "arp"; empty where it means nothing; likewise the next three.
  std::string protocol;
  /// IPv4, as in "203.0.113.7".
  std::string address;
  /// 0: none.
  std::uint16_t port = 0;
  /// The host name, as far as it is known.
  std::string name;
  /// The rule in one word, as in "allowlist".
  std::string rule;
  /// The same for people, one line.
  std::string reason;
  /// Refusals of this machine before this one that are not in the log: the same again within a minute, or too many of
  /// them.
  std::uint64_t unwritten = 0;

  /// Equal in all members.
  bool operator==(const NetworkRefusal&) const = default;
};

/// What machines with NetworkMode::Nat were refused, and what they may reach, changed while they run. Machines are
/// named by their agent, by their name, or by their id; where an agent and a machine have the same name, the agent is
/// meant. Safe from several threads and processes.
class FIRECLAW_API NetworkRules {
 public:
  /// The last `most` refusals of one machine, oldest first; of all if `name` is empty. The gateway writes them down
  /// while it runs, some 8 MiB of them. A name that nobody has has none.
  static std::vector<NetworkRefusal> refusals(const Host& host, const std::string& name = {}, std::size_t most = 1000);
  /// Delivers those that are written from now on, until the stop.
  static void follow_refusals(const Host& host, const std::string& name,
                              const std::function<void(const NetworkRefusal&)>& on_refusal, std::stop_token stop);

  /// Lets a machine reach a destination from now on; see NatOptions::allow. One with Egress::None reaches what is
  /// allowed so and nothing else from then on. What it had is kept. For agents and machines with names it counts also
  /// for their next starts, and they need not run. Returns the list that the machine has now.
  /// Error(NotFound) if nobody has the name; Error(InvalidArgument) for what is not a destination;
  /// Error(PermissionDenied) for a name that stands for private addresses only; Error(InvalidState) if the machine has
  /// no network `nat`, or for a host name if it cannot ask the gateway for names.
  static std::vector<std::string> allow(const Host& host, const std::string& name, const std::string& destination);
  /// Takes a destination off the list: it is closed at once, with the connections to it. With a host name everything
  /// is closed that names had opened, and what the names that are left stand for is opened again. Destinations that
  /// another entry covers stay open.
  /// Errors as for allow(); Error(NotFound) also if the destination is not on the list.
  static std::vector<std::string> deny(const Host& host, const std::string& name, const std::string& destination);
};

}  // namespace fireclaw
