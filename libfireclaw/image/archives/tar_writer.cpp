#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "fireclaw/error.hpp"
#include "image/archives/tar.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr std::size_t block_bytes = 512;
constexpr std::size_t name_bytes = 100;

struct Header {
  std::array<char, block_bytes> block{};

  void text(std::size_t at, std::size_t width, std::string_view value) {
    std::copy_n(value.data(), std::min(width, value.size()), block.data() + at);
  }
  /// Octal digits and a NUL; false if it does not fit (the field is then 0).
  bool number(std::size_t at, std::size_t width, std::uint64_t value) {
    const std::string digits = fmt::format("{:0{}o}", value, width - 1);
    const bool fits = digits.size() == width - 1;
    text(at, width - 1, fits ? digits : std::string(width - 1, '0'));
    return fits;
  }
  /// As GNU writes what octal digits cannot hold: big-endian, the first bit set.
  void binary(std::size_t at, std::size_t width, std::int64_t value) {
    for (std::size_t i = width; i-- > 0; value >>= 8) block.at(at + i) = static_cast<char>(value);
    block.at(at) = static_cast<char>(static_cast<unsigned char>(block.at(at)) | 0x80U);
  }
  void seal(bool gnu = false) {
    text(257, 8, gnu ? std::string_view{"ustar  \0", 8} : std::string_view{"ustar\00000", 8});
    text(148, 8, "        ");
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    text(148, 8, fmt::format("{:06o}", sum));
    block[154] = '\0';
    block[155] = ' ';
  }
  [[nodiscard]] std::string_view bytes() const { return {block.data(), block.size()}; }
};

/// "<length> <key>=<value>\n", where length counts its own digits.
std::string pax_record(std::string_view key, std::string_view value) {
  const std::size_t rest = key.size() + value.size() + 3;  // ' ', '=', '\n'
  std::size_t length = rest + fmt::formatted_size("{}", rest);
  if (rest + fmt::formatted_size("{}", length) != length) ++length;
  return fmt::format("{} {}={}\n", length, key, value);
}

char type_flag(NodeType type) {
  switch (type) {
    case NodeType::File: return '0';
    case NodeType::Symlink: return '2';
    case NodeType::CharDevice: return '3';
    case NodeType::BlockDevice: return '4';
    case NodeType::Directory: return '5';
    case NodeType::Fifo: return '6';
  }
  throw Error{ErrorCode::Internal, "unknown node type"};
}

constexpr std::size_t most_pieces = std::size_t{8} << 20;

/// What of a file is not a hole, as GNU.sparse 1.0 puts it before the data: how many pieces, then place and length of
struct HoleMap {
  std::vector<TarPiece> pieces;
  std::string text;
  std::uint64_t data_bytes = 0;

  HoleMap(int file, std::uint64_t bytes, const std::string& name) {
    std::uint64_t at = 0;
    while (at < bytes) {
      const auto data = sys::retry([&] { return ::lseek(file, static_cast<off_t>(at), SEEK_DATA); });
      if (data < 0 && errno == ENXIO) break;
      sys::check(data, "read " + name);
      const auto hole = sys::check(sys::retry([&] { return ::lseek(file, data, SEEK_HOLE); }), "read " + name);
      // Readers have a limit. What is beyond it is stored with its holes.
      const auto end = pieces.size() < most_pieces ? std::min(static_cast<std::uint64_t>(hole), bytes) : bytes;
      at = static_cast<std::uint64_t>(data);
      if (at >= end) break;
      pieces.push_back({at, end - at});
      data_bytes += end - at;
      at = end;
    }
    // GNU tar takes the end of the last piece for the end of the file.
    if (pieces.empty() || pieces.back().at + pieces.back().bytes != bytes) pieces.push_back({bytes, 0});
    text = fmt::format("{}\n", pieces.size());
    for (const auto& piece : pieces) text += fmt::format("{}\n{}\n", piece.at, piece.bytes);
    text.resize((text.size() + block_bytes - 1) / block_bytes * block_bytes, '\0');
  }
  [[nodiscard]] std::uint64_t stored_bytes() const { return text.size() + data_bytes; }
};

class TarWriter {
 public:
  TarWriter(const Sink& sink, const std::function<void(std::uint64_t)>& progress, const TarOptions& options)
      : sink_{sink}, progress_{progress}, options_{options} {}

