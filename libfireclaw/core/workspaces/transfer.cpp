#include "core/workspaces/transfer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "guest/untrusted.hpp"
#include "image/archives/compression.hpp"
#include "image/archives/tar.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {
namespace {

namespace fs = std::filesystem;
using image::Node;
using image::NodeType;
using image::Tree;

constexpr std::size_t piece_bytes = std::size_t{256} << 10;

void check_stop(const std::stop_token& stop) {
  if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "copying was cancelled"};
}

void add_host_file(Tree& tree, const std::string& place, const fs::path& source, Owner owner,
                   const std::stop_token& stop, CopyResult& copied) {
  check_stop(stop);
  struct stat status {};
  sys::check(::lstat(source.c_str(), &status), fmt::format("read '{}'", source.native()));
  Node node;
  node.mode = status.st_mode & 07777;
  node.uid = owner.uid;
  node.gid = owner.gid;
  node.mtime = status.st_mtim.tv_sec;
  if (S_ISDIR(status.st_mode)) {
    node.type = NodeType::Directory;
    tree.add(place, std::move(node));
    for (const auto& entry : fs::directory_iterator{source}) {
      add_host_file(tree, joined(place, entry.path().filename().native()), entry.path(), owner, stop, copied);
    }
    return;
  }
  if (S_ISREG(status.st_mode)) {
    node.type = NodeType::File;
    node.bytes = static_cast<std::uint64_t>(status.st_size);
    node.content = image::HostFile{fs::absolute(source)};
    // Found out here rather than half-way through.
    sys::check(::access(source.c_str(), R_OK), fmt::format("read '{}'", source.native()));
    copied.bytes += node.bytes;
  } else if (S_ISLNK(status.st_mode)) {
    node.type = NodeType::Symlink;
    node.target = fs::read_symlink(source).native();
  } else {
    return;
  }
  ++copied.files;
  tree.add(place, std::move(node));
}

/// A tree by folders, which its own order is not: "a-b" stands between "a" and "a/b".
using Children = std::map<std::string, std::vector<std::string>>;

Children children_of(const Tree& tree) {
  Children children;
  for (const auto& [path, node] : tree.nodes()) {
    if (path.empty()) continue;
    const auto slash = path.rfind('/');
    children[slash == std::string::npos ? std::string{} : path.substr(0, slash)].push_back(path);
  }
  return children;
}

void check(const std::optional<guest::Failure>& failed) {
  if (failed) throw Error{sys::system_error(failed->error, {}).code(), failed->message};
}

class HostWriter {
 public:
  HostWriter(const Tree& tree, guest::TreeWriter& writer, const std::stop_token& stop)
      : tree_{tree}, children_{children_of(tree)}, writer_{writer}, stop_{stop} {}

  void write(const std::string& place) {
    check_stop(stop_);
    const Node& node = *tree_.nodes().at(place);
    guest::wire::Entry entry;
    entry.name = place.substr(place.rfind('/') + 1);
    entry.mode = node.mode;
    entry.mtime_s = node.mtime;
    switch (node.type) {
      case NodeType::Directory: {
        entry.kind = guest::wire::EntryKind::Folder;
        check(writer_.entry(entry));
        const auto inside = children_.find(place);
        if (inside != children_.end()) {
          for (const auto& path : inside->second) write(path);
        }
        check(writer_.leave());
        return;
      }
      case NodeType::File:
        entry.kind = guest::wire::EntryKind::File;
        entry.size = node.bytes;
        entry.allocated = node.bytes;
        check(writer_.entry(entry));
        write_content(std::get<image::HostFile>(node.content).path);
        return;
      case NodeType::Symlink:
        entry.kind = guest::wire::EntryKind::Link;
        entry.link = node.target;
        check(writer_.entry(entry));
        return;
      case NodeType::CharDevice:
      case NodeType::BlockDevice:
      case NodeType::Fifo: return;
    }
  }

 private:
  void write_content(const fs::path& file) {
    const auto in = sys::open_file(file, O_RDONLY | O_NOFOLLOW);
    std::vector<std::byte> piece(piece_bytes);
    for (;;) {
      const auto got = sys::read_some(in.get(), piece);
      if (got <= 0) return;
      check_stop(stop_);
      check(writer_.data({reinterpret_cast<const char*>(piece.data()), static_cast<std::size_t>(got)}));
    }
  }

  const Tree& tree_;
  const Children children_;
  guest::TreeWriter& writer_;
  const std::stop_token& stop_;
};

