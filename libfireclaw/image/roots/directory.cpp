#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <map>
#include <utility>

#include "fireclaw/error.hpp"
#include "image/roots/rootfs.hpp"
#include "sys/fd.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

/// Extended attributes that belong to the files rather than to this host's labelling of them.
bool is_portable(std::string_view name) { return name.substr(0, 5) == "user." || name == "security.capability"; }

std::map<std::string, std::string> read_xattrs(const fs::path& path) {
  std::map<std::string, std::string> result;
  std::string names(64 << 10, '\0');
  const ssize_t length = ::llistxattr(path.c_str(), names.data(), names.size());
  if (length < 0) {
    if (errno == ENOTSUP || errno == EPERM || errno == EACCES) return result;
    sys::throw_errno(fmt::format("read the attributes of '{}'", path.string()));
  }
  std::string_view rest{names.data(), static_cast<std::size_t>(length)};
  while (!rest.empty()) {
    const std::string name{rest.substr(0, rest.find('\0'))};
    rest.remove_prefix(std::min(rest.size(), name.size() + 1));
    if (!is_portable(name)) continue;
    std::string value(64 << 10, '\0');
    const ssize_t got = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    if (got < 0) continue;  // gone meanwhile, or not for us to read
    value.resize(static_cast<std::size_t>(got));
    result[name] = std::move(value);
  }
  return result;
}

class Walker {
 public:
  Walker(const RootContext& context, Tree& tree) : context_{context}, tree_{tree}, keep_owners_{::geteuid() == 0} {}

  void walk(const fs::path& folder, const std::string& place) {
    for (const fs::directory_entry& entry : fs::directory_iterator{folder}) {
      context_.tools.check_stop();
      const std::string name = entry.path().filename().string();
      add(entry.path(), place.empty() ? name : place + "/" + name);
    }
  }

  /// Whether somebody else's files have become root's.
  [[nodiscard]] bool owners_lost() const { return owners_lost_; }

  Node describe(const struct stat& status, const fs::path& path) {
    Node node;
    node.mode = status.st_mode & 07777;
    if (keep_owners_) {
      node.uid = status.st_uid;
      node.gid = status.st_gid;
    } else if (status.st_uid != ::geteuid()) {
      owners_lost_ = true;
    }
    node.mtime = status.st_mtim.tv_sec;
    node.xattrs = read_xattrs(path);
    return node;
  }

 private:
  void add(const fs::path& path, const std::string& place) {
    struct stat status {};
    sys::check(::lstat(path.c_str(), &status), fmt::format("read '{}'", path.string()));
    if (S_ISSOCK(status.st_mode)) {
      context_.logger.warning(fmt::format("'{}' is a socket; left out of the image", path.string()));
      return;
    }
    if (!S_ISDIR(status.st_mode) && status.st_nlink > 1) {
      const auto [first, fresh] = linked_.try_emplace(std::pair{status.st_dev, status.st_ino}, place);
      if (!fresh) {
        tree_.link(place, first->second);
        return;
      }
    }
    Node node = describe(status, path);
    if (S_ISDIR(status.st_mode)) {
      node.type = NodeType::Directory;
    } else if (S_ISREG(status.st_mode)) {
      node.type = NodeType::File;
      node.bytes = static_cast<std::uint64_t>(status.st_size);
      node.content = HostFile{path};
      // Found out here rather than in the middle of the stream.
      sys::check(::access(path.c_str(), R_OK), fmt::format("read '{}'", path.string()));
    } else if (S_ISLNK(status.st_mode)) {
      node.type = NodeType::Symlink;
      node.target = fs::read_symlink(path).string();
    } else if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
      node.type = S_ISCHR(status.st_mode) ? NodeType::CharDevice : NodeType::BlockDevice;
      node.device_major = major(status.st_rdev);
      node.device_minor = minor(status.st_rdev);
    } else {
      node.type = NodeType::Fifo;
    }
    const bool is_folder = node.type == NodeType::Directory;
    tree_.add(place, std::move(node));
    if (is_folder) walk(path, place);
  }

  const RootContext& context_;
  Tree& tree_;
  bool keep_owners_;
  bool owners_lost_ = false;
  std::map<std::pair<dev_t, ino_t>, std::string> linked_;
};

}  // namespace

Tree read_directory(const fs::path& folder, const RootContext& context) {
  struct stat status {};
  if (::stat(folder.c_str(), &status) < 0) {
    if (errno == ENOENT) throw Error{ErrorCode::NotFound, fmt::format("no folder '{}'", folder.string())};
    sys::throw_errno(fmt::format("read '{}'", folder.string()));
  }
  if (!S_ISDIR(status.st_mode)) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a folder", folder.string())};
  }
  Tree tree;
  Walker walker{context, tree};
  try {
    tree.add("", walker.describe(status, folder));
    walker.walk(folder, "");
  } catch (const fs::filesystem_error& error) {
    throw sys::system_error(error.code().value(), fmt::format("read '{}'", error.path1().string()));
  }
  if (walker.owners_lost()) {
    context.logger.warning(fmt::format(
        "'{}' holds files of other users; in the image they belong to root, because only root can keep owners",
        folder.string()));
  }
  return tree;
}

}  // namespace fireclaw::image
