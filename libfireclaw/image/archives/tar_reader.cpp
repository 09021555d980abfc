#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <utility>

#include "base/number.hpp"
#include "fireclaw/error.hpp"
#include "image/archives/tar.hpp"
#include "image/bytes.hpp"

namespace fireclaw::image {

namespace {

constexpr std::uint64_t block_bytes = 512;
/// More than any path, link target or set of extended attributes takes.
constexpr std::uint64_t max_header_data = std::uint64_t{4} << 20;

constexpr std::string_view sparse_key = "GNU.sparse.";
constexpr std::string_view xattr_key = "SCHILY.xattr.";
/// 16 TiB, as much as a file of ext4 can have.
constexpr std::uint64_t most_file_bytes = std::uint64_t{16} << 40;
constexpr std::size_t most_digits = 20;
/// Archives with holes are fireclaw's own: a few large files.
constexpr std::size_t most_members = 1000;
constexpr std::size_t copied_at_once = std::size_t{1} << 20;

using Records = std::map<std::string, std::string>;

class TarReader {
 public:
  TarReader(std::shared_ptr<const sys::Fd> file, std::string_view name, SparseMembers sparse, std::uint64_t most_bytes)
      : file_{std::move(file)}, name_{name}, sparse_{sparse}, left_{most_bytes} {
    struct stat status {};
    sys::check(::fstat(file_->get(), &status), "fstat " + name_);
    size_ = static_cast<std::uint64_t>(status.st_size);
  }

  std::vector<TarEntry> read() {
    std::vector<TarEntry> entries;
    std::array<char, block_bytes> block{};
    bool ended = false;
    while (position_ < size_) {
      read_at(position_, block.data(), block.size());
      const std::string_view header{block.data(), block.size()};
      if (header.find_first_not_of('\0') == std::string_view::npos) {
        ended = true;
        break;
      }
      check_sum(header);
      position_ += block_bytes;
      if (auto entry = member(header)) {
        count(sizeof *entry - sizeof entry->node + entry->path.size() + entry->hard_link.size() +
              described_bytes(entry->node));
        entries.push_back(std::move(*entry));
      }
      if (sparse_ == SparseMembers::Read && entries.size() > most_members) torn("it has too many members");
    }
    // Some writers leave out the two zero blocks, but then end at a member's end.
    if (!ended && (entries.empty() || position_ != size_)) torn("it ends too early");
    return entries;
  }

 private:
  [[noreturn]] void torn(std::string_view why) const {
    throw Error{ErrorCode::Corrupt, fmt::format("tar file '{}' is torn at byte {}: {}", name_, position_, why)};
  }

  void count(std::uint64_t bytes) {
    if (bytes > left_) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("tar file '{}' has more members, or says more of them, than memory is for", name_)};
    }
    left_ -= bytes;
  }

  void read_at(std::uint64_t offset, char* target, std::uint64_t length) const {
    if (!within(offset, length, size_)) torn("it ends too early");
    while (length > 0) {
      const auto count = sys::check(sys::retry([&] {
                                      return ::pread(file_->get(), target, static_cast<std::size_t>(length),
                                                     static_cast<off_t>(offset));
                                    }),
                                    "read " + name_);
      if (count == 0) torn("it ends too early");
      target += count;
      offset += static_cast<std::uint64_t>(count);
      length -= static_cast<std::uint64_t>(count);
    }
  }

  void check_sum(std::string_view header) const {
    // Old writers summed signed characters.
    std::int64_t plain = 0;
    std::int64_t with_sign = 0;
    for (std::size_t i = 0; i < header.size(); ++i) {
      const char c = i >= 148 && i < 156 ? ' ' : header[i];
      plain += static_cast<unsigned char>(c);
      with_sign += static_cast<signed char>(c);
    }
    const auto recorded = number(header.substr(148, 8));
    if (recorded &&
        (static_cast<std::int64_t>(*recorded) == plain || static_cast<std::int64_t>(*recorded) == with_sign)) {
      return;
    }
    if (position_ == 0) throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a tar file", name_)};
    torn("a header's checksum is wrong");
  }

