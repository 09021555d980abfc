#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/roots/rootfs.hpp"

namespace fireclaw::image {

/// The Debian that agents run in: Python, the usual tools of a shell, rootless podman, the user "agent" and the bot.
/// `context.agent` is the folder of what fireclaw itself adds: bot/ becomes /usr/lib/fireclaw/agent/bot, and what is
/// below root/ goes to the same place in the image.
LoadedRoot make_agent_root(const DebianAgent& source, const RootContext& context);

/// The kernel modules that rootless podman takes beside those that every guest has.
std::vector<std::string> agent_modules();

/// A digest of all that decides what such a root will be, but for the date: two images with the same one need not be
/// built twice. Error(NotFound) if `agent` is not there.
std::string agent_recipe(const DebianAgent& source, const std::filesystem::path& agent);

}  // namespace fireclaw::image
