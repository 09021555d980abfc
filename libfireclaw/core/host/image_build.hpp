#pragma once

#include <optional>
#include <string>

#include "core/host/impl.hpp"
#include "fireclaw/image.hpp"
#include "image/store/store.hpp"

namespace fireclaw::core {

/// The guestd's entry in an image's manifest: this library's version and the program's digest.
std::string guestd_version(const Host::Impl& host);

/// The recipe of the built-in image as it would be built now. nullopt if its parts are missing.
std::optional<std::string> busybox_recipe(const Host::Impl& host);

/// Whether an image of one of fireclaw's own recipes is what this installation would build. `recipe`: see
/// image::Manifest::recipe.
bool is_current(const Host::Impl& host, const image::Entry& image, const std::string& recipe);

/// Whether an image was built with packages beyond its recipe's: only a person who names them can build it again.
bool has_own_packages(const image::Entry& image);

/// Whether something needs this build: a snapshot with a name, or a machine that runs.
bool needs_build(const Host::Impl& host, const std::string& digest);

/// How images are built here: with this installation's guestd and the host's tools.
image::BuildOptions build_options(const Host::Impl& host);

/// Builds an image with this installation's guestd.
image::Entry build_image(Host::Impl& host, const ImageConfig& config, const BuildOptions& options);

}  // namespace fireclaw::core
