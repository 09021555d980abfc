#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "json.hpp"

namespace fake {

/// A snapshot's state file: the machine's configuration with a checksum over it. The functions return what is wrong,
/// in Firecracker's words, or nothing.
std::optional<std::string> write_state(const std::string& path, const Json& machine);
std::optional<std::string> read_state(const std::string& path, Json& machine);

/// The memory file: as long as the machine's memory, and empty but for a mark.
std::optional<std::string> write_memory(const std::string& path, std::int64_t mib, bool disk_full);
std::optional<std::string> check_memory(const std::string& path, std::int64_t mib);

/// "No such file or directory (os error 2)"
std::string os_error(int number);

}  // namespace fake
