#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "http/client.hpp"
#include "vmm/firecracker/version.hpp"
#include "vmm/spec.hpp"

namespace fireclaw::vmm::firecracker {

/// Names in a machine's folder, which is the engine's working directory. They are given to Firecracker as they are,
/// relative, because a snapshot records them: a clone finds its own files under them in its own folder.
namespace file {
inline constexpr std::string_view api_socket = "api.sock";
inline constexpr std::string_view vsock = "v.sock";
/// Where Firecracker connects to when the guest dials ready_vsock_port.
inline constexpr std::string_view ready_socket = "v.sock_1025";
inline constexpr std::string_view console = "console.pipe";
inline constexpr std::string_view log = "log.pipe";
inline constexpr std::string_view metrics = "metrics.pipe";
}  // namespace file

/// The link in the machine's folder through which Firecracker opens a drive.
std::string drive_link(const Drive& drive);

/// Throws Error(InvalidArgument or Unsupported) if this version cannot make such a machine.
void check_spec(const LaunchSpec& spec, const Version& version);

/// The process's command line.
std::vector<std::string> to_argv(const std::filesystem::path& binary, const LaunchSpec& spec);
/// The guest kernel's command line: the spec's own words, then the engine's.
std::string to_boot_args(const LaunchSpec& spec);

/// All requests to a new process that boot the machine, in this order.
std::vector<http::Request> to_requests(const LaunchSpec& spec, const Version& version);
/// The request that makes a new process continue from a snapshot.
http::Request to_load_request(const LaunchSpec& spec, const SnapshotFiles& files, const Version& version);
/// That request, and those that limit its drives. A drive without a limit keeps what the saved machine had.
std::vector<http::Request> to_restore_requests(const LaunchSpec& spec, const SnapshotFiles& files,
                                               const Version& version);
http::Request to_create_request(const SnapshotFiles& files);
http::Request pause_request();
http::Request resume_request();
http::Request describe_request();
http::Request version_request();

}  // namespace fireclaw::vmm::firecracker
