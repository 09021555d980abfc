#include "image/kernel/elf.hpp"

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "image/bytes.hpp"

namespace fireclaw::image {

namespace {

constexpr std::uint32_t section_nobits = 8;
constexpr std::uint64_t header_bytes = 64;
constexpr std::uint64_t segment_header_bytes = 56;
constexpr std::uint64_t section_header_bytes = 64;

[[noreturn]] void truncated(std::string_view name, std::string_view what) {
  throw Error{ErrorCode::InvalidArgument,
              fmt::format("'{}' is truncated: its {} ends past the end of the file", name, what)};
}

// Only for offsets that within() has accepted.
template <typename T>
T at(std::string_view bytes, std::uint64_t offset) {
  return load_le<T>(bytes, offset).value();
}

std::string name_at(std::string_view table, std::uint32_t offset) {
  if (offset >= table.size()) return {};
  const std::string_view rest = table.substr(offset);
  return std::string{rest.substr(0, rest.find('\0'))};
}

}  // namespace

ElfView::ElfView(std::string_view bytes, std::string_view name) : bytes_{bytes} {
  if (!has_magic(bytes)) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not an ELF file", name)};
  if (bytes.size() < header_bytes) truncated(name, "header");
  if (bytes[4] != 2 || bytes[5] != 1) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a 64-bit little-endian ELF file", name)};
  }
  type_ = at<std::uint16_t>(bytes, 16);
  machine_ = at<std::uint16_t>(bytes, 18);
  entry_ = at<std::uint64_t>(bytes, 24);
  const auto segment_table = at<std::uint64_t>(bytes, 32);
  const auto section_table = at<std::uint64_t>(bytes, 40);
  const auto segment_size = at<std::uint16_t>(bytes, 54);
  const auto segment_count = at<std::uint16_t>(bytes, 56);
  const auto section_size = at<std::uint16_t>(bytes, 58);
  const auto section_count = at<std::uint16_t>(bytes, 60);
  const auto names_index = at<std::uint16_t>(bytes, 62);

  if (segment_count > 0) {
    if (segment_size < segment_header_bytes) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' has malformed program headers", name)};
    }
    if (!within(segment_table, std::uint64_t{segment_count} * segment_size, bytes.size())) {
      truncated(name, "program header table");
    }
    for (std::uint64_t i = 0; i < segment_count; ++i) {
      const std::uint64_t base = segment_table + i * segment_size;
      const Segment segment{at<std::uint32_t>(bytes, base), at<std::uint64_t>(bytes, base + 8),
                            at<std::uint64_t>(bytes, base + 32)};
      if (!within(segment.offset, segment.bytes, bytes.size())) truncated(name, fmt::format("segment {}", i));
      segments_.push_back(segment);
    }
  }

  if (section_count > 0) {
    if (section_size < section_header_bytes) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' has malformed section headers", name)};
    }
    if (!within(section_table, std::uint64_t{section_count} * section_size, bytes.size())) {
      truncated(name, "section header table");
    }
    std::vector<std::uint32_t> names;
    for (std::uint64_t i = 0; i < section_count; ++i) {
      const std::uint64_t base = section_table + i * section_size;
      Section section{{},
                      at<std::uint32_t>(bytes, base + 4),
                      at<std::uint64_t>(bytes, base + 24),
                      at<std::uint64_t>(bytes, base + 32)};
      if (section.type == 0 || section.type == section_nobits) section.bytes = section.offset = 0;
      if (!within(section.offset, section.bytes, bytes.size())) truncated(name, fmt::format("section {}", i));
      names.push_back(at<std::uint32_t>(bytes, base));
      sections_.push_back(std::move(section));
    }
    if (names_index < sections_.size()) {
      const Section& table = sections_[names_index];
      const std::string_view text =
          bytes.substr(static_cast<std::size_t>(table.offset), static_cast<std::size_t>(table.bytes));
      for (std::size_t i = 0; i < sections_.size(); ++i) sections_[i].name = name_at(text, names[i]);
    }
  }
}

std::string_view ElfView::section(std::string_view name) const {
  for (const Section& section : sections_) {
    if (section.name == name) {
      return bytes_.substr(static_cast<std::size_t>(section.offset), static_cast<std::size_t>(section.bytes));
    }
  }
  return {};
}

std::string_view ElfView::content(const Segment& segment) const {
  return bytes_.substr(static_cast<std::size_t>(segment.offset), static_cast<std::size_t>(segment.bytes));
}

bool ElfView::has_segment(std::uint32_t type) const {
  for (const Segment& segment : segments_) {
    if (segment.type == type) return true;
  }
  return false;
}

}  // namespace fireclaw::image