  /// Octal, or GNU's big-endian binary with the top bit set. nullopt if it is neither.
  static std::optional<std::uint64_t> number(std::string_view field) {
    if ((static_cast<unsigned char>(field.front()) & 0x80U) != 0) {
      std::uint64_t value = static_cast<unsigned char>(field.front()) & 0x7fU;
      for (const char c : field.substr(1)) {
        if (value >> 55 != 0) return std::nullopt;
        value = (value << 8) | static_cast<unsigned char>(c);
      }
      return value;
    }
    field = field.substr(0, field.find('\0'));
    while (!field.empty() && field.front() == ' ') field.remove_prefix(1);
    while (!field.empty() && field.back() == ' ') field.remove_suffix(1);
    if (field.empty()) return 0;
    return parse_number<std::uint64_t>(field, 8);
  }

  std::uint64_t field(std::string_view header, std::size_t at, std::size_t width, std::string_view what) const {
    const auto value = number(header.substr(at, width));
    if (!value) torn(fmt::format("a header's {} is not a number", what));
    return *value;
  }

  static std::string text(std::string_view header, std::size_t at, std::size_t width) {
    const std::string_view raw = header.substr(at, width);
    return std::string{raw.substr(0, raw.find('\0'))};
  }

  /// The data of a member that only describes the next one.
  std::string header_data(std::uint64_t size) {
    if (size > max_header_data) torn("an extended header is too long");
    std::string data(static_cast<std::size_t>(size), '\0');
    read_at(position_, data.data(), size);
    skip(size);
    return data;
  }

  void skip(std::uint64_t size) {
    const std::uint64_t padding = (block_bytes - size % block_bytes) % block_bytes;
    if (!within(position_, size, size_) || !within(position_ + size, padding, size_)) torn("it ends too early");
    position_ += size + padding;
  }

  /// What is said for all members is kept with each of them, so nothing is kept that nobody reads.
  static bool matters(std::string_view key) {
    constexpr std::string_view keys[] = {"path", "linkpath", "uid", "gid", "mtime", "size"};
    return key.starts_with(xattr_key) || key.starts_with(sparse_key) || std::ranges::find(keys, key) != std::end(keys);
  }

  Records pax_records(std::string_view data) const {
    Records records;
    while (!data.empty() && data.front() != '\0') {
      std::size_t length = 0;
      const auto [end, error] = std::from_chars(data.data(), data.data() + data.size(), length);
      const auto digits = static_cast<std::size_t>(end - data.data());
      if (error != std::errc{} || length > data.size() || length < digits + 3 || data[digits] != ' ' ||
          data[length - 1] != '\n') {
        torn("a pax header is malformed");
      }
      const std::string_view record = data.substr(digits + 1, length - digits - 2);
      const std::size_t equals = record.find('=');
      if (equals == std::string_view::npos) torn("a pax header is malformed");
      if (matters(record.substr(0, equals))) {
        records[std::string{record.substr(0, equals)}] = std::string{record.substr(equals + 1)};
      }
      data.remove_prefix(length);
    }
    return records;
  }

  template <typename T>
  void take_number(const Records& records, const char* key, T& value) const {
    const auto found = records.find(key);
    if (found == records.end() || found->second.empty()) return;
    // Times may have a fraction; whole seconds are kept.
    const auto parsed = parse_number<T>(found->second.substr(0, found->second.find('.')));
    if (!parsed) torn(fmt::format("pax header '{}' is not a number", key));
    value = *parsed;
  }

  std::uint32_t id(std::uint64_t value) const {
    if (value > std::numeric_limits<std::uint32_t>::max()) torn("an owner is out of range");
    return static_cast<std::uint32_t>(value);
  }

