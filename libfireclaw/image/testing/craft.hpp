#pragma once

#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "fireclaw/error.hpp"
#include "image/tools.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/testing/outcome.hpp"

namespace fireclaw::image::testing {

/// A 64-bit little-endian ELF file with one loadable segment that holds the sections' contents.
struct Elf {
  std::uint16_t type = 2;
  std::uint16_t machine = 62;
  bool interpreter = false;
  std::vector<std::pair<std::string, std::string>> sections;

  [[nodiscard]] std::string bytes() const;
};

/// A kernel module whose .modinfo holds these entries ("depends=a,b").
std::string make_module(const std::vector<std::string>& entries);
/// An unpacked kernel of that release with these names in its read-only data.
std::string make_vmlinux(std::string_view release, const std::vector<std::string>& names);
/// A bzImage of that release around `payload`, as the kernel's build lays it out.
std::string make_bzimage(std::string_view release, std::string_view payload);

/// Replaces the number at `offset`, little-endian.
template <typename T>
void poke(std::string& bytes, std::size_t offset, T value) {
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes.at(offset + i) = static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
  }
}

/// Debian's own folders of programs, with `temp` for what the programs write.
Tools make_tools(const std::filesystem::path& temp);
/// What a program says of `input`, fed through its standard input.
std::string filter(std::vector<std::string> argv, std::string_view input, const Tools& tools);
/// A file in memory with that content, read from its start.
std::shared_ptr<const sys::Fd> memory_file(std::string_view content);
/// Writes a file with its parents.
void put(const std::filesystem::path& path, std::string_view content);
using sys::testing::error_of;
using sys::testing::temp_dir;
/// Ends the test program as skipped, saying why.
[[noreturn]] void skip(std::string_view why);

}  // namespace fireclaw::image::testing
