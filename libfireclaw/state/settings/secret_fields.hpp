#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "json/json.hpp"

namespace fireclaw::state {

/// The text of a configuration file or a template without its passwords and keys, wherever in it they stand; their
/// places ("irc.password") are added to `left_out`. A text without any comes back as it is.
std::string without_secrets(const json::Value& value, std::string text, std::vector<std::string>& left_out);

}  // namespace fireclaw::state
