#pragma once

#include "backend.hpp"
#include "fireclaw/host.hpp"

namespace fireclaw::mcp {

/// The library's machines.
std::unique_ptr<Backend> library_backend(const Host& host);

}  // namespace fireclaw::mcp
