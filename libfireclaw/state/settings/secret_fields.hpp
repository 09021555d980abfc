#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/json.hpp"

namespace fireclaw::state {

/// The text of a configuration file or a template without its passwords and keys, in any place of it; their
/// paths ("irc.password") are added to `left_out`. A text without any is returned unchanged.
std::string without_secrets(const json::Value& value, std::string text, std::vector<std::string>& left_out);

}  // namespace fireclaw::state
