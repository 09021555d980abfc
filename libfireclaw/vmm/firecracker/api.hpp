#pragma once

#include <filesystem>
#include <stop_token>
#include <string>
#include <string_view>

#include "base/deadline.hpp"
#include "http/client.hpp"

namespace fireclaw::vmm::firecracker {

/// The answer to GET /.
struct InstanceInfo {
  std::string id;
  std::string version;
};

/// A Firecracker process's API. Use from one thread at a time.
class Api {
 public:
  explicit Api(const std::filesystem::path& socket) : client_{http::Client::over_unix_socket(socket)} {}

  /// Asks and returns the answer's body. Error(Vmm) with Firecracker's own words (fault_message) if it refuses; errors
  /// of the connection as http::Client says.
  std::string call(const http::Request& request, Deadline deadline, const std::stop_token& stop = {});
  InstanceInfo describe(Deadline deadline);

 private:
  http::Client client_;
};

/// Whether the answer to GET / is of a paused machine.
bool is_paused(std::string_view answer);
/// From the answer to GET /version.
std::string parse_running_version(std::string_view answer);

}  // namespace fireclaw::vmm::firecracker
