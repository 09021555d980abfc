#include "image/kernel/modules.hpp"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/kernel/elf.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr std::array<std::string_view, 4> suffixes{".ko", ".ko.xz", ".ko.zst", ".ko.gz"};
constexpr std::size_t max_module_bytes = std::size_t{256} << 20;

/// "virtio-rng" of "virtio-rng.ko.xz"; nullopt if that is not a module's name.
std::optional<std::string> stem_of(std::string_view file) {
  for (const std::string_view suffix : suffixes) {
    if (file.size() > suffix.size() && file.substr(file.size() - suffix.size()) == suffix) {
      return std::string{file.substr(0, file.size() - suffix.size())};
    }
  }
  return std::nullopt;
}

void split_into(std::vector<std::string>& words, std::string_view text, std::string_view separators) {
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(separators);
    const std::string_view word = text.substr(0, end);
    if (!word.empty()) words.push_back(module_name(word));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

}  // namespace

std::string module_name(std::string_view name) {
  std::string result{name};
  std::replace(result.begin(), result.end(), '-', '_');
  return result;
}

ModuleInfo read_module_info(std::string_view bytes, std::string_view name) {
  std::string_view text;
  try {
    text = ElfView{bytes, name}.section(".modinfo");
  } catch (const Error& error) {
    throw Error{ErrorCode::Corrupt, fmt::format("broken kernel module: {}", error.message())};
  }
  if (text.empty()) throw Error{ErrorCode::Corrupt, fmt::format("'{}' is not a kernel module", name)};
  ModuleInfo info;
  constexpr std::string_view depends = "depends=";
  constexpr std::string_view soft = "softdep=";
  while (!text.empty()) {
    const std::size_t end = text.find('\0');
    const std::string_view entry = text.substr(0, end);
    if (entry.substr(0, depends.size()) == depends) {
      split_into(info.depends, entry.substr(depends.size()), ",");
    } else if (entry.substr(0, soft.size()) == soft) {
      // "pre: a b post: c"
      std::string_view rest = entry.substr(soft.size());
      const std::size_t pre = rest.find("pre:");
      if (pre != std::string_view::npos) {
        rest.remove_prefix(pre + 4);
        split_into(info.before, rest.substr(0, rest.find("post:")), " ");
      }
    }
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return info;
}

void strip_signature(std::string& bytes) {
  // module, signer, key id, signature, a trailer that tells their lengths, and this text
  // (include/linux/module_signature.h)
  constexpr std::string_view mark = "~Module signature appended~\n";
  constexpr std::size_t trailer_bytes = 12;
  constexpr std::size_t tail = trailer_bytes + mark.size();
  if (bytes.size() < tail || bytes.compare(bytes.size() - mark.size(), mark.size(), mark) != 0) return;
  const auto at = [&](std::size_t i) {
    return std::uint64_t{static_cast<unsigned char>(bytes[bytes.size() - tail + i])};
  };
  const std::uint64_t signer_bytes = at(3);
  const std::uint64_t key_id_bytes = at(4);
  const std::uint64_t signature_bytes = (at(8) << 24) | (at(9) << 16) | (at(10) << 8) | at(11);
  const std::uint64_t all = tail + signer_bytes + key_id_bytes + signature_bytes;
  if (all < bytes.size()) bytes.erase(bytes.size() - static_cast<std::size_t>(all));
}

ModuleTree::ModuleTree(std::filesystem::path directory, Tools tools)
    : directory_{std::move(directory)}, tools_{std::move(tools)} {
  namespace fs = std::filesystem;
  if (!fs::is_directory(directory_)) {
    throw Error{ErrorCode::NotFound, fmt::format("no folder of kernel modules at '{}'", directory_.string())};
  }
  // No following of links: "build" and "source" lead out of the tree.
  for (auto it = fs::recursive_directory_iterator{directory_}; it != fs::recursive_directory_iterator{}; ++it) {
    if (!it->is_regular_file()) continue;
    if (const auto stem = stem_of(it->path().filename().string())) {
      files_.emplace(module_name(*stem), it->path());
    }
  }
  const fs::path builtin = directory_ / "modules.builtin";
  if (fs::exists(builtin)) {
    const std::string text = sys::read_file(builtin);
    std::string_view rest = text;
    while (!rest.empty()) {
      const std::size_t end = rest.find('\n');
      const std::string_view line = rest.substr(0, end);
      if (const auto stem = stem_of(fs::path{line}.filename().string())) builtin_.insert(module_name(*stem));
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
  }
  if (files_.empty() && builtin_.empty()) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("no kernel modules in '{}'; a folder as /lib/modules/<release> is needed", directory_.string())};
  }
}

std::string ModuleTree::read(const std::filesystem::path& file) const {
  const Compression compression = sniff_compression(file);
  if (compression == Compression::None) return sys::read_file(file, max_module_bytes);
  const sys::Fd input = sys::open_file(file, O_RDONLY);
  const sys::Fd output = sys::make_memfd("fireclaw-module", 0);
  UnpackLimit limit{tools_.temp, max_module_bytes};
  decompress(compression, input.get(), output.get(), file.string(), limit, tools_);
  return sys::read_file(fmt::format("/proc/self/fd/{}", output.get()), max_module_bytes);
}

void ModuleTree::visit(const std::string& name, std::map<std::string, Mark>& marks,
                       std::vector<LoadedModule>& order) const {
  const auto [mark, fresh] = marks.try_emplace(name, Mark::Open);
  if (!fresh) {
    if (mark->second == Mark::Done) return;
    throw Error{ErrorCode::Corrupt,
                fmt::format("kernel module '{}' in '{}' depends on itself", name, directory_.string())};
  }
  const std::filesystem::path& file = files_.at(name);
  LoadedModule module;
  module.name = name;
  module.path = (file.parent_path() / (*stem_of(file.filename().string()) + ".ko"))
                    .lexically_relative(directory_)
                    .generic_string();
  module.bytes = read(file);
  const ModuleInfo info = read_module_info(module.bytes, file.string());
  for (const std::string& other : info.before) {
    // A soft dependency may name an algorithm ("crc32c"), whose plain implementation is a module "crc32c_generic".
    if (has_file(other)) {
      visit(other, marks, order);
    } else if (has_file(other + "_generic")) {
      visit(other + "_generic", marks, order);
    }
  }
  for (const std::string& other : info.depends) {
    if (has_file(other)) {
      visit(other, marks, order);
    } else if (!is_builtin(other)) {
      throw Error{ErrorCode::Corrupt, fmt::format("kernel module '{}' needs '{}', which '{}' does not have", name,
                                                  other, directory_.string())};
    }
  }
  order.push_back(std::move(module));
  marks[name] = Mark::Done;
}

std::vector<LoadedModule> ModuleTree::resolve(const std::vector<std::string>& wanted) const {
  std::map<std::string, Mark> marks;
  std::vector<LoadedModule> order;
  for (const std::string& name : wanted) {
    if (has_file(name)) visit(module_name(name), marks, order);
  }
  return order;
}

}  // namespace fireclaw::image
