#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/roots/rootfs.hpp"

namespace fireclaw::image {

/// The Debian that agents run in: Python, the usual tools of a shell, rootless podman, the user "agent" and the bot.
/// `context.agent` is the folder of fireclaw's own files: bot/ becomes /usr/lib/fireclaw/agent/bot, and files below
/// root/ go to the same paths in the image.
LoadedRoot make_agent_root(const DebianAgent& source, const RootContext& context);

/// The kernel modules that rootless podman needs beside those of every guest.
std::vector<std::string> agent_modules();

/// A digest of everything that decides the content of such a root, except the date: an image with the same digest need
/// not be built again. Error(NotFound) if `agent` is not there.
std::string agent_recipe(const DebianAgent& source, const std::filesystem::path& agent);

}  // namespace fireclaw::image