  void add(const std::string& path, const std::shared_ptr<const Node>& node) {
    const bool is_device = node->type == NodeType::CharDevice || node->type == NodeType::BlockDevice;
    if (is_device && options_.harmless) return;
    const auto [first, fresh] = first_names_.try_emplace(node.get(), path);
    const bool is_link = !fresh && node->type != NodeType::Directory;
    if (!is_link && node->type == NodeType::File) {
      const auto* host = std::get_if<HostFile>(&node->content);
      if (host != nullptr && options_.keep_holes) return add_sparse(path, *node, *host);
    }
    header(path, *node, is_link ? std::optional{first->second} : std::nullopt);
    if (!is_link && node->type == NodeType::File) content(path, *node);
  }

  /// A folder that was added before, with all that is in it added since.
  void date(const std::string& path, const Node& folder) { header(path, folder, std::nullopt); }

  void finish() {
    const std::string end(2 * block_bytes, '\0');
    sink_(end);
  }

 private:
  void add_sparse(const std::string& path, const Node& node, const HostFile& host) {
    const auto name = host.path.string();
    const sys::Fd file = sys::open_file(host.path, O_RDONLY | O_NOFOLLOW);
    const HoleMap map{file.get(), node.bytes, name};
    const std::string extended = pax_record("GNU.sparse.major", "1") + pax_record("GNU.sparse.minor", "0") +
                                 pax_record("GNU.sparse.name", path) +
                                 pax_record("GNU.sparse.realsize", std::to_string(node.bytes));
    Node stored = node;
    stored.bytes = map.stored_bytes();
    header("GNUSparseFile.0/" + path, stored, std::nullopt, extended);
    sink_(map.text);
    for (const auto& piece : map.pieces) copy(file.get(), piece.at, piece.bytes, name);
    pad(stored.bytes);
  }

  [[nodiscard]] unsigned mode_of(const Node& node) const {
    if (!options_.harmless) return node.mode & 07777U;
    return node.mode & (node.type == NodeType::Directory ? 01777U : 0777U);
  }
  [[nodiscard]] std::int64_t time_of(const Node& node) const {
    return std::clamp(node.mtime, options_.times.earliest, options_.times.latest);
  }

  /// A member of GNU's that holds a name too long for the header behind it.
  void long_name(char kind, const std::string& name) {
    Header header;
    header.text(0, name_bytes, "././@LongLink");
    for (const std::size_t at : {100, 108, 116}) header.number(at, 8, 0);
    header.number(124, 12, name.size() + 1);
    header.number(136, 12, 0);
    header.block[156] = kind;
    header.seal(true);
    sink_(header.bytes());
    const std::string content = name + '\0';
    sink_(content);
    pad(content.size());
  }

  void gnu_header(const std::string& name, const std::string& target, std::uint64_t size, const Node& node,
                  bool hard_link) {
    if (target.size() > name_bytes) long_name('K', target);
    if (name.size() > name_bytes) long_name('L', name);
    Header header;
    header.text(0, name_bytes, name);
    header.number(100, 8, mode_of(node));
    if (!header.number(108, 8, node.uid)) header.binary(108, 8, node.uid);
    if (!header.number(116, 8, node.gid)) header.binary(116, 8, node.gid);
    if (!header.number(124, 12, size)) header.binary(124, 12, static_cast<std::int64_t>(size));
    const auto mtime = time_of(node);
    if (mtime < 0 || !header.number(136, 12, static_cast<std::uint64_t>(mtime))) header.binary(136, 12, mtime);
    header.block[156] = hard_link ? '1' : type_flag(node.type);
    header.text(157, name_bytes, target);
    header.number(329, 8, node.device_major);
    header.number(337, 8, node.device_minor);
    header.seal(true);
    sink_(header.bytes());
  }

