#include "image/disks/ext4_files.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/debugfs.hpp"
#include "image/disks/e2fsprogs.hpp"
#include "image/disks/ext4.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr std::uint32_t root_inode = 2;
/// debugfs is asked about so many inodes at a time, which bounds what it says at once.
constexpr std::size_t batch = 2000;
/// Up to here a symbolic link's target is in the inode itself.
constexpr std::uint64_t longest_fast_link = 59;
/// Longer ones no kernel would take; a hostile file system could nest folders until no memory is left.
constexpr std::size_t longest_path = 4096;

/// A directory's entry, with what is known of the inode from there.
struct Found {
  std::string name;
  std::uint32_t inode = 0;
  unsigned mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t bytes = 0;
};

/// Reads through debugfs's output. Whatever was expected and is not there means that the image is not what it seems.
class Answers {
 public:
  Answers(std::string text, const std::filesystem::path& image) : text_{std::move(text)}, image_{image} {}

  void expect(std::string_view literal) {
    if (!accept(literal)) fail();
  }
  bool accept(std::string_view literal) {
    if (std::string_view{text_}.substr(at_).starts_with(literal)) {
      at_ += literal.size();
      return true;
    }
    return false;
  }
  /// Up to `end`, which is passed over.
  std::string_view until(std::string_view end) {
    const std::size_t found = text_.find(end, at_);
    if (found == std::string::npos) fail();
    const std::string_view passed = std::string_view{text_}.substr(at_, found - at_);
    at_ = found + end.size();
    return passed;
  }
  std::string_view take(std::size_t length) {
    if (text_.size() - at_ < length) fail();
    at_ += length;
    return std::string_view{text_}.substr(at_ - length, length);
  }
  template <typename T>
  T number(std::string_view digits, int base = 10) const {
    T value{};
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), value, base);
    if (digits.empty() || read.ec != std::errc{} || read.ptr != digits.data() + digits.size()) fail();
    return value;
  }
  [[noreturn]] void fail() const {
    throw Error{ErrorCode::Corrupt,
                fmt::format("'{}' cannot be read: debugfs's answers make no sense at byte {}", image_.string(), at_)};
  }

 private:
  std::string text_;
  const std::filesystem::path& image_;
  std::size_t at_ = 0;
};

std::string list_command(std::uint32_t inode) { return fmt::format("ls -p <{}>", inode); }
std::string stat_command(std::uint32_t inode) { return fmt::format("stat <{}>", inode); }

/// Lines of "/inode/mode/uid/gid/name/size/" and an empty one. A name may hold anything but '/', so the slashes count,
/// not the lines.
std::vector<Found> read_listing(Answers& answers) {
  std::vector<Found> found;
  while (!answers.accept("\n")) {
    Found entry;
    answers.expect("/");
    entry.inode = answers.number<std::uint32_t>(answers.until("/"));
    entry.mode = answers.number<unsigned>(answers.until("/"), 8);
    // Printed as signed numbers of 32 bits.
    entry.uid = static_cast<std::uint32_t>(answers.number<std::int64_t>(answers.until("/")));
    entry.gid = static_cast<std::uint32_t>(answers.number<std::int64_t>(answers.until("/")));
    entry.name = answers.until("/");
    const std::string_view bytes = answers.until("/");
    entry.bytes = bytes.empty() ? 0 : answers.number<std::uint64_t>(bytes);
    answers.expect("\n");
    if (entry.name.empty()) answers.fail();
    if (entry.inode != 0 && entry.name != "." && entry.name != "..") found.push_back(std::move(entry));
  }
  return found;
}

/// What only the inode tells.
struct Details {
  std::int64_t mtime = 0;
  unsigned major = 0;
  unsigned minor = 0;
  /// Of a symbolic link whose target is in the inode.
  std::optional<std::string> target;
};

Details read_details(Answers& answers, unsigned mode, std::uint64_t bytes) {
  Details details;
  answers.expect("Inode: ");
  answers.until("\n mtime: 0x");
  const auto low = answers.number<std::uint32_t>(answers.until(":"), 16);
  const auto extra = answers.number<std::uint32_t>(answers.until(" "), 16);
  details.mtime = std::int64_t{static_cast<std::int32_t>(low)} + (std::int64_t{extra & 3} << 32);
  if (S_ISCHR(mode) || S_ISBLK(mode)) {
    answers.until("\nDevice major/minor number: ");
    details.major = answers.number<unsigned>(answers.until(":"));
    details.minor = answers.number<unsigned>(answers.until(" "));
  } else if (S_ISLNK(mode) && bytes <= longest_fast_link) {
    answers.until("\nFast link dest: \"");
    details.target = answers.take(static_cast<std::size_t>(bytes));
    answers.expect("\"");
  }
  return details;
}

