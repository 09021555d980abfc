#include "guest/tree.hpp"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace fireclaw::guest {
namespace {

using wire::EntryKind;

Failure failure(int error, std::string_view doing, std::string_view name) {
  std::string message{doing};
  message.append(" '").append(name).append("': ");
  const std::size_t reason = message.size();
  const char* known = strerrordesc_np(error);
  message.append(known ? known : "unknown error");
  if (message[reason] >= 'A' && message[reason] <= 'Z')
    message[reason] = static_cast<char>(message[reason] + ('a' - 'A'));
  return {error, std::move(message)};
}

Failure refused(int error, std::string_view name, std::string_view why) {
  std::string message{"'"};
  message.append(name).append("' ").append(why);
  return {error, std::move(message)};
}

int open_at(Base base, const std::string& path, int flags) {
  flags |= O_CLOEXEC;
  if (!base.confine) return openat(base.root_fd, path.c_str(), flags);
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags);
  how.resolve = RESOLVE_IN_ROOT;
  return static_cast<int>(syscall(SYS_openat2, base.root_fd, path.c_str(), &how, sizeof how));
}

std::string_view without_trailing_slashes(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  return path;
}

/// "a/b" is {"a", "b"}, "b" is {".", "b"}, "/b" is {"/", "b"}.
std::pair<std::string_view, std::string_view> split(std::string_view path) {
  path = without_trailing_slashes(path);
  const std::size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return {".", path};
  return {slash == 0 ? "/" : without_trailing_slashes(path.substr(0, slash)), path.substr(slash + 1)};
}

void describe(const struct stat& status, wire::Entry& entry) {
  entry.mode = status.st_mode & 07777;
  entry.mtime_s = status.st_mtim.tv_sec;
  entry.mtime_ns = static_cast<std::uint32_t>(status.st_mtim.tv_nsec);
  entry.size = static_cast<std::uint64_t>(status.st_size);
}

struct Times {
  timespec value[2];
};
Times times_of(const wire::Entry& entry) {
  Times times{};
  times.value[0].tv_nsec = UTIME_OMIT;
  times.value[1].tv_sec = static_cast<time_t>(entry.mtime_s);
  times.value[1].tv_nsec = entry.mtime_ns < 1000000000 ? static_cast<long>(entry.mtime_ns) : 0;
  return times;
}

}  // namespace

void OwnedFd::reset(int fd) {
  if (fd_ >= 0) close(fd_);
  fd_ = fd;
}

std::string last_component(std::string_view path) {
  const std::string_view name = split(path).second;
  return std::string{wire::is_plain_name(name) ? name : std::string_view{}};
}

// Reading

TreeReader::TreeReader(Base base, std::string source, bool follow)
    : base_{base}, source_{std::move(source)}, follow_{follow} {}

TreeReader::~TreeReader() = default;

std::string TreeReader::where(std::string_view name) const {
  std::string path = source_;
  for (const std::string& folder : names_) path.append("/").append(folder);
  if (!name.empty()) path.append("/").append(name);
  return path;
}

std::optional<Failure> TreeReader::enter(int parent, const std::string& name, bool top, Item& item, bool& produced) {
  // The top is looked up as the user named it, what is below it one component at a time and never through a link.
  const Base base = top ? base_ : Base{parent, false};
  const int link_flag = top && follow_ ? 0 : O_NOFOLLOW;
  const std::string shown = top ? source_ : where(name);
  const OwnedFd found{open_at(base, name, O_PATH | link_flag)};
  if (!found.open()) {
    if (!top && errno == ENOENT) return {};  // removed since the folder was read
    return failure(errno, "cannot open", shown);
  }
  struct stat status {};
  if (fstat(found.get(), &status) < 0) return failure(errno, "cannot look at", shown);
  item = {};
  item.kind = Item::Kind::Entry;
  item.entry.name = top ? last_component(source_) : name;
  describe(status, item.entry);

  if (S_ISLNK(status.st_mode)) {
    char target[PATH_MAX];
    const ssize_t length = readlinkat(found.get(), "", target, sizeof target);
    if (length < 0) return failure(errno, "cannot read the link", shown);
    item.entry.kind = EntryKind::Link;
    item.entry.link.assign(target, static_cast<std::size_t>(length));
  } else if (S_ISREG(status.st_mode)) {
    file_.reset(open_at(base, name, O_RDONLY | O_NONBLOCK | link_flag));
    if (!file_.open()) return failure(errno, "cannot open", shown);
    if (fstat(file_.get(), &status) < 0) return failure(errno, "cannot look at", shown);
    if (!S_ISREG(status.st_mode)) return refused(ESTALE, shown, "changed while it was being copied");
    describe(status, item.entry);
    item.entry.kind = EntryKind::File;
    file_name_ = shown;
  } else if (S_ISDIR(status.st_mode)) {
    if (folders_.size() >= max_depth) return refused(ELOOP, shown, "is nested too deeply");
    OwnedFd opened{open_at(base, name, O_RDONLY | O_DIRECTORY | link_flag)};
    if (!opened.open()) return failure(errno, "cannot open", shown);
    Dir dir{fdopendir(opened.get())};
    if (!dir) return failure(errno, "cannot read the folder", shown);
    opened.release();
    folders_.push_back(std::move(dir));
    if (!top) names_.push_back(name);
    item.entry.kind = EntryKind::Folder;
  } else {
    if (top) return refused(EINVAL, shown, "is neither a file nor a folder nor a symbolic link");
    ++skipped_;
    return {};
  }
  produced = true;
  return {};
}

