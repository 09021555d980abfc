#include "common/files/replaced_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include <fmt/format.h>

#include "common/files/fd.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::cli {
namespace {

void check(bool done, const std::filesystem::path& path) {
  if (!done) throw Error{ErrorCode::Io, fmt::format("'{}' cannot be written: {}", path.native(), std::strerror(errno))};
}

}  // namespace

void replace_file(const std::filesystem::path& path, std::string_view text, mode_t mode) {
  const auto beside = path.native() + ".new";
  ::unlink(beside.c_str());  // of one that was interrupted
  const Fd file{::open(beside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode)};
  check(static_cast<bool>(file), beside);
  try {
    while (!text.empty()) {
      const auto written = ::write(file.get(), text.data(), text.size());
      check(written >= 0 || errno == EINTR, beside);
      if (written > 0) text.remove_prefix(static_cast<std::size_t>(written));
    }
    check(::fchmod(file.get(), mode) == 0, beside);
    rename_synced(file.get(), beside, path);
  } catch (...) {
    ::unlink(beside.c_str());
    throw;
  }
}

void rename_synced(int fd, const std::filesystem::path& beside, const std::filesystem::path& path) {
  check(::fsync(fd) == 0, beside);
  check(::rename(beside.c_str(), path.c_str()) == 0, path);
  const auto folder = path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
  const Fd open_folder{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  // Some file systems cannot sync a folder and say so with EINVAL.
  check(open_folder && (::fsync(open_folder.get()) == 0 || errno == EINVAL), folder);
}

}  // namespace fireclaw::cli