/// The descriptor's content in a file of our own: a tar is read back and forth, and a pipe is not.
fs::path spool(int fd, const fs::path& scratch, const image::Tools& tools) {
  auto file = scratch / "archive";
  const auto out = sys::open_file(file, O_WRONLY | O_CREAT | O_EXCL);
  std::vector<std::byte> piece(piece_bytes);
  for (;;) {
    tools.check_stop();
    const auto got = sys::read_some(fd, piece);
    if (got == 0) break;
    if (got > 0) sys::write_all(out.get(), std::span{piece}.first(static_cast<std::size_t>(got)));
  }
  return file;
}

}  // namespace

std::string normal_path(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) {
    throw Error{ErrorCode::InvalidArgument, "a path in a workspace cannot contain a NUL byte"};
  }
  std::string normal;
  std::string_view rest = path;
  while (!rest.empty()) {
    const auto part = rest.substr(0, rest.find('/'));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    if (part.empty() || part == ".") continue;
    if (part == "..") {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' cannot be a path in a workspace: it has '..'", path)};
    }
    normal = joined(normal, part);
  }
  return normal;
}

std::string joined(const std::string& folder, std::string_view name) {
  if (name.empty()) return folder;
  return folder.empty() ? std::string{name} : fmt::format("{}/{}", folder, name);
}

std::string name_for_copy(const fs::path& source) {
  auto name = guest::last_component(source.native());
  // "." has a name too, seen from above.
  return name.empty() ? fs::canonical(source).filename().string() : name;
}

CopyResult add_host_files(Tree& tree, const std::string& place, const fs::path& source, Owner owner,
                          const std::stop_token& stop) {
  CopyResult copied;
  try {
    add_host_file(tree, place, source, owner, stop, copied);
  } catch (const fs::filesystem_error& error) {
    throw sys::system_error(error.code().value(), fmt::format("read '{}'", error.path1().native()));
  }
  return copied;
}

CopyResult write_host_files(const Tree& tree, const std::string& place, const fs::path& target, const std::string& name,
                            const std::stop_token& stop) {
  guest::TreeWriter writer{{AT_FDCWD, false}, target.native(), name, false, guest::untrusted({})};
  HostWriter{tree, writer, stop}.write(place);
  check(writer.finish());
  return {writer.files(), writer.bytes(), 0, writer.links_left_out()};
}

Tree read_archive(int fd, const fs::path& scratch, Owner owner, const Tree* existing, const image::Tools& tools) {
  auto file = spool(fd, scratch, tools);
  if (const auto compression = image::sniff_compression(file); compression != image::Compression::None) {
    const auto packed = sys::open_file(file, O_RDONLY);
    auto unpacked = scratch / "archive.tar";
    const auto out = sys::open_file(unpacked, O_WRONLY | O_CREAT | O_EXCL);
    image::UnpackLimit limit{scratch, 0};
    image::decompress(compression, packed.get(), out.get(), "the archive", limit, tools);
    file = std::move(unpacked);
  }
  auto entries = image::read_tar(std::make_shared<const sys::Fd>(sys::open_file(file, O_RDONLY)), "the archive");
  std::set<std::string> named;
  for (const auto& entry : entries) named.insert(normal_path(entry.path));
  Tree tree;
  image::add_entries(tree, std::move(entries));
  // Made again by the file system itself.
  tree.remove("lost+found");

  std::vector<std::string> implied;
  for (const auto& [path, node] : tree.nodes()) {
    if (!path.empty() && node->type == NodeType::Directory && !named.contains(path)) implied.push_back(path);
  }
  for (const auto& path : implied) {
    Node node = *tree.nodes().at(path);
    node.uid = owner.uid;
    node.gid = owner.gid;
    if (existing != nullptr) {
      const auto there = existing->nodes().find(path);
      if (there != existing->nodes().end() && there->second->type == NodeType::Directory) node = *there->second;
    }
    tree.add(path, std::move(node));
  }
  return tree;
}

namespace {

/// What of a guest's tree gives nobody rights where it is unpacked: without devices, set-id bits and file capabilities.
Tree without_rights(const Tree& tree) {
  Tree harmless;
  std::map<const Node*, std::string> files;
  for (const auto& [path, node] : tree.nodes()) {
    if (node->type == NodeType::CharDevice || node->type == NodeType::BlockDevice) continue;
    if (node->type == NodeType::File) {
      const auto [first, is_new] = files.try_emplace(node.get(), path);
      if (!is_new) {
        harmless.link(path, first->second);
        continue;
      }
    }
    auto copy = *node;
    copy.mode &= copy.type == NodeType::Directory ? 01777U : 0777U;
    copy.xattrs.erase("security.capability");
    harmless.add(path, std::move(copy));
  }
  return harmless;
}

}  // namespace

void write_archive(const Tree& tree, int fd, const std::stop_token& stop) {
  image::write_tar(without_rights(tree), [&](std::string_view bytes) {
    check_stop(stop);
    sys::write_all(fd, bytes);
  });
}

}  // namespace fireclaw::core