  void header(const std::string& path, const Node& node, const std::optional<std::string>& hard_link,
              std::string pax = {}) {
    const std::string name = node.type == NodeType::Directory ? path + "/" : path;
    const std::string target = hard_link ? *hard_link : node.target;
    const std::uint64_t size = node.type == NodeType::File && !hard_link ? node.bytes : 0;

    if (options_.for_guest) return gnu_header(name, target, size, node, hard_link.has_value());
    Header header;
    if (name.size() > name_bytes) pax += pax_record("path", name);
    if (target.size() > name_bytes) pax += pax_record("linkpath", target);
    header.text(0, name_bytes, name);
    header.number(100, 8, mode_of(node));
    if (!header.number(108, 8, node.uid)) pax += pax_record("uid", std::to_string(node.uid));
    if (!header.number(116, 8, node.gid)) pax += pax_record("gid", std::to_string(node.gid));
    if (!header.number(124, 12, size)) pax += pax_record("size", std::to_string(size));
    const auto mtime = time_of(node);
    if (mtime < 0 || !header.number(136, 12, static_cast<std::uint64_t>(mtime))) {
      header.number(136, 12, 0);
      pax += pax_record("mtime", std::to_string(mtime));
    }
    header.block[156] = hard_link ? '1' : type_flag(node.type);
    header.text(157, name_bytes, target);
    header.number(329, 8, node.device_major);
    header.number(337, 8, node.device_minor);
    if (!hard_link && !options_.harmless) {
      for (const auto& [key, value] : node.xattrs) pax += pax_record("SCHILY.xattr." + key, value);
    }
    if (!pax.empty()) {
      Header extended;
      extended.text(0, name_bytes, "././@PaxHeader");
      extended.number(100, 8, 0644);
      extended.number(108, 8, 0);
      extended.number(116, 8, 0);
      extended.number(124, 12, pax.size());
      extended.number(136, 12, 0);
      extended.block[156] = 'x';
      extended.seal();
      sink_(extended.bytes());
      sink_(pax);
      pad(pax.size());
    }
    header.seal();
    sink_(header.bytes());
  }

  void content(const std::string& path, const Node& node) {
    if (const auto* text = std::get_if<std::string>(&node.content)) {
      sink_(*text);
      written(text->size());
    } else if (const auto* host = std::get_if<HostFile>(&node.content)) {
      const sys::Fd file = sys::open_file(host->path, O_RDONLY | O_NOFOLLOW);
      copy(file.get(), 0, node.bytes, host->path.string());
      std::byte more{};
      if (::pread(file.get(), &more, 1, static_cast<off_t>(node.bytes)) > 0) changed(host->path.string());
    } else {
      const auto& extent = std::get<Extent>(node.content);
      copy(extent.file->get(), extent.offset, node.bytes, path);
    }
    pad(node.bytes);
  }

  void copy(int file, std::uint64_t offset, std::uint64_t length, const std::string& name) {
    while (length > 0) {
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(length, buffer_.size()));
      const auto count =
          sys::check(sys::retry([&] { return ::pread(file, buffer_.data(), wanted, static_cast<off_t>(offset)); }),
                     "read " + name);
      if (count == 0) changed(name);
      sink_({buffer_.data(), static_cast<std::size_t>(count)});
      offset += static_cast<std::uint64_t>(count);
      length -= static_cast<std::uint64_t>(count);
      written(static_cast<std::uint64_t>(count));
    }
  }

  [[noreturn]] static void changed(const std::string& name) {
    throw Error{ErrorCode::Io, fmt::format("'{}' changed while it was read; try again when nobody writes to it", name)};
  }
  void pad(std::uint64_t length) {
    static constexpr std::array<char, block_bytes> zeros{};
    const std::size_t rest = static_cast<std::size_t>(length % block_bytes);
    if (rest != 0) sink_({zeros.data(), block_bytes - rest});
  }
  void written(std::uint64_t bytes) {
    done_ += bytes;
    if (progress_) progress_(done_);
  }

  const Sink& sink_;
  const std::function<void(std::uint64_t)>& progress_;
  const TarOptions options_;
  std::unordered_map<const Node*, std::string> first_names_;
  std::string buffer_ = std::string(std::size_t{256} << 10, '\0');
  std::uint64_t done_ = 0;
};

}  // namespace

void write_tar(const Tree& tree, const Sink& sink, const std::function<void(std::uint64_t done)>& progress,
               const TarOptions& options) {
  TarWriter writer{sink, progress, options};
  for (const auto& [path, node] : tree.nodes()) {
    if (!path.empty()) writer.add(path, node);
  }
  if (options.for_guest) {
    // What a folder holds comes before it here, folders in it as well.
    for (auto it = tree.nodes().rbegin(); it != tree.nodes().rend(); ++it) {
      if (!it->first.empty() && it->second->type == NodeType::Directory) writer.date(it->first, *it->second);
    }
  }
  writer.finish();
}

std::uint64_t content_bytes(const Tree& tree) {
  std::unordered_set<const Node*> seen;
  std::uint64_t total = 0;
  for (const auto& [path, node] : tree.nodes()) {
    if (node->type == NodeType::File && seen.insert(node.get()).second) total += node->bytes;
  }
  return total;
}

}  // namespace fireclaw::image
