#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

enum class Compression { None, Gzip, Bzip2, Xz, Lzma, Zstd, Lz4, Lz4Legacy };

/// Finds out a file's compression by the magic number in `head`, its first bytes.
Compression sniff_compression(std::string_view head) noexcept;
/// Finds out a file's compression by its first bytes.
Compression sniff_compression(const std::filesystem::path& file);

/// How much may be unpacked. A small archive can unpack to much: a layer of 8 MiB can hold 8 GiB of zeros.
class UnpackLimit {
 public:
  /// `asked` bytes; 0: half of the free space in `folder`. This process's limit on the size of files (setrlimit) also
  /// holds.
  UnpackLimit(const std::filesystem::path& folder, std::uint64_t asked);

  [[nodiscard]] std::uint64_t left() const { return left_; }
  /// Takes bytes from the limit. Error(InvalidArgument) with the numbers if too few are left.
  void take(std::uint64_t bytes, std::string_view name);
  /// The error of take(): `name` holds more than is left.
  [[nodiscard]] Error exceeded(std::string_view name) const;

 private:
  std::string reason_;
  std::uint64_t limit_;
  std::uint64_t left_;
};

/// Unpacks `input` (a descriptor, read from its current offset) into `output`, with the format's own
/// program. `name` is for errors: Error(Corrupt) if the data is torn. None copies. Into an empty file; what is
/// written is taken from `limit`, and beyond it UnpackLimit::exceeded() is thrown.
void decompress(Compression compression, int input, int output, std::string_view name, UnpackLimit& limit,
                const Tools& tools);

/// Whether an error text of a program or of ours says that the disk is full.
bool says_disk_full(std::string_view text);

}  // namespace fireclaw::image
