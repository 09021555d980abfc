#pragma once

#include <filesystem>
#include <string>

#include "image/archives/file_tree.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

/// Compiles the Python files below `folder` ("usr/lib/x") of the tree with the Python that is in the tree, so that the
/// guest's first import only has to read them. Compiled files are never compared with their sources, which cannot
/// change in an image. Error(InvalidArgument) if the tree has no Python, Error(Io) with Python's own words if a file is
/// not valid.
void compile_python(Tree& tree, const std::string& folder, const Tools& tools);

}  // namespace fireclaw::image