std::optional<Failure> TreeReader::walk(Item& item) {
  while (!folders_.empty()) {
    DIR* dir = folders_.back().get();
    errno = 0;
    const dirent* found = readdir(dir);
    if (!found) {
      if (errno != 0) return failure(errno, "cannot read the folder", where({}));
      folders_.pop_back();
      if (!names_.empty()) names_.pop_back();
      item = {};
      item.kind = Item::Kind::Leave;
      return {};
    }
    const std::string name = found->d_name;
    if (name == "." || name == "..") continue;
    bool produced = false;
    if (std::optional<Failure> failed = enter(dirfd(dir), name, false, item, produced)) return failed;
    if (produced) return {};
  }
  item = {};
  return {};
}

std::optional<Failure> TreeReader::next(Item& item, char* buffer, std::size_t size) {
  if (!begun_) {
    begun_ = true;
    if (source_.empty()) return refused(ENOENT, source_, "is no file name");
    bool produced = false;
    return enter(base_.root_fd, source_, true, item, produced);
  }
  if (file_.open()) {
    ssize_t got = 0;
    do got = read(file_.get(), buffer, size);
    while (got < 0 && errno == EINTR);
    if (got < 0) return failure(errno, "cannot read", file_name_);
    if (got > 0) {
      item = {};
      item.kind = Item::Kind::Data;
      item.bytes = static_cast<std::size_t>(got);
      return {};
    }
    file_.reset();
  }
  return walk(item);
}

// Writing

TreeWriter::TreeWriter(Base base, std::string target, std::string name, bool exact, Options options)
    : base_{base}, target_{std::move(target)}, name_{std::move(name)}, exact_{exact}, options_{options} {}

TreeWriter::~TreeWriter() = default;

std::string TreeWriter::where(std::string_view name) const {
  std::string path = shown_parent_;
  for (const Folder& folder : folders_) {
    if (!path.empty() && path.back() != '/') path.push_back('/');
    path.append(folder.name);
  }
  if (!path.empty() && path.back() != '/') path.push_back('/');
  return path.append(name);
}

std::optional<Failure> TreeWriter::locate(const wire::Entry& entry) {
  if (target_.empty()) return refused(ENOENT, target_, "is no file name");
  if (target_.find('\0') != std::string::npos) return refused(EINVAL, target_, "is no file name");
  if (!name_.empty() && !wire::is_plain_name(name_)) return refused(EINVAL, name_, "is no plain file name");
  if (!exact_) {
    OwnedFd folder{open_at(base_, target_, O_PATH | O_DIRECTORY)};
    if (folder.open()) {
      into_target_ = true;
      shown_parent_ = target_;
      parent_ = std::move(folder);
      return {};
    }
    if (errno != ENOENT && errno != ENOTDIR) return failure(errno, "cannot open", target_);
    if (target_.back() == '/' && entry.kind != EntryKind::Folder) return failure(ENOTDIR, "cannot open", target_);
  }
  const auto [parent_name, own_name] = split(target_);
  const std::string folder{parent_name};
  parent_.reset(open_at(base_, folder, O_PATH | O_DIRECTORY));
  if (!parent_.open()) return failure(errno, "cannot open the folder", folder);
  if (!wire::is_plain_name(own_name)) return refused(EINVAL, target_, "is no file name");
  if (folder != ".") shown_parent_ = folder;
  name_ = own_name;
  return {};
}

