#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "image/archives/file_tree.hpp"
#include "sys/fd.hpp"

namespace fireclaw::image {

/// A piece of a file with holes.
struct TarPiece {
  /// In the file.
  std::uint64_t at = 0;
  std::uint64_t bytes = 0;
};

/// One member of a tar file, with its pax and GNU headers applied.
struct TarEntry {
  std::string path;
  /// For a hard link: the path of its other name. `node` then has no meaning.
  std::string hard_link;
  bool is_hard_link = false;
  Node node;
  /// The data between a file's holes, in order. These pieces follow each other where the node's Extent begins.
  std::optional<std::vector<TarPiece>> pieces;
};

/// Whether read_tar() accepts members with holes in the format GNU.sparse 1.0. Other formats are always refused.
enum class SparseMembers { Refuse, Read };

/// All members of the plain (uncompressed) tar in `file`, in order; their contents stay in the file as Extents.
/// ustar, pax and GNU formats. Error(InvalidArgument) "not a tar file", Error(Corrupt) if torn, Error(Unsupported)
/// for sparse and multi-volume members, Error(InvalidArgument) if the members would take more than `most_bytes` in
/// memory; `name` is for errors.
std::vector<TarEntry> read_tar(const std::shared_ptr<const sys::Fd>& file, std::string_view name,
                               SparseMembers sparse = SparseMembers::Refuse,
                               std::uint64_t most_bytes = most_described_bytes);

/// The size of the regular file on a disk, in blocks of 4 KiB.
std::uint64_t allocated_bytes(const TarEntry& entry);

/// Writes a regular file's content to `target`, which is empty, with its holes.
void extract_file(const TarEntry& entry, int target, const std::stop_token& stop);

/// Unpacks all entries over the tree. Sockets and unknown types are not in tars.
void add_entries(Tree& tree, std::vector<TarEntry> entries);

/// Modification times in seconds since 1970. Earlier and later ones are written as the nearest of these.
struct TimeRange {
  std::int64_t earliest = std::numeric_limits<std::int64_t>::min();
  std::int64_t latest = std::numeric_limits<std::int64_t>::max();
};

struct TarOptions {
  TimeRange times = {};
  /// For a tar in a guest, busybox's too: GNU's headers for long names and large numbers instead of pax's, which it
  /// does not read, no extended attributes, and folders once more at the end, since it dates them when it fills them.
  bool for_guest = false;
  /// Device nodes, set-id bits and extended attributes (capabilities among them) are left out: root can unpack it
  /// without giving rights away.
  bool harmless = false;
  /// Holes of host files stay holes (GNU.sparse 1.0) instead of zeros.
  bool keep_holes = false;
};

/// Streams everything below the tree's root as a tar: ustar, with pax headers for fields that do not fit. The same tree
/// gives the same bytes. Error(Io) if a host file changed its size meanwhile. `progress` is told of the content bytes
/// written.
void write_tar(const Tree& tree, const Sink& sink, const std::function<void(std::uint64_t done)>& progress = {},
               const TarOptions& options = {});

/// Bytes of content in the tree, each hard-linked file counted once.
std::uint64_t content_bytes(const Tree& tree);

}  // namespace fireclaw::image
