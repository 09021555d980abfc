#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "image/tools.hpp"

namespace fireclaw::image {

enum class Compression { None, Gzip, Bzip2, Xz, Lzma, Zstd, Lz4, Lz4Legacy };

/// By the magic number that `head`, the first bytes of a file, starts with.
Compression sniff_compression(std::string_view head) noexcept;
/// Finds out a file's compression by its first bytes.
Compression sniff_compression(const std::filesystem::path& file);

/// How much may be unpacked. What is packed small can be huge: a layer of 8 MiB holds 8 GiB of zeros.
class UnpackLimit {
 public:
  /// `asked` bytes; 0: half of what is free in `folder`. This process's limit on the size of files (setrlimit) holds as
  /// well.
  UnpackLimit(const std::filesystem::path& folder, std::uint64_t asked);

  [[nodiscard]] std::uint64_t left() const { return left_; }
  /// Error(InvalidArgument) that names the numbers if that is more than what is left.
  void take(std::uint64_t bytes, std::string_view name);
  /// That error: `name` holds more than what is left.
  [[nodiscard]] Error exceeded(std::string_view name) const;

 private:
  std::string reason_;
  std::uint64_t limit_;
  std::uint64_t left_;
};

/// Writes what `input` (a descriptor, read from its current offset) unpacks to into `output`, by the format's own
/// program. `name` is for errors: Error(Corrupt) if the data is torn. None copies. Into an empty file; what is
/// written is taken from `limit`, and beyond it UnpackLimit::exceeded() is thrown.
void decompress(Compression compression, int input, int output, std::string_view name, UnpackLimit& limit,
                const Tools& tools);

/// Whether a program's or our own complaint is that the disk is full.
bool says_disk_full(std::string_view text);

}  // namespace fireclaw::image