std::optional<NodeType> type_of(unsigned mode) {
  switch (mode & S_IFMT) {
    case S_IFREG: return NodeType::File;
    case S_IFDIR: return NodeType::Directory;
    case S_IFLNK: return NodeType::Symlink;
    case S_IFCHR: return NodeType::CharDevice;
    case S_IFBLK: return NodeType::BlockDevice;
    case S_IFIFO: return NodeType::Fifo;
    default: return std::nullopt;
  }
}

/// Walks an image level by level, and asks for the details of all that it found.
class Walk {
 public:
  Walk(const std::filesystem::path& image, const std::filesystem::path& scratch, const Tools& tools)
      : image_{image}, scratch_{scratch}, tools_{tools}, debugfs_{image, scratch, tools} {}

  /// What run() left out.
  [[nodiscard]] std::vector<std::string> sockets() && { return std::move(sockets_); }

  Tree run() {
    std::vector<std::pair<std::uint32_t, std::string>> level{{root_inode, ""}};
    std::set<std::uint32_t> folders{root_inode};
    while (!level.empty()) {
      std::vector<std::pair<std::uint32_t, std::string>> next;
      for (std::size_t from = 0; from < level.size(); from += batch) {
        tools_.check_stop();
        const std::size_t to = std::min(level.size(), from + batch);
        std::vector<std::string> commands;
        for (std::size_t i = from; i < to; ++i) commands.push_back(list_command(level[i].first));
        Answers answers{debugfs_.read(commands), image_};
        for (std::size_t i = from; i < to; ++i) {
          answers.expect("debugfs: " + list_command(level[i].first) + "\n");
          for (Found& found : read_listing(answers)) {
            std::string path = level[i].second.empty() ? found.name : level[i].second + "/" + found.name;
            if (path == "lost+found" && S_ISDIR(found.mode)) continue;
            if (path.size() > longest_path) {
              throw Error{ErrorCode::Unsupported,
                          fmt::format("'{}' holds a path of more than {} bytes", image_.string(), longest_path)};
            }
            if (S_ISDIR(found.mode)) {
              if (!folders.insert(found.inode).second) answers.fail();
              next.emplace_back(found.inode, path);
            }
            if (type_of(found.mode)) {
              found_.emplace(std::move(path), std::move(found));
            } else {
              sockets_.push_back(std::move(path));
            }
          }
        }
      }
      level = std::move(next);
    }
    read_all_details();
    return make_tree();
  }

 private:
  void read_all_details() {
    std::map<std::uint32_t, const Found*> inodes;
    for (const auto& [path, found] : found_) inodes.emplace(found.inode, &found);
    std::vector<const Found*> todo;
    for (const auto& [inode, found] : inodes) todo.push_back(found);
    for (std::size_t from = 0; from < todo.size(); from += batch) {
      tools_.check_stop();
      const std::size_t to = std::min(todo.size(), from + batch);
      std::vector<std::string> commands;
      for (std::size_t i = from; i < to; ++i) commands.push_back(stat_command(todo[i]->inode));
      Answers answers{debugfs_.read(commands), image_};
      for (std::size_t i = from; i < to; ++i) {
        // What comes before is the rest of the answer about the inode before.
        answers.until("debugfs: " + stat_command(todo[i]->inode) + "\n");
        details_[todo[i]->inode] = read_details(answers, todo[i]->mode, todo[i]->bytes);
      }
    }
    read_long_links(todo);
  }

  void read_long_links(const std::vector<const Found*>& all) {
    std::vector<std::string> commands;
    std::vector<const Found*> links;
    for (const Found* found : all) {
      if (!S_ISLNK(found->mode) || found->bytes <= longest_fast_link) continue;
      if (found->bytes > longest_path) {
        throw Error{ErrorCode::Corrupt, fmt::format("'{}' is damaged: symbolic link '{}' has {} bytes", image_.string(),
                                                    one_line(found->name), found->bytes)};
      }
      commands.push_back(fmt::format("dump <{}> link{}", found->inode, found->inode));
      links.push_back(found);
    }
    if (links.empty()) return;
    static_cast<void>(debugfs_.read(commands));
    for (const Found* found : links) {
      const std::filesystem::path file = scratch_ / fmt::format("link{}", found->inode);
      details_[found->inode].target = sys::read_file(file, longest_path);
      ::unlink(file.c_str());
    }
  }

