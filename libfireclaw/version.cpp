#include "fireclaw/version.hpp"

namespace fireclaw {

std::string_view version() noexcept { return FIRECLAW_VERSION_STRING; }

}  // namespace fireclaw
