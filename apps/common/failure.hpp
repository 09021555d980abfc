#pragma once

#include <string_view>

namespace fireclaw::cli {

/// Whether a JSON document is expected on standard output. Asked before the words are parsed, so that a mistake in
/// them is reported as JSON, too.
bool wants_json(int argc, const char* const* argv);

/// Reports a failure: a line on standard error, and with `json` a document on standard output,
/// {"error": {"code": "not_found", "message": "..."}}.
void print_failure(std::string_view program, std::string_view code, std::string_view message, bool json);

}  // namespace fireclaw::cli
