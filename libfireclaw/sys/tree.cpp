#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "sys/file.hpp"
#include "sys/folder.hpp"
#include "sys/random.hpp"

namespace fireclaw::sys {
namespace {

// Each open level takes a descriptor. Folders below this depth are moved up to the top first, so that no tree,
// however deep, uses up the process's descriptors.
constexpr int deepest_level = 32;

struct CloseDir {
  void operator()(DIR* dir) const noexcept { ::closedir(dir); }
};

std::vector<std::string> names_in(const Fd& folder, const std::string& what) {
  // closedir() closes what it was given.
  Fd copy = duplicate(folder.get());
  const std::unique_ptr<DIR, CloseDir> dir{::fdopendir(copy.get())};
  if (!dir) throw_errno(what);
  static_cast<void>(copy.release());
  ::rewinddir(dir.get());
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) throw_errno(what);
      return names;
    }
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
}

/// Far more than a dying process has time for, and an end to a living one that never stops.
constexpr int most_rounds = 1000;

class TreeRemover {
 public:
  TreeRemover(const Fd& parent, std::string what) : parent_{parent}, what_{std::move(what)} {}

  void remove(const std::string& name) {
    remove_entry(parent_, name, 0);
    while (!moved_up_.empty()) {
      const std::string next = std::move(moved_up_.back());
      moved_up_.pop_back();
      remove_entry(parent_, next, 0);
    }
  }

 private:
  void remove_entry(const Fd& folder, const std::string& name, int level) {
    if (unlink(folder, name, 0)) return;
    const int error = errno;
    // Folders answer EISDIR (EPERM by the letter of POSIX); anything else that cannot be removed is an error.
    if (error != EISDIR && error != EPERM) throw system_error(error, what_);
    const int fd = open_folder(folder, name);
    if (fd < 0) throw system_error(errno == ENOTDIR || errno == ELOOP ? error : errno, what_);
    const Fd child{fd};
    if (level == deepest_level) {
      const std::string unique = ".fireclaw-" + random_hex(8);
      check(::renameat(folder.get(), name.c_str(), parent_.get(), unique.c_str()), what_);
      moved_up_.push_back(unique);
      return;
    }
    // A process that is just being killed may still be putting something in: what came late goes in the next round.
    for (int round = 0;; ++round) {
      for (const std::string& entry : names_in(child, what_)) remove_entry(child, entry, level + 1);
      if (unlink(folder, name, AT_REMOVEDIR)) return;
      if ((errno != ENOTEMPTY && errno != EEXIST) || round == most_rounds) throw_errno(what_);
    }
  }

