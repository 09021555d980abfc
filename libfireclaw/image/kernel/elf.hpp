#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fireclaw::image {

/// The parts of a 64-bit little-endian ELF file (kernel, kernel module, program) that images need. A view: the
/// bytes must outlive it.
class ElfView {
 public:
  enum class Machine : std::uint16_t { X86_64 = 62, AArch64 = 183 };
  static constexpr std::uint16_t type_executable = 2;
  static constexpr std::uint32_t segment_load = 1;
  static constexpr std::uint32_t segment_interpreter = 3;
  static constexpr std::uint32_t segment_note = 4;

  struct Segment {
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };
  struct Section {
    std::string name;
    std::uint32_t type = 0;
    std::uint64_t offset = 0;
    std::uint64_t bytes = 0;
  };

  [[nodiscard]] static bool has_magic(std::string_view bytes) { return bytes.substr(0, 4) == "\177ELF"; }

  /// Error(InvalidArgument) starting with `name`: not such a file, or truncated (a table, segment or section ends
  /// past the end of the bytes).
  ElfView(std::string_view bytes, std::string_view name);

  [[nodiscard]] std::uint16_t machine() const noexcept { return machine_; }
  [[nodiscard]] std::uint16_t type() const noexcept { return type_; }
  [[nodiscard]] std::uint64_t entry() const noexcept { return entry_; }
  [[nodiscard]] const std::vector<Segment>& segments() const noexcept { return segments_; }
  /// Empty content if there is no section of that name.
  [[nodiscard]] std::string_view section(std::string_view name) const;
  [[nodiscard]] std::string_view content(const Segment& segment) const;
  [[nodiscard]] bool has_segment(std::uint32_t type) const;

 private:
  std::string_view bytes_;
  std::uint16_t machine_ = 0;
  std::uint16_t type_ = 0;
  std::uint64_t entry_ = 0;
  std::vector<Segment> segments_;
  std::vector<Section> sections_;
};

}  // namespace fireclaw::image
