#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/deadline.hpp"

namespace fireclaw::vmm::qemu {

/// A hole of this QEMU towards its guests, in a device that every machine has, with the version that fixes it; empty
/// if none is known. `version`: as binary_version() says; `package`: the distribution's version, which may have the
/// remedy under an older number ("1:8.2.2+ds-0ubuntu1.10"), or empty. Pure.
std::string known_hole(std::string_view version, std::string_view package);

/// The distribution's version in what `binary --version` says, "Debian 1:7.2+dfsg-7+deb12u18"; empty if it names none.
/// Throws as binary_version() does.
std::string binary_package(const std::filesystem::path& binary, Deadline deadline);

}  // namespace fireclaw::vmm::qemu
