#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>

#include <array>
#include <cstring>
#include <span>

#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::sys {
namespace {

using Kind = SandboxEntry::Kind;

/// What it takes to run a file.
enum class Needs { Nothing, Loader, Interpreter };

bool names_loader(std::span<const std::byte> head) {
  Elf64_Ehdr header{};
  if (head.size() < sizeof header) return true;
  std::memcpy(&header, head.data(), sizeof header);
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    const auto at = header.e_phoff + std::size_t{i} * header.e_phentsize;
    Elf64_Phdr segment{};
    // Its table lies right behind the header in every program that a linker has made.
    if (at + sizeof segment > head.size()) return true;
    std::memcpy(&segment, head.data() + at, sizeof segment);
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

Needs needs_of(const std::filesystem::path& program) {
  const Fd file = open_file(program, O_RDONLY);
  std::array<std::byte, 4096> head{};
  const auto got = read_some(file.get(), head);
  const std::span<const std::byte> seen{head.data(), static_cast<std::size_t>(got < 0 ? 0 : got)};
  if (seen.size() >= 2 && std::memcmp(seen.data(), "#!", 2) == 0) return Needs::Interpreter;
  if (seen.size() < EI_NIDENT || std::memcmp(seen.data(), ELFMAG, SELFMAG) != 0) return Needs::Loader;
  return names_loader(seen) ? Needs::Loader : Needs::Nothing;
}

/// A folder of the system's: on most systems some of them are links to others.
void add_folder(std::vector<SandboxEntry>& entries, const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  if (error || !std::filesystem::exists(status)) return;
  entries.push_back({std::filesystem::is_symlink(status) ? Kind::Link : Kind::ReadOnly, path});
}

}  // namespace

std::vector<SandboxEntry> program_entries(const std::filesystem::path& program) {
  const auto needs = needs_of(program);
  std::vector<SandboxEntry> entries;
  if (needs != Needs::Nothing) {
    for (const auto* folder : {"/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib"}) {
      add_folder(entries, folder);
    }
    entries.push_back({Kind::ReadOnly, "/etc/ld.so.cache", true});
  }
  if (needs == Needs::Interpreter) {
    for (const auto* folder : {"/bin", "/usr/bin"}) add_folder(entries, folder);
  }
  entries.push_back({Kind::ReadOnly, program});
  return entries;
}

}  // namespace fireclaw::sys
