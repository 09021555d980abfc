#include "processes/service_log.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "text.hpp"

namespace fireclaw::guestd {
namespace {

/// How much of `bytes` goes into `room`: all of it, or whole lines, or nothing if not even one line fits and it may go
/// to a file of its own.
std::size_t fitting(std::string_view bytes, std::size_t room, bool is_empty) {
  if (bytes.size() <= room) return bytes.size();
  const std::size_t line = bytes.substr(0, room).rfind('\n');
  if (line != std::string_view::npos) return line + 1;
  return is_empty ? room : 0;
}

}  // namespace

ServiceLog::ServiceLog(guest::Base base, std::string path, std::uint64_t limit)
    : base_{base}, path_{std::move(path)}, name_{guest::last_component(path_)}, limit_{limit} {}

OwnedFd ServiceLog::open_folder() const {
  constexpr int flags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  OwnedFd folder{base_.root_fd == AT_FDCWD ? ::open("/", flags) : openat(base_.root_fd, ".", flags)};
  std::vector<std::string_view> names = split(path_, '/');
  names.pop_back();
  for (const std::string_view name : names) {
    if (!folder.open()) return {};
    if (!guest::wire::is_plain_name(name)) {
      errno = EINVAL;
      return {};
    }
    const std::string here{name};
    if (mkdirat(folder.get(), here.c_str(), 0755) < 0 && errno != EEXIST) return {};
    folder.reset(openat(folder.get(), here.c_str(), flags));
  }
  return folder;
}

bool ServiceLog::open() {
  file_.reset();
  if (path_.empty() || path_.front() != '/' || path_.back() == '/' || name_.empty() || name_.size() > 253 ||
      path_.find('\0') != std::string::npos) {
    errno = EINVAL;
    return false;
  }
  const OwnedFd folder = open_folder();
  if (!folder.open()) return false;
  // O_NONBLOCK: a FIFO without a reader is refused instead of waited for.
  OwnedFd file{openat(folder.get(), name_.c_str(),
                      O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644)};
  if (!file.open()) return false;
  struct stat status {};
  if (fstat(file.get(), &status) < 0) return false;
  if (!S_ISREG(status.st_mode)) {
    errno = EINVAL;
    return false;
  }
  file_ = std::move(file);
  return true;
}

bool ServiceLog::rotate() {
  const OwnedFd folder = open_folder();
  if (!folder.open()) return false;
  const std::string old = cat({name_, ".1"});
  if (renameat(folder.get(), name_.c_str(), folder.get(), old.c_str()) < 0 && errno != ENOENT) {
    // Something else than a file bears the name: then the only bound left is to begin the file again.
    if (!file_.open() || ftruncate(file_.get(), 0) < 0) return false;
    return true;
  }
  return open();
}

std::int64_t ServiceLog::size() {
  struct stat status {};
  // Somebody in the guest may have removed it.
  const bool is_there = file_.open() && fstat(file_.get(), &status) == 0 && status.st_nlink > 0;
  if (is_there) return status.st_size;
  if (!open() || fstat(file_.get(), &status) < 0) return -1;
  return status.st_size;
}

bool ServiceLog::append(std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) {
      lose(bytes.size());
      return false;
    }
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

void ServiceLog::lose(std::size_t bytes) {
  lost_ += bytes;
  lost_why_ = errno;
}

void ServiceLog::write(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::int64_t held = size();
    if (held < 0) return lose(bytes.size());
    const auto used = static_cast<std::uint64_t>(held);
    const std::size_t room = used < limit_ ? static_cast<std::size_t>(limit_ - used) : 0;
    if (lost_ > 0 && used < limit_) {
      const std::string notice =
          cat({"[guestd: ", std::to_string(lost_), " bytes of output were lost here: ", error_text(lost_why_), "]\n"});
      const std::uint64_t lost = std::exchange(lost_, 0);
      if (!append(notice)) {
        // The notice counts for what it would have told of.
        lost_ = lost;
        return lose(bytes.size());
      }
      continue;
    }
    const std::size_t now = fitting(bytes, room, used == 0);
    if (now == 0) {
      if (!rotate()) return lose(bytes.size());
      continue;
    }
    if (!append(bytes.substr(0, now))) return lose(bytes.size() - now);
    bytes.remove_prefix(now);
  }
}

}  // namespace fireclaw::guestd
