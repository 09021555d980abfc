#include "archive_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include <fmt/format.h>

#include "output.hpp"

namespace fireclaw::cli {

Stream::Stream(const std::string& file, int flags, int standard) : fd_{standard}, own_{file != "-"} {
  if (!own_) return;
  fd_ = ::open(file.c_str(), flags | O_CLOEXEC, 0600);
  if (fd_ < 0) {
    throw Error{errno == ENOENT ? ErrorCode::NotFound : ErrorCode::Io,
                fmt::format("open '{}': {}", file, std::strerror(errno))};
  }
}

Stream::~Stream() {
  if (own_) ::close(fd_);
}

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
  const auto partial = file + ".part";
  try {
    const Stream out{partial, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO};
    write(out.fd());
  } catch (...) {
    ::unlink(partial.c_str());
    throw;
  }
  std::filesystem::rename(partial, file);
  if (context.json) print_json({{kind, name}, {"file", file}});
  return 0;
}

}  // namespace fireclaw::cli
