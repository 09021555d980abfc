#include "processes/file_call.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "guest/tree/paths.hpp"
#include "guest/tree/tree.hpp"
#include "text.hpp"

namespace fireclaw::guestd {
namespace {

using guest::Failure;
using guest::failure;
using guest::OwnedFd;
using guest::refused;
using guest::wire::FileAnswer;
using guest::wire::FileCall;
using guest::wire::FileKind;
using guest::wire::FileStatus;
using guest::wire::FileVerb;

/// So a call never waits for the other end of a pipe or for a terminal.
constexpr int open_flags = O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
constexpr mode_t permissions = 07777;
constexpr int most_links = 40;

/// Where content is to go.
struct Target {
  OwnedFd folder;
  std::string folder_path;
  std::string name;
  bool exists = false;
  struct stat status {};
};

bool write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

FileKind kind_of(mode_t mode) {
  if (S_ISREG(mode)) return FileKind::File;
  if (S_ISDIR(mode)) return FileKind::Folder;
  return S_ISLNK(mode) ? FileKind::Link : FileKind::Other;
}

FileStatus to_status(const struct stat& from) {
  FileStatus status;
  status.kind = kind_of(from.st_mode);
  status.mode = from.st_mode & permissions;
  status.uid = from.st_uid;
  status.gid = from.st_gid;
  status.size = static_cast<std::uint64_t>(from.st_size);
  status.mtime_s = from.st_mtim.tv_sec;
  status.mtime_ns = static_cast<std::uint32_t>(from.st_mtim.tv_nsec);
  return status;
}

std::string read_link(int folder, const char* name) {
  std::array<char, PATH_MAX> text;
  const ssize_t length = readlinkat(folder, name, text.data(), text.size());
  return length < 0 ? std::string{} : std::string{text.data(), static_cast<std::size_t>(length)};
}

/// A name that nothing has yet: the folder may hold what others put there.
std::string private_name() {
  unsigned long long number = 0;
  while (getrandom(&number, sizeof number, 0) < 0 && errno == EINTR) {
  }
  char name[sizeof ".fireclaw-0123456789abcdef"];
  std::snprintf(name, sizeof name, ".fireclaw-%016llx", number);
  return name;
}

mode_t new_file_mode() {
  const mode_t mask = umask(0);
  umask(mask);
  return 0666 & ~mask;
}

std::optional<Failure> make_parents(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    if (mkdir(folder.c_str(), 0777) < 0 && errno != EEXIST && access(folder.c_str(), F_OK) < 0)
      return failure(errno, "cannot create the folder", folder);
  }
  return {};
}

class Call {
 public:
  Call(const FileCall& call, int in, int out) : call_{call}, in_{in}, out_{out} {}

  FileAnswer run() {
    const std::optional<Failure> failed = act();
    FileAnswer answer;
    if (failed) {
      answer.error = failed->error;
      answer.message = failed->message;
    } else {
      answer.status = status_;
    }
    return answer;
  }

 private:
  std::optional<Failure> act() {
    if (call_.path.empty() || call_.path.front() != '/' || call_.path.find('\0') != std::string::npos)
      return refused(EINVAL, call_.path, "is not an absolute path");
    switch (call_.verb) {
      case FileVerb::Read: return read_content();
      case FileVerb::Write: return write_content();
      case FileVerb::List: return list();
      case FileVerb::Stat: return look();
      case FileVerb::Remove:
        if (call_.path.find_first_not_of('/') == std::string::npos) return refused(EBUSY, call_.path, "is the root");
        return remove(AT_FDCWD, call_.path, call_.path);
      case FileVerb::MakeDirectory: return make_directory();
    }
    return refused(EINVAL, call_.path, "is asked for in an unknown way");
  }

  std::optional<Failure> note(const OwnedFd& fd, const std::string& path) {
    struct stat status {};
    if (fstat(fd.get(), &status) < 0) return failure(errno, "cannot look at", path);
    status_ = to_status(status);
    return {};
  }