  Tree make_tree() {
    Tree tree;
    std::map<std::uint32_t, const std::string*> first;
    for (const auto& [path, found] : found_) {
      const auto [it, fresh] = first.emplace(found.inode, &path);
      if (!fresh) {
        tree.link(path, *it->second);
        continue;
      }
      Details& details = details_[found.inode];
      Node node;
      node.type = *type_of(found.mode);
      node.mode = found.mode & 07777;
      node.uid = found.uid;
      node.gid = found.gid;
      node.mtime = details.mtime;
      node.device_major = details.major;
      node.device_minor = details.minor;
      if (node.type == NodeType::Symlink) node.target = details.target.value_or("");
      if (node.type == NodeType::File) {
        node.bytes = found.bytes;
        node.content = HostFile{scratch_ / std::to_string(found.inode)};
      }
      tree.add(path, std::move(node));
    }
    return tree;
  }

  const std::filesystem::path& image_;
  const std::filesystem::path& scratch_;
  const Tools& tools_;
  Debugfs debugfs_;
  std::map<std::string, Found> found_;
  std::map<std::uint32_t, Details> details_;
  std::vector<std::string> sockets_;
};

}  // namespace

Ext4Content::Ext4Content(std::filesystem::path image, std::filesystem::path scratch, Tools tools)
    : image_{std::move(image)}, scratch_{std::move(scratch)}, tools_{std::move(tools)} {}

Ext4Content Ext4Content::read(const std::filesystem::path& image, const std::filesystem::path& scratch,
                              const Tools& tools, const Logger& logger) {
  // From here on folders form a tree, names hold no '/', and blocks are within the image.
  check_ext4(image, CheckDepth::Full, tools, logger);
  Ext4Content content{image, scratch, tools};
  Walk walk{content.image_, content.scratch_, content.tools_};
  content.tree_ = walk.run();
  content.sockets_ = std::move(walk).sockets();
  return content;
}

std::string Ext4Content::locate(std::string_view path) const {
  const std::shared_ptr<const Node> node = tree_.find(path);
  if (!node) throw Error{ErrorCode::NotFound, fmt::format("there is no '{}' on the disk", path)};
  for (const auto& [place, other] : tree_.nodes()) {
    if (other == node) return place;
  }
  throw Error{ErrorCode::Internal, "a node that a tree found is not in it"};
}

void Ext4Content::fetch(const std::string& place) const {
  std::map<std::string, std::uint64_t> wanted;
  std::uint64_t total = 0;
  const std::string below = place.empty() ? "" : place + "/";
  for (auto it = tree_.nodes().lower_bound(place); it != tree_.nodes().end(); ++it) {
    const auto& [path, node] = *it;
    if (!path.starts_with(place)) break;
    if (path != place && !path.starts_with(below)) continue;
    if (node->type != NodeType::File) continue;
    const std::string name = std::get<HostFile>(node->content).path.filename().string();
    if (std::filesystem::exists(scratch_ / name)) continue;
    if (wanted.emplace(name, node->bytes).second) total += std::min(node->bytes, UINT64_MAX - total);
  }
  // A sparse file on the disk may claim any size; copied, it has it.
  if (const std::uint64_t room = sys::free_bytes(scratch_); total > room) {
    throw Error{ErrorCode::Io, fmt::format("copying from the disk takes {} MiB, and only {} MiB are free below '{}'",
                                           total >> 20, room >> 20, scratch_.parent_path().string())};
  }
  if (wanted.empty()) return;
  std::vector<std::string> commands;
  for (const auto& [name, bytes] : wanted) commands.push_back(fmt::format("dump <{}> {}", name, name));
  static_cast<void>(Debugfs{image_, scratch_, tools_}.read(commands, total));
  for (const auto& [name, bytes] : wanted) {
    std::error_code error;
    if (std::filesystem::file_size(scratch_ / name, error) != bytes || error) {
      throw Error{ErrorCode::Corrupt, fmt::format("'{}' is damaged: inode {} cannot be read", image_.string(), name)};
    }
  }
}

}  // namespace fireclaw::image
