#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "fd.hpp"

namespace fireclaw::netd {

/// A service of the gateway.
struct Service {
  bool tcp = true;
  unsigned short port = 0;
};

struct Inside {
  std::string lock;
  std::chrono::seconds idle{60};
  std::string taps;
  std::string gateway;
  std::vector<Service> services;
};

// What the process in the namespaces tells the one outside, a byte a message.
inline constexpr char service_message = 's';  ///< with a descriptor: the socket of the next service
inline constexpr char ready_message = 'r';    ///< all services have been sent
inline constexpr char route_message = 'o';    ///< there is a way out
inline constexpr char failure_message = 'f';  ///< with text: why there are no namespaces

/// The process that has the namespaces: makes them, tells `talk`, and returns when nobody needs them any more, or when
/// they cannot be made.
void keep_namespaces(const Inside& wanted, const Fd& talk);

}  // namespace fireclaw::netd