  std::optional<Failure> read_content() {
    const OwnedFd file{open(call_.path.c_str(), O_RDONLY | open_flags)};
    if (!file.open()) return failure(errno, "cannot open", call_.path);
    if (std::optional<Failure> failed = note(file, call_.path)) return failed;
    if (status_.kind != FileKind::File) return refused(EISDIR, call_.path, "is not a file");
    std::uint64_t at = call_.offset;
    std::uint64_t left = call_.limit;
    while (left > 0 && at <= static_cast<std::uint64_t>(LLONG_MAX)) {
      const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
      const ssize_t got = pread(file.get(), buffer_.data(), most, static_cast<off_t>(at));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failure(errno, "cannot read", call_.path);
      if (got == 0) break;
      const auto bytes = static_cast<std::size_t>(got);
      if (!write_all(out_, {buffer_.data(), bytes})) return failure(errno, "cannot pass on", call_.path);
      at += bytes;
      left -= bytes;
    }
    return {};
  }

  std::optional<Failure> list() {
    const int fd = open(call_.path.c_str(), O_RDONLY | O_DIRECTORY | open_flags);
    if (fd < 0) return failure(errno, "cannot open the folder", call_.path);
    const std::unique_ptr<DIR, int (*)(DIR*)> folder{fdopendir(fd), closedir};
    if (!folder) return failure(errno, "cannot open the folder", call_.path);
    std::set<std::string> names;
    errno = 0;
    while (const dirent* entry = readdir(folder.get())) {
      const std::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      names.emplace(name);
      if (names.size() > call_.limit) names.erase(std::prev(names.end()));
    }
    if (errno != 0) return failure(errno, "cannot read the folder", call_.path);
    std::string listing;
    for (const std::string& name : names) {
      struct stat status {};
      // It has gone meanwhile.
      if (fstatat(fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
      FileStatus entry = to_status(status);
      entry.name = name;
      if (entry.kind == FileKind::Link) entry.link = read_link(fd, name.c_str());
      append_listed(listing, entry);
      if (listing.size() < buffer_.size()) continue;
      if (!write_all(out_, listing)) return failure(errno, "cannot pass on", call_.path);
      listing.clear();
    }
    if (!write_all(out_, listing)) return failure(errno, "cannot pass on", call_.path);
    return {};
  }

  std::optional<Failure> look() {
    struct stat status {};
    if (fstatat(AT_FDCWD, call_.path.c_str(), &status, call_.follow ? 0 : AT_SYMLINK_NOFOLLOW) < 0)
      return failure(errno, "cannot look at", call_.path);
    status_ = to_status(status);
    if (status_.kind == FileKind::Link) status_.link = read_link(AT_FDCWD, call_.path.c_str());
    return {};
  }

  /// Folders are held open and names looked up in them, so no link that is put there meanwhile leads elsewhere.
  std::optional<Failure> remove(int parent, const std::string& name, const std::string& shown) {
    if (unlinkat(parent, name.c_str(), 0) == 0) return {};
    if (errno != EISDIR) return failure(errno, "cannot remove", shown);
    if (call_.recursive) {
      const int fd = openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (fd < 0) return failure(errno, "cannot remove", shown);
      const std::unique_ptr<DIR, int (*)(DIR*)> folder{fdopendir(fd), closedir};
      if (!folder) return failure(errno, "cannot remove", shown);
      while (const dirent* entry = readdir(folder.get())) {
        const std::string inside = entry->d_name;
        if (inside == "." || inside == "..") continue;
        if (std::optional<Failure> failed = remove(fd, inside, cat({shown, "/", inside}))) return failed;
      }
    }
    if (unlinkat(parent, name.c_str(), AT_REMOVEDIR) == 0) return {};
    return failure(errno, "cannot remove", shown);
  }

  std::optional<Failure> make_directory() {
    std::string path = call_.path;
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    if (call_.parents)
      if (std::optional<Failure> failed = make_parents(path)) return failed;
    if (mkdir(path.c_str(), 0777) == 0) {
      if (call_.has_mode && chmod(path.c_str(), call_.mode & permissions) < 0)
        return failure(errno, "cannot set the mode of", path);
      return {};
    }
    const int error = errno;
    struct stat status {};
    if (error == EEXIST && call_.parents && stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) return {};
    return failure(error, "cannot create the folder", path);
  }

  // Writing

  /// Where `path` leads: links are followed, also one that leads to nothing yet.
  std::optional<Failure> locate(Target& target) {
    std::string path = call_.path;
    for (int followed = 0;; ++followed) {
      struct stat status {};
      if (lstat(path.c_str(), &status) < 0 || !S_ISLNK(status.st_mode)) break;
      if (followed == most_links) return failure(ELOOP, "cannot open", call_.path);
      const std::string link = read_link(AT_FDCWD, path.c_str());
      if (link.empty()) return failure(EACCES, "cannot follow", path);
      path = link.front() == '/' ? link : cat({guest::split_path(path).first, "/", link});
    }
    if (path.back() == '/') return refused(EISDIR, call_.path, "names a folder");
    const auto [folder, name] = guest::split_path(path);
    target.folder_path = folder;
    target.name = name;
    if (!guest::wire::is_plain_name(name)) return refused(EISDIR, call_.path, "names a folder");
    target.folder.reset(open(target.folder_path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!target.folder.open()) return failure(errno, "cannot open the folder", folder);
    target.exists = fstatat(target.folder.get(), target.name.c_str(), &target.status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!target.exists && errno != ENOENT) return failure(errno, "cannot look at", call_.path);
    if (target.exists && S_ISDIR(target.status.st_mode)) return refused(EISDIR, call_.path, "is a folder");
    if (target.exists && faccessat(target.folder.get(), target.name.c_str(), W_OK, 0) < 0)
      return failure(errno, "cannot write", call_.path);
    return {};
  }

  std::optional<Failure> write_content() {
    if (call_.parents)
      if (std::optional<Failure> failed = make_parents(call_.path)) return failed;
    Target target;
    if (std::optional<Failure> failed = locate(target)) return failed;
    if (call_.append) return append(target);
    if (!target.exists || (S_ISREG(target.status.st_mode) && target.status.st_nlink == 1)) {
      OwnedFd beside = open_beside(target);
      if (beside.open()) return write_beside(target, std::move(beside));
      if (!target.exists) return failure(errno, "cannot create", call_.path);
    }
    return write_in_place(target, in_);
  }

  /// All of the content, from `from` to `to`.
  std::optional<Failure> take_content(int from, int to) {
    std::uint64_t left = call_.size;
    while (left > 0) {
      const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(left, buffer_.size()));
      const ssize_t got = read(from, buffer_.data(), most);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failure(errno, "cannot receive", call_.path);
      if (got == 0) return refused(ECANCELED, call_.path, "was not sent to its end");
      if (!write_all(to, {buffer_.data(), static_cast<std::size_t>(got)}))
        return failure(errno, "cannot write", call_.path);
      left -= static_cast<std::uint64_t>(got);
    }
    return {};
  }

  std::optional<Failure> append(const Target& target) {
    const OwnedFd file{openat(target.folder.get(), target.name.c_str(),
                              O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | open_flags, 0666)};
    if (!file.open()) return failure(errno, "cannot open", call_.path);
    if (std::optional<Failure> failed = take_content(in_, file.get())) {
      if (!target.exists)
        unlinkat(target.folder.get(), target.name.c_str(), 0);
      else if (S_ISREG(target.status.st_mode))
        static_cast<void>(ftruncate(file.get(), target.status.st_size) == 0);
      return failed;
    }
    if (call_.has_mode && fchmod(file.get(), call_.mode & permissions) < 0)
      return failure(errno, "cannot set the mode of", call_.path);
    return note(file, call_.path);
  }

  /// A new file in the target's folder: without a name where that is possible, so that nothing is left of it if this
  /// process is ended.
  OwnedFd open_beside(const Target& target) {
    OwnedFd file{openat(target.folder.get(), ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600)};
    if (file.open()) return file;
    made_as_ = private_name();
    file.reset(openat(target.folder.get(), made_as_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    return file;
  }

  std::optional<Failure> write_beside(const Target& target, OwnedFd file) {
    std::optional<Failure> failed = take_content(in_, file.get());
    if (!failed && fsync(file.get()) < 0) failed = failure(errno, "cannot write", call_.path);
    if (!failed && rename_over(target, file)) return note(file, call_.path);
    if (!made_as_.empty()) unlinkat(target.folder.get(), made_as_.c_str(), 0);
    if (failed) return failed;
    // Its owner cannot be kept, or something is mounted there: then what is there gets the content.
    if (lseek(file.get(), 0, SEEK_SET) < 0) return failure(errno, "cannot read", call_.path);
    return write_in_place(target, file.get());
  }

  /// Puts the new file in the place of the old one, with owner and mode of that.
  bool rename_over(const Target& target, const OwnedFd& file) {
    mode_t mode = new_file_mode();
    if (target.exists) {
      mode = target.status.st_mode & permissions;
      if ((target.status.st_uid != geteuid() || target.status.st_gid != getegid()) &&
          fchown(file.get(), target.status.st_uid, target.status.st_gid) < 0)
        return false;
    }
    if (call_.has_mode) mode = call_.mode & permissions;
    if (fchmod(file.get(), mode) < 0) return false;
    const int folder = target.folder.get();
    if (made_as_.empty()) {
      made_as_ = private_name();
      const std::string by_number = cat({"/proc/self/fd/", std::to_string(file.get())});
      if (linkat(AT_FDCWD, by_number.c_str(), folder, made_as_.c_str(), AT_SYMLINK_FOLLOW) < 0) return false;
    }
    return renameat(folder, made_as_.c_str(), folder, target.name.c_str()) == 0;
  }

  /// The room is there before anything of the old content is overwritten.
  std::optional<Failure> write_in_place(const Target& target, int from) {
    const OwnedFd file{
        openat(target.folder.get(), target.name.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | open_flags, 0666)};
    if (!file.open()) return failure(errno, "cannot open", call_.path);
    struct stat before {};
    if (fstat(file.get(), &before) < 0) return failure(errno, "cannot look at", call_.path);
    const auto size = static_cast<off_t>(call_.size);
    if (S_ISREG(before.st_mode) && size > before.st_size && fallocate(file.get(), 0, 0, size) < 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS) {
      const Failure failed = failure(errno, "cannot write", call_.path);
      static_cast<void>(ftruncate(file.get(), before.st_size) == 0);
      if (!target.exists) unlinkat(target.folder.get(), target.name.c_str(), 0);
      return failed;
    }
    if (std::optional<Failure> failed = take_content(from, file.get())) return failed;
    if (S_ISREG(before.st_mode) && size < before.st_size && ftruncate(file.get(), size) < 0)
      return failure(errno, "cannot write", call_.path);
    if (call_.has_mode && fchmod(file.get(), call_.mode & permissions) < 0)
      return failure(errno, "cannot set the mode of", call_.path);
    return note(file, call_.path);
  }

  const FileCall& call_;
  const int in_;
  const int out_;
  FileStatus status_;
  /// The name of the new file beside the old one; empty: it has none.
  std::string made_as_;
  std::array<char, std::size_t{32} << 10> buffer_{};
};

}  // namespace

void do_file_call(const FileCall& call, int in, int out, int answer) {
  const auto work = std::make_unique<Call>(call, in, out);
  answer_file_call(work->run(), answer);
}

void answer_file_call(const FileAnswer& answer, int fd) { write_all(fd, encode(answer)); }

}  // namespace fireclaw::guestd
