#include "image/archives/file_tree.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <deque>
#include <vector>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr unsigned max_links_followed = 40;
/// PATH_MAX, without the zero.
constexpr std::size_t longest_path = 4095;
constexpr std::size_t shown_of_long_path = 40;
/// What an entry of a map takes beside what it holds.
constexpr std::uint64_t entry_bytes = 96;

void check_length(std::string_view path) {
  if (path.size() <= longest_path) return;
  throw Error{ErrorCode::InvalidArgument, fmt::format("a path in the root file system is longer than {} bytes: '{}…'",
                                                      longest_path, path.substr(0, shown_of_long_path))};
}

std::vector<std::string> components(std::string_view path) {
  check_length(path);
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t end = path.find('/');
    const std::string_view part = path.substr(0, end);
    if (!part.empty() && part != ".") parts.emplace_back(part);
    if (end == std::string_view::npos) break;
    path.remove_prefix(end + 1);
  }
  return parts;
}

std::string join(const std::string& parent, std::string_view name) {
  return parent.empty() ? std::string{name} : fmt::format("{}/{}", parent, name);
}

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}

}  // namespace

std::uint64_t described_bytes(const Node& node) {
  std::uint64_t bytes = sizeof node + node.target.size();
  for (const auto& [name, value] : node.xattrs) bytes += entry_bytes + name.size() + value.size();
  return bytes;
}

Tree::Tree(std::uint64_t most_bytes) : left_{most_bytes} { nodes_.emplace("", std::make_shared<const Node>()); }

void Tree::count(std::uint64_t bytes) {
  if (bytes > left_) {
    throw Error{ErrorCode::InvalidArgument, "the root file system has more files, or longer names, than memory is for"};
  }
  left_ -= bytes;
}

std::string Tree::normalize(std::string_view path) const {
  if (path.find('\0') != std::string_view::npos) {
    throw Error{ErrorCode::InvalidArgument, "a path in the root file system contains a NUL byte"};
  }
  std::string result;
  for (const std::string& part : components(path)) {
    if (part == "..") {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("path '{}' would leave the root file system; such archives are refused", path)};
    }
    result = join(result, part);
  }
  return result;
}

std::string Tree::resolve(std::string_view path, bool last) const {
  const auto first = components(path);
  std::deque<std::string> todo{first.begin(), first.end()};
  std::string place;
  unsigned followed = 0;
  while (!todo.empty()) {
    const std::string part = std::move(todo.front());
    todo.pop_front();
    if (part == "..") {  // only from a link's target; ".." of the root is the root
      place = parent_of(place);
      continue;
    }
    const std::string next = join(place, part);
    check_length(next);
    const auto found = nodes_.find(next);
    if (found == nodes_.end() || found->second->type != NodeType::Symlink || (todo.empty() && !last)) {
      place = next;
      continue;
    }
    if (++followed > max_links_followed) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("too many levels of symbolic links in the root file system at '{}'", path)};
    }
    const std::string& target = found->second->target;
    if (!target.empty() && target.front() == '/') place.clear();
    const auto parts = components(target);
    todo.insert(todo.begin(), parts.begin(), parts.end());
  }
  return place;
}

std::string Tree::prepare(std::string_view path) {
  const std::string place = resolve(normalize(path), false);
  if (place.empty()) return place;
  std::string parent;
  for (const std::string& part : components(parent_of(place))) {
    parent = join(parent, part);
    const auto [it, fresh] = nodes_.try_emplace(parent, nullptr);
    if (fresh) {
      it->second = std::make_shared<const Node>();
      count(entry_bytes + sizeof(Node) + parent.size());
    } else if (it->second->type != NodeType::Directory) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("'{}' cannot be in the root file system: '{}' is not a folder there", path, parent)};
    }
  }
  return place;
}

void Tree::put(std::string place, std::shared_ptr<const Node> node) {
  count(entry_bytes + place.size() + described_bytes(*node));
  const auto found = nodes_.find(place);
  if (found != nodes_.end()) {
    if (found->second->type == NodeType::Directory && node->type != NodeType::Directory) clear(place);
    found->second = std::move(node);
    return;
  }
  nodes_.emplace(std::move(place), std::move(node));
}

void Tree::add(std::string_view path, Node node) {
  std::string place = prepare(path);
  if (place.empty() && node.type != NodeType::Directory) {
    throw Error{ErrorCode::InvalidArgument, "the root of a root file system must be a folder"};
  }
  put(std::move(place), std::make_shared<const Node>(std::move(node)));
}

void Tree::link(std::string_view path, std::string_view target) {
  const auto found = nodes_.find(resolve(normalize(target), false));
  if (found == nodes_.end() || found->second->type == NodeType::Directory) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is a hard link to '{}', which is not there", path, target)};
  }
  const std::shared_ptr<const Node> node = found->second;
  put(prepare(path), node);
}

void Tree::remove(std::string_view path) {
  const std::string place = resolve(normalize(path), false);
  if (place.empty()) return;
  clear(place);
  nodes_.erase(place);
}

void Tree::clear(std::string_view path) {
  const std::string place = resolve(normalize(path), false);
  const std::string prefix = place.empty() ? std::string{} : place + "/";
  auto it = place.empty() ? std::next(nodes_.begin()) : nodes_.lower_bound(prefix);
  while (it != nodes_.end() && it->first.compare(0, prefix.size(), prefix) == 0) it = nodes_.erase(it);
}

std::shared_ptr<const Node> Tree::find(std::string_view path) const {
  const auto found = nodes_.find(resolve(path, true));
  return found == nodes_.end() ? nullptr : found->second;
}

void Tree::directory(std::string_view path, unsigned mode) {
  Node node;
  node.mode = mode;
  add(path, std::move(node));
}

void Tree::file(std::string_view path, unsigned mode, std::string content) {
  Node node;
  node.type = NodeType::File;
  node.mode = mode;
  node.bytes = content.size();
  node.content = std::move(content);
  add(path, std::move(node));
}

void Tree::symlink(std::string_view path, std::string target) {
  Node node;
  node.type = NodeType::Symlink;
  node.mode = 0777;
  node.target = std::move(target);
  add(path, std::move(node));
}

std::string read_content(const Node& node, std::string_view name) {
  if (const auto* text = std::get_if<std::string>(&node.content)) return *text;
  if (const auto* host = std::get_if<HostFile>(&node.content)) return sys::read_file(host->path);
  const auto& extent = std::get<Extent>(node.content);
  std::string bytes(static_cast<std::size_t>(node.bytes), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto count = sys::check(sys::retry([&] {
                                    return ::pread(extent.file->get(), bytes.data() + done, bytes.size() - done,
                                                   static_cast<off_t>(extent.offset + done));
                                  }),
                                  fmt::format("read '{}'", name));
    if (count == 0) throw Error{ErrorCode::Io, fmt::format("'{}' ends too early", name)};
    done += static_cast<std::size_t>(count);
  }
  return bytes;
}

}  // namespace fireclaw::image
