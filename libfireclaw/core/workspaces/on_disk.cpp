#include <fcntl.h>

#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "core/machines/workspace_disk.hpp"
#include "core/workspaces/files.hpp"
#include "core/workspaces/transfer.hpp"
#include "fireclaw/error.hpp"
#include "guest/tree.hpp"
#include "image/disks/ext4.hpp"
#include "image/disks/ext4_files.hpp"

namespace fireclaw::core {
namespace {

namespace fs = std::filesystem;
using image::Ext4Content;
using image::Node;
using image::NodeType;
using image::Tree;

std::int64_t now() { return std::chrono::system_clock::to_time_t(std::chrono::system_clock::now()); }

std::string folder_of(const std::string& path) {
  const auto slash = path.rfind('/');
  return slash == std::string::npos ? std::string{} : path.substr(0, slash);
}
std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// Where something new called `path` goes: the folder it is to be in must be there.
std::string new_place(const Ext4Content& content, const std::string& path) {
  const auto folder = content.locate(folder_of(path));
  if (content.tree().nodes().at(folder)->type != NodeType::Directory) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a folder in the workspace", folder_of(path))};
  }
  return joined(folder, name_of(path));
}

/// `place` in its own tree, the folders above it as they are on the disk.
Tree with_folders_of(const Ext4Content& content, const std::string& place) {
  Tree tree;
  for (auto slash = place.find('/'); slash != std::string::npos; slash = place.find('/', slash + 1)) {
    const auto folder = place.substr(0, slash);
    tree.add(folder, *content.tree().nodes().at(folder));
  }
  return tree;
}

class DiskFiles final : public WorkspaceFiles {
 public:
  DiskFiles(std::shared_ptr<const Host::Impl> host, state::WorkspaceRecord record, sys::FileLock lock,
            std::stop_token stop)
      : host_{std::move(host)},
        record_{std::move(record)},
        lock_{std::move(lock)},
        stop_{std::move(stop)},
        tools_{disk_tools(*host_, stop_)},
        draft_{host_->workspaces.draft(record_.name)} {}

  CopyResult push(const fs::path& source, const std::string& target) override {
    CopyResult copied;
    change([&](const Ext4Content& content) {
      const auto there = content.tree().find(target);
      const auto place = there && there->type == NodeType::Directory
                             ? joined(content.locate(target), name_for_copy(source))
                             : new_place(content, target);
      auto tree = with_folders_of(content, place);
      copied = add_host_files(tree, place, source, owner(), stop_);
      return tree;
    });
    return copied;
  }

  CopyResult pull(const std::string& source, const fs::path& target) override {
    const auto content = read();
    // A symbolic link is copied itself, as by cp -a.
    const auto place = content.tree().nodes().contains(source) ? source : content.locate(source);
    content.fetch(place);
    return write_host_files(content.tree(), place, target, guest::last_component(source), stop_);
  }

  std::string read_file(const std::string& path, std::size_t max_bytes) override {
    const auto content = read();
    const auto place = content.locate(path);
    const Node& node = *content.tree().nodes().at(place);
    if (node.type != NodeType::File) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' is not a file in workspace '{}'", path, record_.name)};
    }
    if (node.bytes > max_bytes) {
      throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' in workspace '{}' has {} bytes, more than {}", path,
                                                          record_.name, node.bytes, max_bytes)};
    }
    content.fetch(place);
    return sys::read_file(std::get<image::HostFile>(node.content).path, max_bytes);
  }

  void write_file(const std::string& path, std::string_view text, unsigned mode) override {
    change([&](const Ext4Content& content) {
      const auto place = content.tree().find(path) ? content.locate(path) : new_place(content, path);
      auto tree = with_folders_of(content, place);
      Node node;
      node.type = NodeType::File;
      node.mode = mode & 07777;
      node.uid = record_.uid;
      node.gid = record_.gid;
      node.mtime = now();
      node.bytes = text.size();
      node.content = std::string{text};
      tree.add(place, std::move(node));
      return tree;
    });
  }

  void remove_path(const std::string& path) override {
    const auto content = copy();
    // What is removed is the link, not where it leads.
    const auto place = path.empty() ? path : new_place(content, path);
    if (!content.tree().nodes().contains(place)) {
      throw Error{ErrorCode::NotFound, fmt::format("there is no '{}' in workspace '{}'", path, record_.name)};
    }
    image::remove_from_ext4(draft_disk(), content, place, draft_.path(), tools_, host_->logger);
    publish();
  }

  void export_tar(int fd) override {
    const auto content = read();
    content.fetch("");
    write_archive(content.tree(), fd, stop_);
  }

  void import_tar(int fd) override {
    change(
        [&](const Ext4Content& content) { return read_archive(fd, draft_.path(), owner(), &content.tree(), tools_); });
  }

 private:
  [[nodiscard]] Owner owner() const { return {record_.uid, record_.gid}; }
  [[nodiscard]] fs::path draft_disk() const { return draft_.path() / "disk.ext4"; }

  [[nodiscard]] Ext4Content read() const {
    return Ext4Content::read(host_->workspaces.disk(record_.name), draft_.path(), tools_, host_->logger);
  }
  /// What is changed is a copy, so that whatever goes wrong the disk is as it was.
  [[nodiscard]] Ext4Content copy() const {
    const auto disk = host_->workspaces.disk(record_.name);
    image::check_ext4(disk, image::CheckDepth::Full, tools_, host_->logger);
    sys::clone_file(disk, draft_disk());
    return Ext4Content::read(draft_disk(), draft_.path(), tools_, host_->logger);
  }
  void publish() const {
    tools_.check_stop();
    sys::sync_fd(sys::open_file(draft_disk(), O_RDWR).get(), draft_disk());
    host_->workspaces.replace_disk(record_.name, draft_disk());
  }
  template <typename MakeTree>
  void change(MakeTree make_tree) const {
    const auto content = copy();
    image::put_into_ext4(draft_disk(), content, make_tree(content), draft_.path(), tools_, host_->logger);
    publish();
  }

  std::shared_ptr<const Host::Impl> host_;
  state::WorkspaceRecord record_;
  // Given up last, when the draft is gone.
  sys::FileLock lock_;
  std::stop_token stop_;
  image::Tools tools_;
  sys::TempDir draft_;
};

}  // namespace

std::unique_ptr<WorkspaceFiles> files_on_disk(std::shared_ptr<const Host::Impl> host, state::WorkspaceRecord record,
                                              sys::FileLock lock, std::stop_token stop) {
  return std::make_unique<DiskFiles>(std::move(host), std::move(record), std::move(lock), std::move(stop));
}

void make_workspace_disk(const Host::Impl& host, const fs::path& draft, const state::WorkspaceRecord& record,
                         std::uint64_t bytes, const Tree& content, std::stop_token stop) {
  const auto tools = disk_tools(host, std::move(stop));
  const auto disk = draft / "disk.ext4";
  image::make_ext4(disk, {bytes, "", true, record.uid, record.gid}, tools);
  image::put_into_ext4(disk, Ext4Content::read(disk, draft, tools, host.logger), content, draft, tools, host.logger);
  sys::sync_fd(sys::open_file(disk, O_RDWR).get(), disk);
}

}  // namespace fireclaw::core
