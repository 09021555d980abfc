#include "guest/tree/tree.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "guest/tree/paths.hpp"

namespace fireclaw::guest {
namespace {

using wire::EntryKind;

void describe(const struct stat& status, wire::Entry& entry) {
  entry.mode = status.st_mode & 07777;
  entry.mtime_s = status.st_mtim.tv_sec;
  entry.mtime_ns = static_cast<std::uint32_t>(status.st_mtim.tv_nsec);
  entry.size = static_cast<std::uint64_t>(status.st_size);
  entry.allocated = static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace

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
    file_size_ = item.entry.size;
    file_at_ = 0;
    sparse_ = item.entry.allocated < file_size_;
    data_until_ = 0;
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

std::uint64_t TreeReader::find_hole() {
  if (file_at_ < data_until_) return 0;
  const off_t data = lseek(file_.get(), static_cast<off_t>(file_at_), SEEK_DATA);
  if (data < 0 && errno == ENXIO) return file_size_ - file_at_;
  if (data < 0) {
    // This file system does not tell.
    data_until_ = file_size_;
    return 0;
  }
  const std::uint64_t begin = std::min(static_cast<std::uint64_t>(data), file_size_);
  if (begin > file_at_) return begin - file_at_;
  const off_t hole = lseek(file_.get(), data, SEEK_HOLE);
  data_until_ = hole > data ? std::min(static_cast<std::uint64_t>(hole), file_size_) : file_size_;
  lseek(file_.get(), data, SEEK_SET);
  return 0;
}

std::optional<Failure> TreeReader::read_file(Item& item, char* buffer, std::size_t size, bool& produced) {
  std::uint64_t wanted = size;
  if (file_size_ > 0) {
    if (file_at_ == file_size_) return {};
    wanted = std::min(wanted, file_size_ - file_at_);
  }
  if (sparse_) {
    if (const std::uint64_t hole = find_hole(); hole > 0) {
      item = {};
      item.kind = Item::Kind::Hole;
      item.bytes = hole;
      file_at_ += hole;
      produced = true;
      return {};
    }
    wanted = std::min(wanted, data_until_ - file_at_);
  }
  ssize_t got = 0;
  do got = read(file_.get(), buffer, static_cast<std::size_t>(wanted));
  while (got < 0 && errno == EINTR);
  if (got < 0) return failure(errno, "cannot read", file_name_);
  if (got == 0) return {};
  item = {};
  item.kind = Item::Kind::Data;
  item.bytes = static_cast<std::uint64_t>(got);
  file_at_ += item.bytes;
  produced = true;
  return {};
}

std::optional<Failure> TreeReader::next(Item& item, char* buffer, std::size_t size) {
  if (!begun_) {
    begun_ = true;
    if (source_.empty()) return refused(ENOENT, source_, "is not a file name");
    bool produced = false;
    return enter(base_.root_fd, source_, true, item, produced);
  }
  if (file_.open()) {
    bool produced = false;
    if (std::optional<Failure> failed = read_file(item, buffer, size, produced)) return failed;
    if (produced) return {};
    file_.reset();
  }
  return walk(item);
}

}  // namespace fireclaw::guest
