#include "core/workspaces/transfer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/number.hpp"
#include "fireclaw/error.hpp"
#include "guest/tree/untrusted.hpp"
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

std::optional<std::string> from_hex(std::string_view digits) {
  std::string bytes;
  for (; digits.size() >= 2; digits.remove_prefix(2)) {
    const auto byte = parse_number<unsigned char>(digits.substr(0, 2), 16);
    if (!byte) return std::nullopt;
    bytes += static_cast<char>(*byte);
  }
  return digits.empty() ? std::optional{std::move(bytes)} : std::nullopt;
}

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

std::shared_ptr<const sys::Fd> open_archive(int fd, const fs::path& scratch, const image::Tools& tools) {
  auto file = spool(fd, scratch, tools);
  if (const auto compression = image::sniff_compression(file); compression != image::Compression::None) {
    const auto packed = sys::open_file(file, O_RDONLY);
    auto unpacked = scratch / "archive.tar";
    const auto out = sys::open_file(unpacked, O_WRONLY | O_CREAT | O_EXCL);
    image::UnpackLimit limit{scratch, 0};
    image::decompress(compression, packed.get(), out.get(), "the archive", limit, tools);
    file = std::move(unpacked);
  }
  return std::make_shared<const sys::Fd>(sys::open_file(file, O_RDONLY));
}

Tree read_archive(int fd, const fs::path& scratch, Owner owner, const image::Tools& tools) {
  auto entries = image::read_tar(open_archive(fd, scratch, tools), "the archive");
  std::set<std::string> named;
  for (const auto& entry : entries) named.insert(normal_path(entry.path));
  Tree tree;
  image::add_entries(tree, std::move(entries));
  // The file system makes its own.
  tree.remove("lost+found");

  std::vector<std::string> implied;
  for (const auto& [path, node] : tree.nodes()) {
    if (!path.empty() && node->type == NodeType::Directory && !named.contains(path)) implied.push_back(path);
  }
  for (const auto& path : implied) {
    Node node = *tree.nodes().at(path);
    node.uid = owner.uid;
    node.gid = owner.gid;
    tree.add(path, std::move(node));
  }
  return tree;
}

void add_capabilities(Tree& tree, std::string_view listed) {
  const auto malformed = [] { return Error{ErrorCode::Guest, "the guest lists capabilities in an unknown form"}; };
  std::map<std::string, std::string> found;
  while (!listed.empty()) {
    const auto end = listed.find('\0');
    const auto space = listed.find(' ');
    if (end == std::string_view::npos || space >= end || space == 0) throw malformed();
    auto value = from_hex(listed.substr(0, space));
    if (!value) throw malformed();
    found[normal_path(listed.substr(space + 1, end - space - 1))] = std::move(*value);
    listed.remove_prefix(end + 1);
  }
  // The names of one file stay names of one file.
  std::map<const Node*, std::pair<std::shared_ptr<const Node>, std::string>> first_names;
  std::vector<std::pair<std::string, std::shared_ptr<const Node>>> names;
  for (const auto& [path, node] : tree.nodes()) {
    if (node->type == NodeType::File && found.contains(path)) names.emplace_back(path, node);
  }
  for (const auto& [path, node] : names) {
    const auto [first, is_new] = first_names.try_emplace(node.get(), node, path);
    if (!is_new) {
      tree.link(path, first->second.second);
      continue;
    }
    Node with = *node;
    with.xattrs["security.capability"] = found.at(path);
    tree.add(path, std::move(with));
  }
}

image::Sink writer_to(int fd, const std::stop_token& stop) {
  return [fd, stop](std::string_view bytes) {
    check_stop(stop);
    sys::write_all(fd, bytes);
  };
}

void write_archive(const Host::Impl& host, std::string_view name, const Tree& tree, int fd,
                   const std::stop_token& stop) {
  image::write_tar(tree, writer_to(fd, stop), {}, {.times = {}, .harmless = true});
  std::size_t devices = 0;
  std::size_t privileged = 0;
  for (const auto& [path, node] : tree.nodes()) {
    const bool is_device = node->type == NodeType::CharDevice || node->type == NodeType::BlockDevice;
    const bool has_rights = !path.empty() && node->type != NodeType::Symlink && (node->mode & 06000) != 0;
    devices += is_device ? 1 : 0;
    privileged += has_rights && !is_device ? 1 : 0;
  }
  if (devices == 0 && privileged == 0) return;
  host.logger.warning(fmt::format(
      "workspace '{}': {} device node(s) and the set-user-id or set-group-id bits of {} file(s) are left out", name,
      devices, privileged));
}

}  // namespace fireclaw::core
