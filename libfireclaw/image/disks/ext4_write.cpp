#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/disks/debugfs.hpp"
#include "image/disks/e2fsprogs.hpp"
#include "image/disks/ext4.hpp"
#include "image/disks/ext4_files.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

unsigned type_bits(NodeType type) {
  switch (type) {
    case NodeType::File: return S_IFREG;
    case NodeType::Directory: return S_IFDIR;
    case NodeType::Symlink: return S_IFLNK;
    case NodeType::CharDevice: return S_IFCHR;
    case NodeType::BlockDevice: return S_IFBLK;
    case NodeType::Fifo: return S_IFIFO;
  }
  throw Error{ErrorCode::Internal, "unknown node type"};
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// A name as a path, so that debugfs does not take "<12>" for an inode.
std::string as_path(const std::string& name) { return Debugfs::quote("./" + name); }

/// Turns a tree into debugfs's commands, with its files' content under numbers in a folder.
class Script {
 public:
  explicit Script(const std::filesystem::path& scratch) : scratch_{scratch} {}

  void put(const std::string& path, const Node& node, const Node* there) {
    enter(folder_of(path));
    const std::string name = name_of(path);
    const bool was_folder = there != nullptr && there->type == NodeType::Directory;
    if (was_folder && node.type != NodeType::Directory) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("'{}' is a folder on the disk, and something else is to take its place; remove it first",
                              one_line(path))};
    }
    if (there != nullptr && !was_folder) commands_.push_back("rm " + as_path(name));
    switch (node.type) {
      case NodeType::File: commands_.push_back(fmt::format("write {} {}", provide(node), Debugfs::quote(name))); break;
      case NodeType::Directory:
        if (!was_folder) commands_.push_back("mkdir " + Debugfs::quote(name));
        break;
      case NodeType::Symlink:
        if (node.target.empty()) {
          throw Error{ErrorCode::InvalidArgument, fmt::format("symbolic link '{}' leads nowhere", one_line(path))};
        }
        commands_.push_back(fmt::format("symlink {} {}", Debugfs::quote(name), Debugfs::quote(node.target)));
        break;
      case NodeType::CharDevice:
      case NodeType::BlockDevice:
        commands_.push_back(fmt::format("mknod {} {} {} {}", Debugfs::quote(name),
                                        node.type == NodeType::CharDevice ? 'c' : 'b', node.device_major,
                                        node.device_minor));
        break;
      case NodeType::Fifo: commands_.push_back(fmt::format("mknod {} p", Debugfs::quote(name))); break;
    }
    const auto set = [&](std::string_view field, std::string value) {
      commands_.push_back(fmt::format("set_inode_field {} {} {}", as_path(name), field, value));
    };
    set("uid", std::to_string(node.uid));
    set("gid", std::to_string(node.gid));
    set("mode", fmt::format("0{:o}", type_bits(node.type) | (node.mode & 07777)));
    set("mtime", fmt::format("@{}", std::max<std::int64_t>(node.mtime, 0)));
  }

  void remove(const std::string& path, NodeType type) {
    enter(folder_of(path));
    commands_.push_back((type == NodeType::Directory ? "rmdir " : "rm ") + as_path(name_of(path)));
  }

  [[nodiscard]] const std::vector<std::string>& commands() const { return commands_; }
  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }

 private:
  void enter(const std::string& folder) {
    if (!commands_.empty() && folder == folder_) return;
    folder_ = folder;
    commands_.push_back("cd " + Debugfs::quote("/" + folder));
  }

  /// The name in the scratch folder under which debugfs finds the content.
  std::string provide(const Node& node) {
    std::string name = fmt::format("new{}", count_++);
    const std::filesystem::path file = scratch_ / name;
    bytes_ += node.bytes;
    if (const auto* host = std::get_if<HostFile>(&node.content)) {
      // Whatever the file is called.
      std::filesystem::create_symlink(std::filesystem::absolute(host->path), file);
      return name;
    }
    const sys::Fd target = sys::open_file(file, O_WRONLY | O_CREAT | O_EXCL);
    try {
      if (const auto* text = std::get_if<std::string>(&node.content)) {
        sys::write_all(target.get(), *text);
      } else {
        copy(std::get<Extent>(node.content), node.bytes, target.get());
      }
    } catch (const Error& error) {
      if (says_disk_full(error.what())) throw disk_full(scratch_.parent_path());
      throw;
    }
    return name;
  }

  static void copy(const Extent& from, std::uint64_t length, int target) {
    std::string buffer(std::size_t{256} << 10, '\0');
    std::uint64_t offset = from.offset;
    while (length > 0) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(length, buffer.size()));
      const auto count = sys::check(
          sys::retry([&] { return ::pread(from.file->get(), buffer.data(), wanted, static_cast<off_t>(offset)); }),
          "read an archive");
      if (count == 0) throw Error{ErrorCode::Io, "an archive became shorter while it was read"};
      sys::write_all(target, std::string_view{buffer}.substr(0, static_cast<std::size_t>(count)));
      offset += static_cast<std::uint64_t>(count);
      length -= static_cast<std::uint64_t>(count);
    }
  }

  const std::filesystem::path& scratch_;
  std::vector<std::string> commands_;
  std::string folder_;
  std::size_t count_ = 0;
  std::uint64_t bytes_ = 0;
};

