#include "archive_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "common/files/fd.hpp"
#include "common/files/replaced_file.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

Error cannot_open(const std::string& file) {
  return {errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io,
          fmt::format("open '{}': {}", file, std::strerror(errno))};
}

}  // namespace

Stream::Stream(const std::string& file, int flags, int standard) : fd_{standard}, own_{file != "-"} {
  if (!own_) return;
  fd_ = ::open(file.c_str(), flags | O_CLOEXEC, 0600);
  if (fd_ < 0) throw cannot_open(file);
}

Stream::~Stream() {
  if (own_) ::close(fd_);
}

namespace {

void write_whole(const std::string& file, const std::function<void(int fd)>& write) {
  // Each writer has its own: two may write the same archive.
  auto partial = file + ".XXXXXX.part";
  const Fd out{::mkostemps(partial.data(), 5, O_CLOEXEC)};
  if (!out) throw cannot_open(file);
  try {
    write(out.get());
    rename_synced(out.get(), partial, file);
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
}

}  // namespace

int write_archive_file(const std::string& file, std::string_view kind, const std::string& name, const Context& context,
                       const std::function<void(int fd)>& write) {
  if (file == "-" && context.json) {
    throw Error{ErrorCode::InvalidArgument, "standard output cannot take both a tar and JSON; name a file"};
  }
  if (file == "-" && ::isatty(STDOUT_FILENO) == 1) {
    throw Error{ErrorCode::InvalidArgument, "a tar is not for a terminal; name a file, or redirect the output"};
  }
  if (file == "-") {
    write(STDOUT_FILENO);
    return 0;
  }
  std::error_code ignored;
  const auto there = std::filesystem::status(file, ignored);
  if (std::filesystem::exists(there) && !std::filesystem::is_regular_file(there)) {
    // A pipe or a device takes the tar and stays what it is.
    write(Stream{file, O_WRONLY, STDOUT_FILENO}.fd());
  } else {
    write_whole(file, write);
  }
  if (context.json) print_json({{kind, name}, {"file", file}});
  return 0;
}

}  // namespace fireclaw::cli
