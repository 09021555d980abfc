#include "image/archives/compression.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cstddef>

#include "fireclaw/error.hpp"
#include "image/tools.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

using namespace std::string_view_literals;

struct Format {
  Compression compression;
  std::string_view magic;
  const char* program;
  const char* package;
};
constexpr std::array formats{
    Format{Compression::Gzip, "\x1f\x8b"sv, "gzip", "gzip"},
    Format{Compression::Bzip2, "BZh"sv, "bzip2", "bzip2"},
    Format{Compression::Xz,
           "\xfd"
           "7zXZ\0"sv,
           "xz", "xz-utils"},
    Format{Compression::Lzma, "\x5d\0\0"sv, "xz", "xz-utils"},
    Format{Compression::Zstd, "\x28\xb5\x2f\xfd"sv, "zstd", "zstd"},
    Format{Compression::Lz4, "\x04\x22\x4d\x18"sv, "lz4", "lz4"},
    Format{Compression::Lz4Legacy, "\x02\x21\x4c\x18"sv, "lz4", "lz4"},
};

}  // namespace

Compression sniff_compression(std::string_view head) noexcept {
  for (const Format& format : formats) {
    if (head.substr(0, format.magic.size()) == format.magic) return format.compression;
  }
  return Compression::None;
}

Compression sniff_compression(const std::filesystem::path& file) {
  const sys::Fd fd = sys::open_file(file, O_RDONLY);
  std::array<std::byte, 8> head{};
  const auto count = sys::read_some(fd.get(), head);
  return sniff_compression(
      std::string_view{reinterpret_cast<const char*>(head.data()), static_cast<std::size_t>(count > 0 ? count : 0)});
}

bool says_disk_full(std::string_view text) {
  // The system's words for ENOSPC, whichever way the first letter is written.
  return text.find("o space left on device") != std::string_view::npos;
}

void decompress(Compression compression, int input, int output, std::string_view name, const Tools& tools) {
  if (compression == Compression::None) {
    std::array<std::byte, 65536> buffer{};
    for (;;) {
      tools.check_stop();
      const auto count = sys::read_some(input, buffer);
      if (count <= 0) return;
      sys::write_all(output, std::span{buffer}.first(static_cast<std::size_t>(count)));
    }
  }
  for (const Format& format : formats) {
    if (format.compression != compression) continue;
    sys::ToolOptions options = tools.options();
    options.input_fd = input;
    options.output_fd = output;
    const auto result = sys::run_tool({tools.require(format.program, format.package).string(), "-d", "-c"}, options);
    if (result.status.success()) return;
    if (says_disk_full(result.err)) {
      throw Error{ErrorCode::Io, fmt::format("unpack '{}': no space left on device", name)};
    }
    throw Error{ErrorCode::Corrupt, fmt::format("'{}' is torn: {} {}: {}", name, format.program,
                                                result.status.describe(), one_line(result.err))};
  }
}

}  // namespace fireclaw::image