bool is_as_asked(const Node& is, const Node& asked) {
  return is.type == asked.type && is.mode == (asked.mode & 07777) && is.uid == asked.uid && is.gid == asked.gid &&
         is.mtime == std::max<std::int64_t>(asked.mtime, 0) && is.bytes == asked.bytes && is.target == asked.target;
}

void verify(const Tree& asked, const Tree& there, const std::filesystem::path& image) {
  for (const auto& [path, node] : asked.nodes()) {
    if (path.empty()) continue;
    const auto found = there.nodes().find(path);
    if (found == there.nodes().end() || !is_as_asked(*found->second, *node)) {
      throw Error{ErrorCode::Io, fmt::format("'{}' did not reach '{}' as it should", one_line(path), image.string())};
    }
  }
}

}  // namespace

void put_into_ext4(const std::filesystem::path& image, const Ext4Content& content, const Tree& incoming,
                   const std::filesystem::path& scratch, const Tools& tools, const Logger& logger) {
  const sys::TempDir files{scratch, "put-"};
  Script script{files.path()};
  const Tree::Map& there = content.tree().nodes();
  for (const auto& [path, node] : incoming.nodes()) {
    if (path.empty()) continue;
    const auto found = there.find(path);
    script.put(path, *node, found == there.end() ? nullptr : found->second.get());
  }
  if (script.commands().empty()) return;
  Debugfs{image, files.path(), tools}.write(script.commands(), script.bytes());
  verify(incoming, Ext4Content::read(image, files.path(), tools, logger).tree(), image);
}

void remove_from_ext4(const std::filesystem::path& image, const Ext4Content& content, const std::string& place,
                      const std::filesystem::path& scratch, const Tools& tools, const Logger& logger) {
  if (place.empty()) throw Error{ErrorCode::InvalidArgument, "the disk's own root cannot be removed"};
  const Tree::Map& there = content.tree().nodes();
  Script script{scratch};
  const auto is_doomed = [&](const std::string& path) { return path == place || path.starts_with(place + "/"); };
  std::map<std::string, NodeType> doomed;
  for (auto it = there.lower_bound(place); it != there.end() && it->first.starts_with(place); ++it) {
    if (is_doomed(it->first)) doomed.emplace(it->first, it->second->type);
  }
  for (const std::string& path : content.sockets()) {
    if (is_doomed(path)) doomed.emplace(path, NodeType::File);
  }
  for (auto it = doomed.rbegin(); it != doomed.rend(); ++it) script.remove(it->first, it->second);
  Debugfs{image, scratch, tools}.write(script.commands(), 0);
  const Ext4Content after = Ext4Content::read(image, scratch, tools, logger);
  if (after.tree().nodes().contains(place)) {
    throw Error{ErrorCode::Io, fmt::format("'{}' could not be removed from '{}'", one_line(place), image.string())};
  }
}

}  // namespace fireclaw::image