std::optional<Failure> TreeWriter::entry(const wire::Entry& entry) {
  if (std::optional<Failure> failed = close_file()) return failed;
  if (entry.link.find('\0') != std::string::npos) return refused(EINVAL, entry.name, "has a link target with a NUL");
  if (folders_.empty()) {
    if (begun_) return refused(EPROTO, entry.name, "comes after the end of the tree");
    begun_ = true;
    const bool contents_only = name_.empty() && !exact_;
    if (contents_only && entry.kind != EntryKind::Folder) return refused(EPROTO, target_, "needs a file name");
    if (std::optional<Failure> failed = locate(entry)) return failed;
    if (contents_only && into_target_) {
      OwnedFd opened{open_at(base_, target_, O_RDONLY | O_DIRECTORY)};
      if (!opened.open()) return failure(errno, "cannot open", target_);
      folders_.push_back({std::move(opened), {}, entry});
      return {};
    }
  } else if (!wire::is_plain_name(entry.name)) {
    return refused(EPROTO, entry.name, "is no plain file name; it was refused");
  }
  const bool top = folders_.empty();
  const int parent = top ? parent_.get() : folders_.back().fd.get();
  const std::string& name = top ? name_ : entry.name;
  switch (entry.kind) {
    case EntryKind::File: return make_file(parent, name, entry);
    case EntryKind::Folder: return make_folder(parent, name, entry);
    case EntryKind::Link: return make_link(parent, name, entry);
  }
  return refused(EPROTO, name, "is of an unknown kind");
}

std::optional<Failure> TreeWriter::make_file(int parent, const std::string& name, const wire::Entry& entry) {
  const auto open_it = [&] {
    return openat(parent, name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
  };
  OwnedFd file{open_it()};
  // A link is replaced, not followed; a program that is running is replaced, not overwritten.
  if (!file.open() && (errno == ELOOP || errno == ETXTBSY) && unlinkat(parent, name.c_str(), 0) == 0)
    file.reset(open_it());
  if (!file.open()) return failure(errno, "cannot create", where(name));
  struct stat status {};
  if (fstat(file.get(), &status) < 0) return failure(errno, "cannot look at", where(name));
  if (!S_ISREG(status.st_mode)) return refused(EEXIST, where(name), "exists and is no regular file");
  file_ = std::move(file);
  file_entry_ = entry;
  file_entry_.name = name;
  ++files_;
  return {};
}

std::optional<Failure> TreeWriter::make_folder(int parent, const std::string& name, const wire::Entry& entry) {
  if (folders_.size() >= max_depth) return refused(ELOOP, where(name), "is nested too deeply");
  if (mkdirat(parent, name.c_str(), 0700) < 0 && errno != EEXIST)
    return failure(errno, "cannot create the folder", where(name));
  OwnedFd folder{openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
  if (!folder.open()) {
    if (errno == ELOOP || errno == ENOTDIR) return refused(EEXIST, where(name), "exists and is no folder");
    return failure(errno, "cannot open", where(name));
  }
  folders_.push_back({std::move(folder), name, entry});
  return {};
}

std::optional<Failure> TreeWriter::make_link(int parent, const std::string& name, const wire::Entry& entry) {
  int result = symlinkat(entry.link.c_str(), parent, name.c_str());
  if (result < 0 && errno == EEXIST && unlinkat(parent, name.c_str(), 0) == 0)
    result = symlinkat(entry.link.c_str(), parent, name.c_str());
  if (result < 0) return failure(errno, "cannot create the link", where(name));
  utimensat(parent, name.c_str(), times_of(entry).value, AT_SYMLINK_NOFOLLOW);
  ++files_;
  return {};
}

std::optional<Failure> TreeWriter::data(std::string_view bytes) {
  if (!file_.open()) return Failure{EPROTO, "content without a file"};
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = write(file_.get(), bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure(errno, "cannot write", where(file_entry_.name));
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

std::optional<Failure> TreeWriter::close_file() {
  if (!file_.open()) return {};
  const OwnedFd file = std::move(file_);
  if (fchmod(file.get(), file_entry_.mode & options_.mode_mask) < 0)
    return failure(errno, "cannot set the mode of", where(file_entry_.name));
  if (futimens(file.get(), times_of(file_entry_).value) < 0)
    return failure(errno, "cannot set the time of", where(file_entry_.name));
  return {};
}

std::optional<Failure> TreeWriter::leave() {
  if (std::optional<Failure> failed = close_file()) return failed;
  if (folders_.empty()) return Failure{EPROTO, "the tree ends twice"};
  const Folder folder = std::move(folders_.back());
  folders_.pop_back();
  const std::string shown = folder.name.empty() ? target_ : where(folder.name);
  if (fchmod(folder.fd.get(), folder.entry.mode & options_.mode_mask) < 0)
    return failure(errno, "cannot set the mode of", shown);
  if (futimens(folder.fd.get(), times_of(folder.entry).value) < 0)
    return failure(errno, "cannot set the time of", shown);
  return {};
}

std::optional<Failure> TreeWriter::finish() {
  if (std::optional<Failure> failed = close_file()) return failed;
  if (!begun_ || !folders_.empty()) return Failure{EPROTO, "the tree ends too early"};
  return {};
}

}  // namespace fireclaw::guest
