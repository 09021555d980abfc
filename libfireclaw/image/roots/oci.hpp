#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "image/archives/file_tree.hpp"
#include "image/archives/tar.hpp"
#include "image/store/manifest.hpp"

namespace fireclaw::image {

/// A blob of an OCI layout, as a descriptor names it.
struct OciBlob {
  /// "sha256:..."
  std::string digest;
  std::uint64_t bytes = 0;
};

/// An image in an OCI layout: its layers, lowest first, and how to run it.
struct OciImage {
  std::string manifest_digest;
  std::vector<OciBlob> layers;
  RunDefaults defaults;
};

/// The image tagged `tag` in the layout, or the only one if `tag` is empty; among several platforms the one for
/// linux/amd64. Error(NotFound) naming the tags there are; Error(Corrupt) for a torn layout; Error(Unsupported) for
/// another platform.
OciImage read_oci_layout(const std::filesystem::path& layout, const std::string& tag);

/// Lays a layer's entries over the tree: first its removals ("whiteouts"), then its files.
void apply_layer(Tree& tree, std::vector<TarEntry> entries);

}  // namespace fireclaw::image
