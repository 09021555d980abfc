#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/logger.hpp"
#include "image/archives/file_tree.hpp"
#include "image/tools.hpp"

/// What is in an ext4 image, without mounting it: read and changed by debugfs. Names from the image never become names
/// on the host, and inodes are named by number, so that nothing in a hostile image reaches further than its own
/// content.
namespace fireclaw::image {

/// The files of an image as they were when it was read. Extended attributes and sockets are not among them, nor is the
/// file system's own lost+found.
class Ext4Content {
 public:
  /// Checks the image in full, repairing it if need be, and reads all names, owners, modes, times and links. `scratch`
  /// is a folder of the caller's own for what is fetched later, which lies there under numbers.
  static Ext4Content read(const std::filesystem::path& image, const std::filesystem::path& scratch, const Tools& tools,
                          const Logger& logger);

  /// All of it. The content of a regular file is a HostFile that is there once it has been fetched.
  [[nodiscard]] const Tree& tree() const noexcept { return tree_; }
  /// Where sockets are, which have no place in a tree.
  [[nodiscard]] const std::vector<std::string>& sockets() const noexcept { return sockets_; }
  /// Where `path` leads, symbolic links followed within the image ("/" is its root). Error(NotFound) if nowhere.
  [[nodiscard]] std::string locate(std::string_view path) const;
  /// Copies the content of all regular files at and below the place (as in tree()) to the scratch folder.
  /// Error(Io) beforehand if there is no room for it.
  void fetch(const std::string& place) const;

 private:
  Ext4Content(std::filesystem::path image, std::filesystem::path scratch, Tools tools);

  std::filesystem::path image_;
  std::filesystem::path scratch_;
  Tools tools_;
  Tree tree_;
  std::vector<std::string> sockets_;
};

/// Puts all that is below `incoming`'s root into the image: folders that are there keep their content, other things are
/// replaced, hard links become copies. `content` is what is in the image now. On failure the image is left as it may
/// be: work on a copy. Error(InvalidArgument) for names that debugfs cannot be told (with line ends) and for something
/// else in a folder's place; Error(Io) "is full". The result is checked, and compared with what was asked for.
void put_into_ext4(const std::filesystem::path& image, const Ext4Content& content, const Tree& incoming,
                   const std::filesystem::path& scratch, const Tools& tools, const Logger& logger);

/// Removes what is at the place in `content`, with all below. Errors as above.
void remove_from_ext4(const std::filesystem::path& image, const Ext4Content& content, const std::string& place,
                      const std::filesystem::path& scratch, const Tools& tools, const Logger& logger);

}  // namespace fireclaw::image
