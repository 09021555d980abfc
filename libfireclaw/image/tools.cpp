#include "image/tools.hpp"

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::image {

sys::ToolOptions Tools::options() const {
  std::string path;
  for (const auto& folder : search_path) {
    if (!path.empty()) path += ':';
    path += folder.string();
  }
  sys::ToolOptions options;
  options.search_path = search_path;
  options.env = {"PATH=" + path, "LC_ALL=C", "TZ=UTC", "HOME=" + temp.string(), "TMPDIR=" + temp.string()};
  for (const std::string& assignment : env) {
    const std::string_view name = std::string_view{assignment}.substr(0, assignment.find('=') + 1);
    std::erase_if(options.env, [&](const std::string& other) { return other.compare(0, name.size(), name) == 0; });
    options.env.push_back(assignment);
  }
  options.stop = stop;
  return options;
}

std::filesystem::path Tools::require(const std::string& program, std::string_view package) const {
  if (auto found = sys::find_program(program, search_path)) return *found;
  throw Error{ErrorCode::NotFound,
              fmt::format("the program '{}' is missing; install it with: apt-get install {}", program, package)};
}

void Tools::check_stop() const {
  if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "building the image was cancelled"};
}

}  // namespace fireclaw::image
