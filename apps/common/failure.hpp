#pragma once

#include <string_view>

namespace fireclaw::cli {

/// Whether a JSON document is expected on standard output. Asked before the words are understood, so that a mistake in
/// them is told in one, too.
bool wants_json(int argc, const char* const* argv);

/// Says what went wrong: a line on standard error, and with `json` a document on standard output,
/// {"error": {"code": "not_found", "message": "..."}}.
void print_failure(std::string_view program, std::string_view code, std::string_view message, bool json);

}  // namespace fireclaw::cli
