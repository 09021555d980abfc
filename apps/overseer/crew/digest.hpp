#pragma once

#include <string>
#include <string_view>

namespace fireclaw::overseer {

/// SHA-256 in hexadecimal digits.
std::string sha256(std::string_view bytes);

}  // namespace fireclaw::overseer
