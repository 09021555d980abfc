#pragma once

#include <filesystem>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "core/host/impl.hpp"
#include "fireclaw/image.hpp"

namespace fireclaw::core {

// Firecracker programs that setup has fetched: engines/firecracker-<version>/firecracker in the home folder.

/// Fetches a release's archive, which must have this digest, and keeps its program under its version. Returns the
/// program's path. Error(InvalidArgument) for an invalid digest or an archive without Firecracker; throws as
/// http::download().
std::filesystem::path fetch_firecracker(const Host::Impl& host, const std::string& url, const std::string& sha256,
                                        const ProgressCallback& progress, const std::stop_token& stop);

/// The kept program of this version.
std::optional<std::filesystem::path> kept_firecracker(const Host::Impl& host, std::string_view version);
/// The versions that are kept.
std::vector<std::string> kept_firecrackers(const Host::Impl& host);

/// Removes kept programs that neither config.json, a snapshot with a name nor a running machine needs, except the one
/// that was fetched last. Returns the folders removed.
std::vector<std::filesystem::path> remove_unneeded_engines(const Host::Impl& host);

}  // namespace fireclaw::core
