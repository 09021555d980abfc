#include "guest/tree/writer.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <string_view>
#include <utility>

#include "guest/tree/paths.hpp"

namespace fireclaw::guest {
namespace {

using wire::EntryKind;

constexpr std::uint64_t largest_file = std::numeric_limits<off_t>::max();
/// What an entry takes at least, on file systems that do not count inodes.
constexpr std::uint64_t least_entry_bytes = 512;
/// What file systems give out at once.
constexpr std::uint64_t block_bytes = 4096;

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

/// A name that nothing has yet: the folder may hold what others put there.
std::string private_name() {
  unsigned long long number = 0;
  while (getrandom(&number, sizeof number, 0) < 0 && errno == EINTR) {
  }
  char name[sizeof ".fireclaw-0123456789abcdef"];
  std::snprintf(name, sizeof name, ".fireclaw-%016llx", number);
  return name;
}

/// "results/", "results/." and "results//" name a folder; "results" is what is left of them.
std::string without_folder_mark(std::string path, bool& marked) {
  const auto ends_in_dot = [&] { return path.size() > 2 && path.ends_with("/."); };
  while ((path.size() > 1 && path.back() == '/') || ends_in_dot()) {
    path.pop_back();
    marked = true;
  }
  return path;
}

/// Whether a link in a folder `depth` levels below the top of its tree leads out of the tree, wherever that is put. A
/// ".." behind a name counts as leading out: the name may be a link itself.
bool leads_out(std::string_view link, std::size_t depth) {
  if (link.empty() || link.front() == '/') return true;
  bool below_a_name = false;
  while (!link.empty()) {
    const std::string_view part = link.substr(0, link.find('/'));
    link.remove_prefix(std::min(link.size(), part.size() + 1));
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      below_a_name = true;
    } else if (below_a_name || depth-- == 0) {
      return true;
    }
  }
  return false;
}

/// Removes what this writer has made; nothing of it is a mount point or a folder of others.
void remove_tree(int parent, const char* name) {
  if (unlinkat(parent, name, 0) == 0 || (errno != EISDIR && errno != EPERM)) return;
  if (fchmodat(parent, name, 0700, AT_SYMLINK_NOFOLLOW) < 0) return;
  const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd >= 0) {
    if (DIR* folder = fdopendir(fd)) {
      while (const dirent* found = readdir(folder)) {
        const std::string_view inside = found->d_name;
        if (inside != "." && inside != "..") remove_tree(dirfd(folder), found->d_name);
      }
      closedir(folder);
    } else {
      close(fd);
    }
  }
  unlinkat(parent, name, AT_REMOVEDIR);
}

}  // namespace

TreeWriter::TreeWriter(Base base, std::string target, std::string name, bool exact, Options options)
    : base_{base}, target_{std::move(target)}, name_{std::move(name)}, exact_{exact}, options_{options} {}

TreeWriter::~TreeWriter() {
  if (file_.open() && file_made_as_ != file_entry_.name) unlinkat(current(), file_made_as_.c_str(), 0);
  while (!folders_.empty()) {
    const Folder folder = std::move(folders_.back());
    folders_.pop_back();
    if (folder.made_as != folder.name) remove_tree(current(), folder.made_as.c_str());
  }
}

std::string TreeWriter::where(std::string_view name) const {
  std::string path = shown_parent_;
  for (const Folder& folder : folders_) {
    if (folder.name.empty()) continue;
    if (!path.empty() && path.back() != '/') path.push_back('/');
    path.append(folder.name);
  }
  if (!path.empty() && path.back() != '/') path.push_back('/');
  return path.append(name);
}

// Where the top goes

std::optional<Failure> TreeWriter::open_target_folder(bool& found) {
  bool marked = false;
  const std::string path = without_folder_mark(target_, marked);
  const int link_flag = options_.follow_target ? 0 : O_NOFOLLOW;
  OwnedFd folder{open_at(base_, path, O_PATH | O_DIRECTORY | link_flag)};
  if (folder.open()) {
    found = true;
    shown_parent_ = target_;
    parent_ = std::move(folder);
    return {};
  }
  if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) return failure(errno, "cannot open", target_);
  if (!marked || errno == ENOENT) return {};
  if (options_.follow_target) return failure(errno, "cannot open", target_);
  return refused(errno, target_, "is not a folder; a symbolic link is not followed here: name what it leads to");
}

