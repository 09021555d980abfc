#pragma once

#include <filesystem>
#include <string>

#include "image/archives/file_tree.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

/// Compiles the Python files below `folder` ("usr/lib/x") of the tree with the Python that is in the tree, so that the
/// guest's first import of them has nothing to do but read. What is compiled is never compared with its source: in an
/// image they cannot part. Error(InvalidArgument) if the tree has no Python, Error(Io) with Python's own words if a
/// file is none of its language.
void compile_python(Tree& tree, const std::string& folder, const Tools& tools);

}  // namespace fireclaw::image
