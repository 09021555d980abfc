#pragma once

#include <filesystem>
#include <string_view>

#include "image/tools.hpp"

namespace fireclaw::image {

enum class Compression { None, Gzip, Bzip2, Xz, Lzma, Zstd, Lz4, Lz4Legacy };

/// By the magic number that `head`, the first bytes of a file, starts with.
Compression sniff_compression(std::string_view head) noexcept;
/// Of the file's first bytes.
Compression sniff_compression(const std::filesystem::path& file);

/// Writes what `input` (a descriptor, read from its current offset) unpacks to into `output`, by the format's own
/// program. `name` is for errors: Error(Corrupt) if the data is torn. None copies.
void decompress(Compression compression, int input, int output, std::string_view name, const Tools& tools);

/// Whether a program's or our own complaint is that the disk is full.
bool says_disk_full(std::string_view text);

}  // namespace fireclaw::image