std::optional<Failure> TreeWriter::locate(const wire::Entry& entry) {
  if (target_.empty()) return refused(ENOENT, target_, "is not a file name");
  if (target_.find('\0') != std::string::npos) return refused(EINVAL, target_, "is not a file name");
  if (!name_.empty() && !wire::is_plain_name(name_)) return refused(EINVAL, name_, "is not a plain file name");
  if (!exact_) {
    if (std::optional<Failure> failed = open_target_folder(into_target_)) return failed;
    if (into_target_) return {};
    if (target_.back() == '/' && entry.kind != EntryKind::Folder) return failure(ENOTDIR, "cannot open", target_);
  }
  bool marked = false;
  const std::string path = without_folder_mark(target_, marked);
  const auto [parent_name, own_name] = split_path(path);
  const std::string folder{parent_name};
  parent_.reset(open_at(base_, folder, O_PATH | O_DIRECTORY));
  if (!parent_.open()) return failure(errno, "cannot open the folder", folder);
  if (!wire::is_plain_name(own_name)) return refused(EINVAL, target_, "is not a file name");
  if (folder != ".") shown_parent_ = folder;
  name_ = own_name;
  return {};
}

void TreeWriter::set_limits() {
  if (!options_.limits) return;
  const Limits& limits = *options_.limits;
  struct statvfs free {};
  if (fstatvfs(parent_.get(), &free) == 0) {
    const auto share = [](std::uint64_t of) { return of / 4 * 3; };
    const std::uint64_t bytes = static_cast<std::uint64_t>(free.f_bavail) * free.f_frsize;
    most_bytes_ = share(bytes);
    most_entries_ = share(free.f_files > 0 ? free.f_favail : bytes / least_entry_bytes);
  }
  if (limits.bytes > 0) most_bytes_ = limits.bytes;
  if (limits.entries > 0) most_entries_ = limits.entries;
}

Failure TreeWriter::over_limit(std::string message, bool given) const {
  if (!given) message.append(" (three quarters of what is free in '").append(where({})).append("')");
  return {EDQUOT, message.append("; give it a larger limit")};
}

std::optional<Failure> TreeWriter::admit(const wire::Entry& entry, std::string_view name) {
  if (entries_ == most_entries_)
    return over_limit("there are more than the " + std::to_string(most_entries_) + " files that this copy may make",
                      options_.limits->entries > 0);
  ++entries_;
  const std::uint64_t announced = std::min(entry.size, entry.allocated);
  if (entry.kind != EntryKind::File)
    return options_.limits && options_.limits->whole_blocks ? charge(block_bytes) : std::nullopt;
  if (announced <= most_bytes_ - written_) return {};
  std::string message{"'"};
  message.append(where(name)).append("' has ").append(std::to_string(announced)).append(" bytes, and ");
  message.append(std::to_string(most_bytes_ - written_)).append(" of ").append(std::to_string(most_bytes_));
  return over_limit(message.append(" are left for this copy"), options_.limits->bytes > 0);
}

std::optional<Failure> TreeWriter::charge_part(std::uint64_t from, std::uint64_t to) {
  from = std::max(from, charged_to_);
  if (to <= from) return {};
  charged_to_ = to;
  return charge(to - from);
}

std::optional<Failure> TreeWriter::charge_rest_of_block() {
  const std::uint64_t begun = charged_to_ % block_bytes;
  return begun == 0 ? std::nullopt : charge_part(charged_to_, charged_to_ - begun + block_bytes);
}

std::optional<Failure> TreeWriter::charge(std::uint64_t bytes) {
  if (bytes <= most_bytes_ - written_) {
    written_ += bytes;
    return {};
  }
  return over_limit("there is more than the " + std::to_string(most_bytes_) + " bytes that this copy may take",
                    options_.limits->bytes > 0);
}

// Entries

