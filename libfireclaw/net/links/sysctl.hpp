#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fireclaw::net {

/// Kernel settings under /proc/sys/net, named by path: "ipv4/ip_forward". They belong to the network namespace of the
/// calling thread.

/// The value without its newline, or nullopt if this kernel has no such setting.
std::optional<std::string> read_sysctl(std::string_view name);

/// Sets it unless it has that value already (in containers /proc/sys is often read-only, which is fine then).
/// Returns what it was before. Error(PermissionDenied) names the setting and the remedy; Error(NotFound) if there is
/// no such setting.
std::string set_sysctl(std::string_view name, std::string_view value);

}  // namespace fireclaw::net
