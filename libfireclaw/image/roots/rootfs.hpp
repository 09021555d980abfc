#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "base/logger.hpp"
#include "image/archives/file_tree.hpp"
#include "image/store/manifest.hpp"
#include "image/store/store.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

/// A root file system's content with what the manifest says of it.
struct LoadedRoot {
  Tree tree;
  /// "busybox", "debian:bookworm", ...
  std::string source;
  RunDefaults defaults;
  /// For a built-in recipe: see Manifest::recipe.
  std::string recipe;
};

/// The things that turning a source into a tree needs.
struct RootContext {
  Tools tools;
  Logger logger;
  std::function<void(std::string_view step)> step;
  /// The folder that keeps large intermediate results for later builds; empty: none.
  std::filesystem::path cache;
  /// BuildOptions::agent.
  std::filesystem::path agent;
};

/// Reads the source. Contents may stay in files below tools.temp, which must outlive the tree.
LoadedRoot load_root(const RootfsSource& source, const RootContext& context);

/// The built-in root: a static busybox with links for all its commands, and the few files of /etc that programs expect.
Tree make_busybox_root(const std::filesystem::path& busybox, const Tools& tools);
/// Manifest::recipe of a root of make_busybox_root().
std::string busybox_recipe(const Tree& root);
/// A folder on this machine. Run by root, owners are kept; else everything belongs to root.
Tree read_directory(const std::filesystem::path& folder, const RootContext& context);
/// A tar file, packed or not.
Tree read_tar_root(const std::filesystem::path& file, const Tools& tools);
/// A Debian root by mmdebstrap.
Tree make_debian_root(const Debian& source, const RootContext& context);
/// The layers of an OCI image, laid over each other, and its configuration.
LoadedRoot read_oci(const Oci& source, const RootContext& context);

}  // namespace fireclaw::image