std::optional<Failure> TreeWriter::entry(const wire::Entry& entry) {
  if (std::optional<Failure> failed = close_file()) return failed;
  if (entry.link.find('\0') != std::string::npos) return refused(EPROTO, entry.name, "has a link target with a NUL");
  const bool top = folders_.empty();
  if (top) {
    if (begun_) return refused(EPROTO, entry.name, "comes after the end of the tree");
    begun_ = true;
    const bool contents_only = name_.empty() && !exact_;
    if (contents_only && entry.kind != EntryKind::Folder) return refused(EPROTO, target_, "needs a file name");
    if (std::optional<Failure> failed = locate(entry)) return failed;
    set_limits();
    if (contents_only && into_target_) {
      OwnedFd opened{openat(parent_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
      if (!opened.open()) return failure(errno, "cannot open", target_);
      folders_.push_back({std::move(opened), {}, {}, entry});
      return {};
    }
  } else if (!wire::is_plain_name(entry.name)) {
    return refused(EPROTO, entry.name, "is not a plain file name; it was refused");
  }
  const std::string& name = top ? name_ : entry.name;
  // A link at the top leads out of its tree, which is only the link.
  if (entry.kind == EntryKind::Link && options_.drop_outward_links &&
      (top || leads_out(entry.link, folders_.size() - 1))) {
    ++links_left_out_;
    return {};
  }
  if (std::optional<Failure> failed = admit(entry, name)) return failed;
  if (!is_fresh())
    if (std::optional<Failure> failed = check_place(name, entry.kind)) return failed;
  switch (entry.kind) {
    case EntryKind::File: return make_file(name, entry);
    case EntryKind::Folder: return make_folder(name, entry);
    case EntryKind::Link: return make_link(name, entry);
  }
  return refused(EPROTO, name, "is of an unknown kind");
}

namespace {

/// Whether a link is a name of something that is only written to, as /dev/stdout is.
bool leads_to_no_file(int folder, const std::string& name) {
  constexpr std::string_view processes = "/proc/";
  std::string target(processes.size(), '\0');
  if (readlinkat(folder, name.c_str(), target.data(), target.size()) > 0 && target == processes) return true;
  struct stat status {};
  return fstatat(folder, name.c_str(), &status, 0) == 0 && !S_ISREG(status.st_mode) && !S_ISDIR(status.st_mode);
}

}  // namespace

std::optional<Failure> TreeWriter::check_place(const std::string& name, EntryKind kind) const {
  struct stat status {};
  if (fstatat(current(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT) return {};
    return failure(errno, "cannot look at", where(name));
  }
  if (S_ISLNK(status.st_mode)) {
    // Only of what the caller named: within a tree /etc/mtab is such a link, too.
    if (folders_.empty() && kind != EntryKind::Link && leads_to_no_file(current(), name))
      return refused(EEXIST, where(name), "is a link to a device, a pipe or a file of a process; it is not replaced");
    return {};
  }
  const bool is_folder = S_ISDIR(status.st_mode);
  if (kind == EntryKind::Folder)
    return is_folder ? std::nullopt : std::optional{refused(EEXIST, where(name), "exists and is not a folder")};
  if (is_folder) return refused(EISDIR, where(name), "exists and is a folder");
  if (!S_ISREG(status.st_mode)) return refused(EEXIST, where(name), "exists and is not a regular file");
  return {};
}

std::optional<Failure> TreeWriter::put_in_place(const std::string& made_as, const std::string& name, bool folder) {
  if (made_as == name) return {};
  const int parent = current();
  // A folder cannot be renamed over a link, which then goes first.
  struct stat status {};
  if (folder && fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(status.st_mode))
    unlinkat(parent, name.c_str(), 0);
  if (renameat(parent, made_as.c_str(), parent, name.c_str()) == 0) return {};
  const int error = errno;
  remove_tree(parent, made_as.c_str());
  return failure(error, "cannot create", where(name));
}

std::optional<Failure> TreeWriter::make_file(const std::string& name, const wire::Entry& entry) {
  std::string made_as = is_fresh() ? name : private_name();
  OwnedFd file{openat(current(), made_as.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                      options_.obey_umask ? kept_mode(entry) : 0600)};
  if (!file.open()) return failure(errno, "cannot create", where(name));
  file_ = std::move(file);
  file_entry_ = entry;
  file_entry_.name = name;
  file_made_as_ = std::move(made_as);
  file_at_ = 0;
  charged_to_ = 0;
  ends_in_hole_ = false;
  ++files_;
  return {};
}

std::optional<Failure> TreeWriter::make_folder(const std::string& name, const wire::Entry& entry) {
  if (folders_.size() >= max_depth) return refused(ELOOP, where(name), "is nested too deeply");
  const auto open_it = [&](const std::string& at) {
    return openat(current(), at.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  };
  if (!is_fresh()) {
    OwnedFd there{open_it(name)};
    if (there.open()) {
      folders_.push_back({std::move(there), name, name, entry});
      return {};
    }
    if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) return failure(errno, "cannot open", where(name));
  }
  std::string made_as = is_fresh() ? name : private_name();
  if (mkdirat(current(), made_as.c_str(), options_.obey_umask ? kept_mode(entry) | 0700 : 0700) < 0)
    return failure(errno, "cannot create the folder", where(name));
  OwnedFd folder{open_it(made_as)};
  if (!folder.open()) {
    const int error = errno;
    unlinkat(current(), made_as.c_str(), AT_REMOVEDIR);
    return failure(error, "cannot open", where(name));
  }
  folders_.push_back({std::move(folder), name, std::move(made_as), entry, true});
  return {};
}

std::optional<Failure> TreeWriter::make_link(const std::string& name, const wire::Entry& entry) {
  const std::string made_as = is_fresh() ? name : private_name();
  if (symlinkat(entry.link.c_str(), current(), made_as.c_str()) < 0)
    return failure(errno, "cannot create the link", where(name));
  if (options_.owner &&
      fchownat(current(), made_as.c_str(), options_.owner->uid, options_.owner->gid, AT_SYMLINK_NOFOLLOW) < 0) {
    const int error = errno;
    unlinkat(current(), made_as.c_str(), 0);
    return failure(error, "cannot set the owner of", where(name));
  }
  utimensat(current(), made_as.c_str(), times_of(entry).value, AT_SYMLINK_NOFOLLOW);
  if (std::optional<Failure> failed = put_in_place(made_as, name, false)) return failed;
  ++files_;
  return {};
}

// Content

std::optional<Failure> TreeWriter::data(std::string_view bytes) {
  if (!file_.open()) return Failure{EPROTO, "content without a file"};
  const std::uint64_t begin = ends_in_hole_ ? file_at_ - file_at_ % block_bytes : file_at_;
  if (std::optional<Failure> failed = charge_part(begin, file_at_ + bytes.size())) return failed;
  bytes_ += bytes.size();
  while (!bytes.empty()) {
    const ssize_t written = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(file_at_));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failure(errno, "cannot write", where(file_entry_.name));
    bytes.remove_prefix(static_cast<std::size_t>(written));
    file_at_ += static_cast<std::uint64_t>(written);
    ends_in_hole_ = false;
  }
  return {};
}

std::optional<Failure> TreeWriter::hole(std::uint64_t bytes) {
  if (!file_.open()) return Failure{EPROTO, "content without a file"};
  if (bytes > largest_file - file_at_) return failure(EFBIG, "cannot write", where(file_entry_.name));
  file_at_ += bytes;
  bytes_ += bytes;
  ends_in_hole_ = true;
  return charge_rest_of_block();
}

std::optional<Failure> TreeWriter::close_file() {
  if (!file_.open()) return {};
  const auto complete = [&]() -> std::optional<Failure> {
    const std::string& name = file_entry_.name;
    if (ends_in_hole_ && ftruncate(file_.get(), static_cast<off_t>(file_at_)) < 0)
      return failure(errno, "cannot write", where(name));
    if (options_.owner && fchown(file_.get(), options_.owner->uid, options_.owner->gid) < 0)
      return failure(errno, "cannot set the owner of", where(name));
    if (!options_.obey_umask && fchmod(file_.get(), kept_mode(file_entry_)) < 0)
      return failure(errno, "cannot set the mode of", where(name));
    if (futimens(file_.get(), times_of(file_entry_).value) < 0)
      return failure(errno, "cannot set the time of", where(name));
    return {};
  };
  // One that is not complete stays open: the destructor removes it.
  if (options_.limits && options_.limits->whole_blocks)
    if (std::optional<Failure> failed = charge_rest_of_block()) return failed;
  if (std::optional<Failure> failed = complete()) return failed;
  file_.reset();
  return put_in_place(file_made_as_, file_entry_.name, false);
}

std::optional<Failure> TreeWriter::leave() {
  if (std::optional<Failure> failed = close_file()) return failed;
  if (folders_.empty()) return Failure{EPROTO, "the tree ends twice"};
  const auto complete = [&](const Folder& folder) -> std::optional<Failure> {
    const auto shown = [&] { return folder.name.empty() ? target_ : where({}); };
    struct stat status {};
    if (fstat(folder.fd.get(), &status) < 0) return failure(errno, "cannot look at", shown());
    if (options_.owner && fchown(folder.fd.get(), options_.owner->uid, options_.owner->gid) < 0)
      return failure(errno, "cannot set the owner of", shown());
    // The umask has already taken away what it does, and the bits for the owner are those that writing needs.
    const mode_t kept = kept_mode(folder.entry);
    const mode_t mode = options_.obey_umask ? (status.st_mode & 07777 & (kept | S_ISGID)) : kept;
    if (fchmod(folder.fd.get(), mode) < 0) return failure(errno, "cannot set the mode of", shown());
    if (futimens(folder.fd.get(), times_of(folder.entry).value) < 0)
      return failure(errno, "cannot set the time of", shown());
    return {};
  };
  if (folders_.back().fresh)
    if (std::optional<Failure> failed = complete(folders_.back())) return failed;
  const Folder folder = std::move(folders_.back());
  folders_.pop_back();
  return put_in_place(folder.made_as, folder.name, true);
}

std::optional<Failure> TreeWriter::finish() {
  if (std::optional<Failure> failed = close_file()) return failed;
  if (!begun_ || !folders_.empty()) return Failure{EPROTO, "the tree ends too early"};
  return {};
}

}  // namespace fireclaw::guest
