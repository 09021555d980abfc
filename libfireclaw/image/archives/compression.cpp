#include "image/archives/compression.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <cstddef>
#include <span>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "image/tools.hpp"
#include "sys/confined_tool.hpp"
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

UnpackLimit::UnpackLimit(const std::filesystem::path& folder, std::uint64_t asked) {
  const auto free = sys::free_bytes(folder);
  limit_ = asked;
  reason_ = "as it was asked for";
  if (asked == 0) {
    limit_ = free / 2;
    reason_ = fmt::format("half of the {} MiB that are free below '{}'", free >> 20, folder.string());
  }
  rlimit files{};
  if (::getrlimit(RLIMIT_FSIZE, &files) == 0 && files.rlim_cur < limit_) {
    limit_ = files.rlim_cur;
    reason_ = "this process's limit on the size of files";
  }
  left_ = limit_;
}

void UnpackLimit::take(std::uint64_t bytes, std::string_view name) {
  if (bytes > left_) throw exceeded(name);
  left_ -= bytes;
}

Error UnpackLimit::exceeded(std::string_view name) const {
  return Error{ErrorCode::InvalidArgument,
               fmt::format("'{}' unpacks to more than the limit allows: {} MiB of at most {} MiB are left ({})", name,
                           left_ >> 20, limit_ >> 20, reason_)};
}

namespace {

void copy(int input, int output, std::string_view name, UnpackLimit& limit, const Tools& tools) {
  std::array<std::byte, 65536> buffer{};
  for (;;) {
    tools.check_stop();
    const auto count = sys::read_some(input, buffer);
    if (count <= 0) return;
    limit.take(static_cast<std::uint64_t>(count), name);
    sys::write_all(output, std::span{buffer}.first(static_cast<std::size_t>(count)));
  }
}

}  // namespace

void decompress(Compression compression, int input, int output, std::string_view name, UnpackLimit& limit,
                const Tools& tools) {
  if (compression == Compression::None) return copy(input, output, name, limit, tools);
  for (const Format& format : formats) {
    if (format.compression != compression) continue;
    sys::ToolOptions options = tools.options();
    options.input_fd = input;
    options.output_fd = output;
    // Without its own root: what it reads and writes is open already.
    sys::Sandbox plan;
    plan.limits.file_bytes = limit.left();
    const auto result =
        sys::run_confined_tool({tools.require(format.program, format.package).string(), "-d", "-c"}, options, plan);
    struct stat written {};
    sys::check(::fstat(output, &written), fmt::format("unpack '{}'", name));
    const auto bytes = static_cast<std::uint64_t>(written.st_size);
    if (result.status.success()) return limit.take(bytes, name);
    if (result.status.signal == SIGXFSZ || bytes >= limit.left()) throw limit.exceeded(name);
    if (says_disk_full(result.err)) {
      throw Error{ErrorCode::Io, fmt::format("unpack '{}': no space left on device", name)};
    }
    throw Error{ErrorCode::Corrupt, fmt::format("'{}' is torn: {} {}: {}", name, format.program,
                                                result.status.describe(), one_line(result.err))};
  }
}

}  // namespace fireclaw::image
