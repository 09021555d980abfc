#include "common/files/private_folder.hpp"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::cli {

void make_private_folder(const std::filesystem::path& folder) {
  std::filesystem::path made;
  for (const auto& part : folder) {
    made /= part;
    if (std::filesystem::is_directory(made)) continue;
    const bool done = ::mkdir(made.c_str(), 0700) == 0 ? ::chmod(made.c_str(), 0700) == 0 : errno == EEXIST;
    if (!done) throw Error{ErrorCode::Io, fmt::format("create folder '{}': {}", made.native(), std::strerror(errno))};
  }
}

}  // namespace fireclaw::cli