  // Opens a folder, and gives its owner the rights that emptying it takes. Never follows a symbolic link.
  static int open_folder(const Fd& folder, const std::string& name) {
    constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = retry([&] { return ::openat(folder.get(), name.c_str(), flags); });
    if (fd < 0 && errno == EACCES) {
      const Fd handle{::openat(folder.get(), name.c_str(), O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
      if (handle.get() < 0) return -1;
      ::chmod(fmt::format("/proc/self/fd/{}", handle.get()).c_str(), 0700);
      fd = retry([&] { return ::openat(folder.get(), name.c_str(), flags); });
    }
    if (fd < 0) return fd;
    struct stat status;
    if (::fstat(fd, &status) == 0 && (status.st_mode & 0700) != 0700) ::fchmod(fd, 0700);
    return fd;
  }

  // True if the entry is gone afterwards.
  static bool unlink(const Fd& folder, const std::string& name, int flags) {
    return ::unlinkat(folder.get(), name.c_str(), flags) == 0 || errno == ENOENT;
  }

  const Fd& parent_;
  std::string what_;
  std::vector<std::string> moved_up_;
};

bool is_folder(const std::filesystem::path& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::filesystem::path folder_of(const std::filesystem::path& path) {
  return path.has_parent_path() ? path.parent_path() : std::filesystem::path{"."};
}

template <typename Made>
void make_each(const std::filesystem::path& path, mode_t mode, Made made_one) {
  std::filesystem::path made;
  for (const std::filesystem::path& part : path) {
    made /= part;
    if (is_folder(made)) continue;
    const bool is_new = ::mkdir(made.c_str(), mode) == 0;
    if (is_new && ::chmod(made.c_str(), mode) == 0) {
      made_one(made);
      continue;
    }
    const int error = errno;
    // Somebody else may have made it in between.
    if (error == EEXIST && is_folder(made)) continue;
    if (error == EEXIST || error == ENOTDIR) {
      throw Error{ErrorCode::InvalidState, fmt::format("cannot create folder '{}': '{}' exists and is not a folder",
                                                       path.string(), made.string())};
    }
    throw system_error(error, fmt::format("create folder '{}'", made.string()));
  }
}

}  // namespace

bool make_folder(const std::filesystem::path& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0) {
    if (errno == EEXIST) return false;
    throw_errno(fmt::format("create folder '{}'", path.string()));
  }
  check(::chmod(path.c_str(), mode), fmt::format("create folder '{}'", path.string()));
  return true;
}

void make_directories(const std::filesystem::path& path, mode_t mode) {
  make_each(path, mode, [](const std::filesystem::path&) {});
}

void make_durable_directories(const std::filesystem::path& path, mode_t mode) {
  make_each(path, mode, [](const std::filesystem::path& made) { sync_directory(folder_of(made)); });
}

void remove_tree(const std::filesystem::path& path) {
  std::filesystem::path target = path.lexically_normal();
  if (!target.has_filename()) target = target.parent_path();
  const std::string name = target.filename();
  if (name.empty() || name == "." || name == "..") {
    throw Error{ErrorCode::InvalidArgument, fmt::format("refusing to remove '{}'", path.string())};
  }
  const std::string what = fmt::format("remove '{}'", path.string());
  const std::filesystem::path folder = folder_of(target);
  const int fd = retry([&] { return ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0 && errno == ENOENT) return;
  const Fd parent{check(fd, what)};
  TreeRemover{parent, what}.remove(name);
}

TempDir::TempDir(const std::filesystem::path& parent, std::string_view prefix) {
  for (;;) {
    std::filesystem::path candidate = parent / fmt::format("{}{}", prefix, random_hex(8));
    if (make_folder(candidate)) {
      path_ = std::move(candidate);
      return;
    }
  }
}

TempDir::TempDir(TempDir&& other) noexcept : path_{std::exchange(other.path_, {})} {}

TempDir::~TempDir() {
  if (path_.empty()) return;
  try {
    remove_tree(path_);
  } catch (...) {
    // A destructor has nobody to tell; what is left is found when `parent` is cleaned up.
  }
}

void TempDir::publish(const std::filesystem::path& target) {
  const std::string what = fmt::format("rename '{}' to '{}'", path_.string(), target.string());
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_NOREPLACE) < 0) {
    if (errno == EEXIST) throw Error{ErrorCode::AlreadyExists, fmt::format("'{}' exists already", target.string())};
    if (errno != EINVAL) throw_errno(what);
    // A file system without RENAME_NOREPLACE; mkdir claims the name, and rename replaces an empty folder.
    if (::mkdir(target.c_str(), 0700) < 0) {
      if (errno == EEXIST) throw Error{ErrorCode::AlreadyExists, fmt::format("'{}' exists already", target.string())};
      throw_errno(what);
    }
    if (::rename(path_.c_str(), target.c_str()) < 0) {
      const int error = errno;
      ::rmdir(target.c_str());
      throw system_error(error, what);
    }
  }
  path_.clear();
  sync_directory(folder_of(target));
}

bool TempDir::exchange(const std::filesystem::path& target) const {
  if (::renameat2(AT_FDCWD, path_.c_str(), AT_FDCWD, target.c_str(), RENAME_EXCHANGE) < 0) {
    if (errno == EINVAL) return false;
    throw_errno(fmt::format("exchange '{}' and '{}'", path_.string(), target.string()));
  }
  sync_directory(folder_of(target));
  return true;
}

}  // namespace fireclaw::sys
