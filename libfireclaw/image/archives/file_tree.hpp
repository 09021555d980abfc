#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "sys/fd.hpp"

namespace fireclaw::image {

/// A file's bytes: in memory, a file on the host, or a piece of an open file (a tar).
struct HostFile {
  std::filesystem::path path;
};
struct Extent {
  std::shared_ptr<const sys::Fd> file;
  std::uint64_t offset = 0;
};
using Content = std::variant<std::string, HostFile, Extent>;

enum class NodeType { File, Directory, Symlink, CharDevice, BlockDevice, Fifo };

/// The most memory for names, link targets and attributes of a file system or an archive: enough for two million files.
/// Hostile archives describe far more in a few bytes.
inline constexpr std::uint64_t most_described_bytes = std::uint64_t{1} << 30;

/// A file of any type as a root file system will have it. Two paths with the same Node are hard links.
struct Node {
  NodeType type = NodeType::Directory;
  /// Permission bits, with set-id and sticky.
  unsigned mode = 0755;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::int64_t mtime = 0;
  /// Size of a file's content.
  std::uint64_t bytes = 0;
  Content content;
  /// Target of a symbolic link.
  std::string target;
  unsigned device_major = 0;
  unsigned device_minor = 0;
  std::map<std::string, std::string> xattrs;
};

/// The node's size in memory, without the content of files.
std::uint64_t described_bytes(const Node& node);

/// A future root file system, by path. Tar files, image layers, folders and the built-in root become a Tree before a
/// file system image is made from it. Owners, modes and devices are only recorded, so nothing here needs root. Paths
/// are relative and normal ("usr/bin/env"); the root itself is "".
class Tree {
 public:
  using Map = std::map<std::string, std::shared_ptr<const Node>>;

  /// add() and link() throw Error(InvalidArgument) once the tree takes more than `most_bytes` in memory, or for a path
  /// that is too long for Linux, with links followed.
  explicit Tree(std::uint64_t most_bytes = most_described_bytes);

  /// Puts `node` at `path` ("./usr/bin/", "/usr/bin" and "usr/bin" are the same place), as unpacking would: missing
  /// parents are made, parents that are symbolic links are followed within the tree, an existing node is replaced, but
  /// a folder over a folder keeps its content. Error(InvalidArgument) for paths with "..", or parents that are not
  /// folders.
  void add(std::string_view path, Node node);
  /// A second name for the file at `target`. Error(InvalidArgument) if there is none.
  void link(std::string_view path, std::string_view target);
  /// Removes a node and everything below it. Does nothing if there is none.
  void remove(std::string_view path);
  /// Removes everything below a folder.
  void clear(std::string_view path);

  /// The node a path leads to, symbolic links followed within the tree; null if there is none.
  [[nodiscard]] std::shared_ptr<const Node> find(std::string_view path) const;
  /// Parents come before what they hold.
  [[nodiscard]] const Map& nodes() const noexcept { return nodes_; }

  // Shorthands for what fireclaw itself puts there: owned by root, dated 1970.
  void directory(std::string_view path, unsigned mode = 0755);
  void file(std::string_view path, unsigned mode, std::string content);
  void symlink(std::string_view path, std::string target);

 private:
  [[nodiscard]] std::string normalize(std::string_view path) const;
  /// `path` with symbolic links in it followed, those in its last component only if `last`.
  [[nodiscard]] std::string resolve(std::string_view path, bool last) const;
  std::string prepare(std::string_view path);
  void put(std::string place, std::shared_ptr<const Node> node);
  void count(std::uint64_t bytes);

  Map nodes_;
  /// How much may still be added; removed or replaced nodes do not count back.
  std::uint64_t left_;
};

/// A file's content. `name` is for errors.
std::string read_content(const Node& node, std::string_view name);

/// Receives the bytes of a streamed tree.
using Sink = std::function<void(std::string_view bytes)>;

}  // namespace fireclaw::image
