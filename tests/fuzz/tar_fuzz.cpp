// Whatever a tar file holds, reading it ends with members or with an Error; whatever could be unpacked into a tree can
// be written as a tar, which unpacks to the same tree. Members with holes are unpacked as an import does.
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "fuzz/require.hpp"
#include "image/archives/file_tree.hpp"
#include "image/archives/tar.hpp"
#include "image/roots/oci.hpp"

namespace {

using fireclaw::fuzz::require;
using namespace fireclaw::image;

constexpr std::uint64_t most_extracted = 1U << 20;

std::shared_ptr<const fireclaw::sys::Fd> in_memory(std::string_view bytes) {
  auto file = std::make_shared<fireclaw::sys::Fd>(fireclaw::sys::make_memfd("fuzz", 0));
  fireclaw::sys::write_all(file->get(), bytes);
  return file;
}

std::optional<Tree> unpack(std::string_view bytes) {
  try {
    Tree tree;
    apply_layer(tree, read_tar(in_memory(bytes), "input"));
    return tree;
  } catch (const fireclaw::Error& error) {
    using fireclaw::ErrorCode;
    require(error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::InvalidArgument ||
                error.code() == ErrorCode::Unsupported,
            "a refusal says that it is the file's fault");
    return std::nullopt;
  }
}

void extract(std::string_view bytes) {
  try {
    for (const auto& entry : read_tar(in_memory(bytes), "input", SparseMembers::Read)) {
      if (entry.is_hard_link || entry.node.type != NodeType::File || entry.node.bytes > most_extracted) continue;
      const auto target = fireclaw::sys::make_memfd("fuzz", 0);
      extract_file(entry, target.get(), {});
      struct stat status {};
      require(::fstat(target.get(), &status) == 0 && static_cast<std::uint64_t>(status.st_size) == entry.node.bytes,
              "a file is as long as its header says");
    }
  } catch (const fireclaw::Error& error) {
    using fireclaw::ErrorCode;
    require(error.code() == ErrorCode::Corrupt || error.code() == ErrorCode::InvalidArgument ||
                error.code() == ErrorCode::Unsupported,
            "a refusal says that it is the file's fault");
  }
}

std::string pack(const Tree& tree) {
  std::string bytes;
  write_tar(tree, [&](std::string_view piece) { bytes += piece; });
  return bytes;
}

void check_path(const std::string& path) {
  require(!path.starts_with('/') && !path.ends_with('/'), "a path in a tree is relative and has no slash at its end");
  const std::string framed = "/" + path + "/";
  require(framed.find("/../") == std::string::npos && framed.find("/./") == std::string::npos,
          "a path in a tree is normal");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  extract(bytes);
  const auto tree = unpack(bytes);
  if (!tree) return 0;
  for (const auto& [path, node] : tree->nodes()) {
    check_path(path);
    require(node != nullptr, "every path has a node");
  }
  const std::string packed = pack(*tree);
  Tree again;
  add_entries(again, read_tar(in_memory(packed), "again"));
  require(again.nodes().size() == tree->nodes().size(), "what was packed unpacks to as many files");
  require(pack(again) == packed, "what was unpacked packs to the same bytes");
  return 0;
}