  std::optional<TarEntry> member(std::string_view header) {
    const char flag = header[156];
    std::uint64_t size = field(header, 124, 12, "size");
    switch (flag) {
      case 'L': long_path_ = text(header_data(size), 0, std::string::npos); return std::nullopt;
      case 'K': long_target_ = text(header_data(size), 0, std::string::npos); return std::nullopt;
      case 'x': local_ = pax_records(header_data(size)); return std::nullopt;
      case 'g':
        for (auto& [key, value] : pax_records(header_data(size))) global_[key] = std::move(value);
        return std::nullopt;
      default: break;
    }
    Records records = global_;
    for (auto& [key, value] : std::exchange(local_, {})) records[key] = std::move(value);

    TarEntry entry;
    entry.path = text(header, 0, 100);
    const bool ustar = header.substr(257, 6) == std::string_view{"ustar\0", 6};
    if (const std::string prefix = text(header, 345, 155); ustar && !prefix.empty()) {
      entry.path = prefix + "/" + entry.path;
    }
    std::string target = text(header, 157, 100);
    if (auto path = std::exchange(long_path_, std::nullopt)) entry.path = std::move(*path);
    if (auto path = std::exchange(long_target_, std::nullopt)) target = std::move(*path);
    if (const auto found = records.find("path"); found != records.end()) entry.path = found->second;
    if (const auto found = records.find("linkpath"); found != records.end()) target = found->second;

    Node& node = entry.node;
    node.mode = static_cast<unsigned>(field(header, 100, 8, "mode") & 07777);
    std::uint64_t uid = field(header, 108, 8, "owner");
    std::uint64_t gid = field(header, 116, 8, "group");
    // Times before 1970 in GNU's binary form are not worth keeping.
    node.mtime = static_cast<std::int64_t>(
        std::min<std::uint64_t>(number(header.substr(136, 12)).value_or(0), std::numeric_limits<std::int64_t>::max()));
    take_number(records, "uid", uid);
    take_number(records, "gid", gid);
    take_number(records, "mtime", node.mtime);
    take_number(records, "size", size);
    node.uid = id(uid);
    node.gid = id(gid);
    for (const auto& [key, value] : records) {
      if (key.starts_with(xattr_key)) node.xattrs[key.substr(xattr_key.size())] = value;
      if (key.starts_with(sparse_key) && sparse_ == SparseMembers::Refuse) sparse(entry.path);
    }
    const bool has_holes = records.contains("GNU.sparse.major");
    if (has_holes) take_text(records, "GNU.sparse.name", entry.path);

    const std::uint64_t data = position_;
    switch (flag) {
      case '\0':
      case '0':
      case '7':
        // In the oldest format a folder is a file whose name ends with a slash.
        node.type = !entry.path.empty() && entry.path.back() == '/' ? NodeType::Directory : NodeType::File;
        break;
      case '1':
        entry.is_hard_link = true;
        entry.hard_link = target;
        break;
      case '2':
        node.type = NodeType::Symlink;
        node.target = target;
        break;
      case '3': node.type = NodeType::CharDevice; break;
      case '4': node.type = NodeType::BlockDevice; break;
      case '5': node.type = NodeType::Directory; break;
      case '6': node.type = NodeType::Fifo; break;
      case 'S': sparse(entry.path);
      default:
        throw Error{ErrorCode::Unsupported,
                    fmt::format("tar file '{}' has a member '{}' of unknown type '{}'", name_, entry.path, flag)};
    }
    if (node.type == NodeType::CharDevice || node.type == NodeType::BlockDevice) {
      node.device_major = id(field(header, 329, 8, "device"));
      node.device_minor = id(field(header, 337, 8, "device"));
    }
    if (node.type == NodeType::File && !entry.is_hard_link) {
      node.bytes = size;
      node.content = Extent{file_, data};
      if (has_holes) read_holes(records, entry, size);
    }
    // Links may carry their file's size in the header, but no data follows (pax allows it; nobody writes it).
    const bool has_data = node.type == NodeType::File && !entry.is_hard_link;
    skip(has_data || node.type == NodeType::Directory ? size : 0);
    return entry;
  }

  static void take_text(const Records& records, const char* key, std::string& value) {
    if (const auto found = records.find(key); found != records.end()) value = found->second;
  }

