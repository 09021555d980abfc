#include "image/archives/cpio.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <iterator>
#include <limits>
#include <utility>

#include "base/number.hpp"
#include "fireclaw/error.hpp"
#include "image/bytes.hpp"

namespace fireclaw::image {

namespace {

constexpr std::string_view magic = "070701";
constexpr std::string_view trailer = "TRAILER!!!";
constexpr std::size_t header_bytes = 110;

}  // namespace

void CpioWriter::entry(std::string_view path, unsigned mode, unsigned links, std::string_view content) {
  if (content.size() > std::numeric_limits<std::uint32_t>::max()) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is too large for an initramfs", path)};
  }
  // magic, inode, mode, uid, gid, links, mtime, size, device (2), device of a node (2), name length with NUL, check
  fmt::format_to(std::back_inserter(bytes_), "{}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}", magic, inode_, mode, 0, 0,
                 links, 0, content.size());
  fmt::format_to(std::back_inserter(bytes_), "{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}", 0, 0, 0, 0, path.size() + 1, 0);
  bytes_ += path;
  bytes_ += '\0';
  bytes_.append((4 - bytes_.size() % 4) % 4, '\0');
  bytes_ += content;
  bytes_.append((4 - bytes_.size() % 4) % 4, '\0');
}

void CpioWriter::directory(std::string_view path, unsigned mode) {
  ++inode_;
  entry(path, S_IFDIR | mode, 2, {});
}

void CpioWriter::file(std::string_view path, unsigned mode, std::string_view content) {
  ++inode_;
  entry(path, S_IFREG | mode, 1, content);
}

void CpioWriter::symlink(std::string_view path, std::string_view target) {
  ++inode_;
  entry(path, S_IFLNK | 0777, 1, target);
}

std::string CpioWriter::take() {
  inode_ = 0;
  entry(trailer, 0, 1, {});
  bytes_.append((512 - bytes_.size() % 512) % 512, '\0');
  return std::exchange(bytes_, {});
}

std::vector<CpioEntry> read_cpio(std::string_view bytes, std::string_view name) {
  const auto torn = [&](std::uint64_t at) {
    return Error{ErrorCode::Corrupt, fmt::format("initramfs '{}' is torn at byte {}", name, at)};
  };
  std::vector<CpioEntry> entries;
  std::uint64_t at = 0;
  for (;;) {
    if (!within(at, header_bytes, bytes.size())) throw torn(at);
    const std::string_view header = bytes.substr(static_cast<std::size_t>(at), header_bytes);
    if (header.substr(0, magic.size()) != magic) throw torn(at);
    const auto field = [&](std::size_t index) {
      const auto value = parse_number<std::uint32_t>(header.substr(magic.size() + 8 * index, 8), 16);
      if (!value) throw torn(at);
      return *value;
    };
    const std::uint64_t content_bytes = field(6);
    const std::uint64_t name_bytes = field(11);
    if (name_bytes == 0 || !within(at + header_bytes, name_bytes, bytes.size())) throw torn(at);
    const std::uint64_t content = (at + header_bytes + name_bytes + 3) / 4 * 4;
    if (!within(content, content_bytes, bytes.size())) throw torn(at);
    CpioEntry entry;
    entry.path = bytes.substr(static_cast<std::size_t>(at + header_bytes), static_cast<std::size_t>(name_bytes - 1));
    if (entry.path == trailer) return entries;
    entry.mode = field(1);
    entry.content = bytes.substr(static_cast<std::size_t>(content), static_cast<std::size_t>(content_bytes));
    entries.push_back(entry);
    at = (content + content_bytes + 3) / 4 * 4;
  }
}

}  // namespace fireclaw::image
