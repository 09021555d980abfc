#include "common/failure.hpp"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "common/text/style.hpp"
#include "common/text/text.hpp"

namespace fireclaw::cli {

bool wants_json(int argc, const char* const* argv) {
  const auto* end = std::find(argv + 1, argv + argc, std::string_view{"--"});
  return std::find(argv + 1, end, std::string_view{"--json"}) != end;
}

void print_failure(std::string_view program, std::string_view code, std::string_view message, bool json) {
  print_message(program, message);
  if (!json) return;
  using Json = nlohmann::ordered_json;
  const Json document{{"error", {{"code", code}, {"message", message}}}};
  std::puts(escape_controls(document.dump(2, ' ', false, Json::error_handler_t::replace)).c_str());
}

}  // namespace fireclaw::cli