  /// The map at the beginning of a member with holes, which has `stored` bytes here.
  void read_holes(const Records& records, TarEntry& entry, std::uint64_t stored) {
    std::uint64_t major = 0;
    std::uint64_t minor = 0;
    take_number(records, "GNU.sparse.major", major);
    take_number(records, "GNU.sparse.minor", minor);
    if (major != 1 || minor != 0 || !records.contains("GNU.sparse.realsize")) sparse(entry.path);
    std::uint64_t bytes = 0;
    take_number(records, "GNU.sparse.realsize", bytes);
    if (bytes > most_file_bytes) torn("a file is larger than any can be");

    std::uint64_t at = position_;
    const std::uint64_t end = position_ + std::min(stored, size_ - std::min(position_, size_));
    std::string block;
    std::size_t next = block_bytes;
    const auto number = [&] {
      std::string digits;
      for (;;) {
        if (next == block_bytes) {
          if (end - at < block_bytes) torn("a map of holes is malformed");
          block.resize(block_bytes);
          read_at(at, block.data(), block_bytes);
          at += block_bytes;
          next = 0;
        }
        const char c = block[next++];
        if (c == '\n') break;
        digits += c;
        if (digits.size() > most_digits) torn("a map of holes is malformed");
      }
      const auto value = parse_number<std::uint64_t>(digits);
      if (!value) torn("a map of holes is malformed");
      return *value;
    };
    auto& pieces = entry.pieces.emplace();
    std::uint64_t data_bytes = 0;
    std::uint64_t reached = 0;
    for (auto left = number(); left > 0; --left) {
      const auto place = number();
      const auto length = number();
      // GNU tar ends with an empty piece.
      if (place < reached || !within(place, length, bytes) || (length == 0 && left > 1)) {
        torn("a map of holes is malformed");
      }
      count(sizeof(TarPiece));
      pieces.push_back({place, length});
      reached = place + length;
      data_bytes += length;
    }
    if (data_bytes != stored - (at - position_)) torn("a map of holes is malformed");
    entry.node.bytes = bytes;
    entry.node.content = Extent{file_, at};
  }

  [[noreturn]] void sparse(const std::string& path) const {
    throw Error{ErrorCode::Unsupported,
                fmt::format("tar file '{}' stores '{}' as a sparse file; make it without --sparse", name_, path)};
  }

  std::shared_ptr<const sys::Fd> file_;
  std::string name_;
  SparseMembers sparse_;
  std::uint64_t size_ = 0;
  std::uint64_t position_ = 0;
  /// What members may still take in memory.
  std::uint64_t left_;
  std::optional<std::string> long_path_;
  std::optional<std::string> long_target_;
  Records local_;
  Records global_;
};

}  // namespace

std::vector<TarEntry> read_tar(const std::shared_ptr<const sys::Fd>& file, std::string_view name, SparseMembers sparse,
                               std::uint64_t most_bytes) {
  return TarReader{file, name, sparse, most_bytes}.read();
}

std::uint64_t allocated_bytes(const TarEntry& entry) {
  constexpr std::uint64_t disk_block = 4096;
  std::uint64_t blocks = 0;
  std::uint64_t reached = 0;
  const std::vector<TarPiece> whole{{0, entry.node.bytes}};
  for (const auto& piece : entry.pieces ? *entry.pieces : whole) {
    const auto begin = std::max(piece.at / disk_block, reached);
    reached = std::max(reached, (piece.at + piece.bytes + disk_block - 1) / disk_block);
    if (piece.bytes > 0 && reached > begin) blocks += reached - begin;
  }
  return blocks * disk_block;
}

void extract_file(const TarEntry& entry, int target, const std::stop_token& stop) {
  const auto& extent = std::get<Extent>(entry.node.content);
  const std::vector<TarPiece> whole{{0, entry.node.bytes}};
  std::vector<std::byte> buffer(copied_at_once);
  std::uint64_t from = extent.offset;
  for (const auto& piece : entry.pieces ? *entry.pieces : whole) {
    for (std::uint64_t done = 0; done < piece.bytes;) {
      if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, fmt::format("reading '{}' was stopped", entry.path)};
      const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(piece.bytes - done, buffer.size()));
      const auto got = sys::check(
          sys::retry([&] { return ::pread(extent.file->get(), buffer.data(), wanted, static_cast<off_t>(from)); }),
          "read " + entry.path);
      if (got == 0) throw Error{ErrorCode::Corrupt, fmt::format("'{}' ends too early", entry.path)};
      sys::check(::lseek(target, static_cast<off_t>(piece.at + done), SEEK_SET), "write " + entry.path);
      sys::write_all(target, std::span{buffer}.first(static_cast<std::size_t>(got)));
      done += static_cast<std::uint64_t>(got);
      from += static_cast<std::uint64_t>(got);
    }
  }
  sys::check(::ftruncate(target, static_cast<off_t>(entry.node.bytes)), "write " + entry.path);
}

void add_entries(Tree& tree, std::vector<TarEntry> entries) {
  for (TarEntry& entry : entries) {
    if (entry.is_hard_link) {
      tree.link(entry.path, entry.hard_link);
    } else {
      tree.add(entry.path, std::move(entry.node));
    }
  }
}

}  // namespace fireclaw::image
