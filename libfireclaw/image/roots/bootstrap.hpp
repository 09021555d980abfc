#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "image/roots/rootfs.hpp"

namespace fireclaw::image {

/// A request to mmdebstrap.
struct BootstrapRequest {
  std::string suite;
  std::vector<std::string> packages;
  /// Empty: the host's own sources.
  std::string mirror;
  /// Added to mmdebstrap's command line as they are.
  std::vector<std::string> options;
};

/// A tar of the Debian root that `request` names, by mmdebstrap. Made again unless the user has named a folder for
/// downloads and an equal one is kept there that is younger than the package lists that Debian hands out stay valid.
/// Error(InvalidArgument) for words that mmdebstrap would misread; Error(Io) with its complaint.
std::filesystem::path bootstrap_debian(const BootstrapRequest& request, const RootContext& context);

/// Removes leftovers of a build, and files that must differ from machine to machine.
void neutralize(Tree& tree);

}  // namespace fireclaw::image
