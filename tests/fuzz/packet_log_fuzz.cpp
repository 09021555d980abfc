// What the kernel says of a packet that the firewall refused, whose bytes a guest chose: whatever it is, reading it
// ends, within it, and what was read fits together.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/require.hpp"
#include "net/firewall/packet_log.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace fireclaw;
  // On the heap, and no longer than it is: who reads beyond it is seen.
  const std::string message{reinterpret_cast<const char*>(data), size};
  const auto packet = net::read_logged_packet(message);
  if (!packet) return 0;
  fuzz::require(!packet->rule.empty() && !packet->protocol.empty(), "a packet has a rule and a protocol");
  fuzz::require(message.find(packet->rule) != std::string::npos, "the rule is the kernel's word");
  fuzz::require(packet->port == 0 || packet->protocol == "tcp" || packet->protocol == "udp",
                "only these two have ports");
  fuzz::require(packet->protocol != "arp" || packet->source != packet->destination,
                "who says that it is there asks for nobody");
  fuzz::require(net::read_logged_packet(message) == packet, "it is read the same twice");
  return 0;
}
