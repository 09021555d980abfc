#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/tools.hpp"

namespace fireclaw::image {

/// The words to put before a command so that it runs as root of its own namespaces, and all its children end with
/// it: mount and process namespaces for root; for others also a user namespace with their sub-ids (/etc/subuid), in
/// which they themselves are root. Empty if this machine does not allow that.
std::vector<std::string> namespaced(const Tools& tools);

/// Removes a tree, also one of a command in such namespaces, whose files belong to sub-ids.
void remove_namespaced_tree(const std::filesystem::path& path, const Tools& tools);

}  // namespace fireclaw::image
