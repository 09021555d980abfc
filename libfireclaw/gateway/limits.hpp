#pragma once

#include <chrono>
#include <cstddef>

namespace fireclaw::gateway {

/// Limits of what machines use of the gateway at once.
struct ServerLimits {
  /// The most bytes of a request, of one machine's requests together, and of all requests together.
  std::size_t body_bytes = std::size_t{16} << 20;
  std::size_t machine_bytes = std::size_t{32} << 20;
  std::size_t total_bytes = std::size_t{256} << 20;
  std::size_t machine_connections = 16;
  std::size_t connections = 1024;
  /// One machine's to IRC.
  std::size_t irc_connections = 8;
  /// For a request to be there as a whole, and for the agent to take what was sent.
  std::chrono::seconds patience{60};
};

}  // namespace fireclaw::gateway
