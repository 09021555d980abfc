#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::image {

/// Writes a "newc" cpio archive, the format of an initramfs. The same calls give the same bytes: every entry
/// belongs to root, is dated 1970, and inodes are counted.
class CpioWriter {
 public:
  /// Paths are relative ("dev", "lib/modules"); parents come first.
  void directory(std::string_view path, unsigned mode = 0755);
  void file(std::string_view path, unsigned mode, std::string_view content);
  void symlink(std::string_view path, std::string_view target);
  /// Returns the whole archive, trailer included. The writer is then empty again.
  std::string take();

 private:
  void entry(std::string_view path, unsigned mode, unsigned links, std::string_view content);

  std::string bytes_;
  std::uint32_t inode_ = 0;
};

/// An entry of a cpio archive; views into it.
struct CpioEntry {
  std::string_view path;
  /// As st_mode: type and permission bits.
  unsigned mode = 0;
  std::string_view content;
};

/// The entries of a newc archive, in order. Error(Corrupt) naming `name` if it is none or is torn.
std::vector<CpioEntry> read_cpio(std::string_view bytes, std::string_view name);

}  // namespace fireclaw::image
