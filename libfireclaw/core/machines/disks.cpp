#include "core/machines/disks.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/units.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/ext4.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {
namespace {

constexpr unsigned min_scratch_mib = 8;
constexpr unsigned max_scratch_mib = 1U << 20;
constexpr std::size_t longest_target = 1024;
constexpr std::string_view workspace_target = "/workspace";
constexpr std::string_view scratch_file = "scratch.img";
constexpr std::string_view blank_workspace_file = "blank-workspace.img";
/// The root is /dev/vda.
constexpr char first_device = 'b';

bool is_plain_target(std::string_view path) {
  if (path.size() < 2 || path.size() > longest_target || path.front() != '/' || path.back() == '/') return false;
  for (std::string_view rest = path.substr(1); !rest.empty();) {
    const auto end = std::min(rest.find('/'), rest.size());
    const auto name = rest.substr(0, end);
    const bool has_control = std::ranges::any_of(name, [](unsigned char c) { return c < 0x20 || c == 0x7f; });
    if (name.empty() || name == "." || name == ".." || has_control) return false;
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return true;
}

void check_scratch(const VMConfig& config) {
  if (config.scratch_mib == 0) return;
  if (config.scratch_mib < min_scratch_mib || config.scratch_mib > max_scratch_mib) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("a scratch disk must be {} to {} MiB, not {}", min_scratch_mib,
                                                        max_scratch_mib, config.scratch_mib)};
  }
  if (config.scratch_target == "/") return;
  if (!is_plain_target(config.scratch_target)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("a scratch disk cannot be mounted at '{}'; name an absolute path without '.' or '..' in "
                            "it",
                            config.scratch_target)};
  }
  const auto inside = [](std::string_view path, std::string_view folder) {
    return path == folder || (path.starts_with(folder) && path[folder.size()] == '/');
  };
  if (inside(config.scratch_target, workspace_target) || inside(workspace_target, config.scratch_target)) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("a scratch disk cannot be mounted at '{}': {} is the "
                                                        "workspace's place",
                                                        config.scratch_target, workspace_target)};
  }
}

std::uint64_t workspace_size(const Host::Impl& host, const std::string& name) {
  static_cast<void>(require_workspace(host, name));
  return std::filesystem::file_size(host.workspaces.disk(name));
}

void check_scratch_disk(const Host::Impl& host, const std::filesystem::path& disk) {
  const auto checked = image::check_ext4(disk, image::CheckDepth::Quick, disk_tools(host), host.logger);
  if (checked.repaired) {
    host.logger.warning(fmt::format("the scratch disk was damaged and has been repaired: {}", checked.report));
  }
}

void make_blank(const std::filesystem::path& file, std::uint64_t bytes) {
  const auto fd = sys::open_file(file, O_WRONLY | O_CREAT | O_EXCL);
  sys::check(::ftruncate(fd.get(), static_cast<off_t>(bytes)), fmt::format("make '{}'", file.string()));
}

}  // namespace

std::string to_text(const DiskSizes& sizes) {
  std::string text;
  if (sizes.scratch_bytes != 0) text = fmt::format("scratch={}", sizes.scratch_bytes);
  if (sizes.workspace_bytes != 0) {
    text += fmt::format("{}workspace={}", text.empty() ? "" : " ", sizes.workspace_bytes);
  }
  return text;
}

DiskSizes disk_sizes(const Host::Impl& host, const state::RunRecord& record) {
  return {record.scratch_mib * mib, record.workspace.empty() ? 0 : workspace_size(host, record.workspace)};
}

std::filesystem::path scratch_disk(const std::filesystem::path& run_dir) { return run_dir / scratch_file; }

void check_disks(const state::SnapshotKey& saved, const state::SnapshotKey& wanted, const std::string& name) {
  if (saved.drives == wanted.drives) return;
  const auto in_words = [](const std::string& drives) {
    return drives.empty() ? std::string{"no disks but its image"} : fmt::format("disks of these bytes: {}", drives);
  };
  throw Error{ErrorCode::InvalidArgument, fmt::format("snapshot '{}' is of a machine with {}; this one is to have {}",
                                                      name, in_words(saved.drives), in_words(wanted.drives))};
}

MachineDisks::MachineDisks(const Host::Impl& host, const VMConfig& config, const Purpose& purpose)
    : kind_{purpose.kind},
      scratch_target_{config.scratch_target},
      scratch_uid_{config.scratch_uid},
      scratch_gid_{config.scratch_gid},
      scratch_source_{purpose.continues ? purpose.continues->scratch : std::filesystem::path{}},
      take_scratch_{purpose.continues && purpose.continues->take_scratch},
      kept_scratch_{purpose.kept_scratch},
      scratch_from_{purpose.scratch_from},
      disk_{purpose.disk} {
  check_scratch(config);
  sizes_.scratch_bytes = config.scratch_mib * mib;
  switch (kind_) {
    case Purpose::Kind::Save:
      if (scratch_is_root()) {
        throw Error{ErrorCode::InvalidArgument,
                    "a machine whose root file system is on a scratch disk cannot be saved as a snapshot"};
      }
      sizes_.workspace_bytes =
          config.workspace.empty() ? purpose.workspace_bytes : workspace_size(host, config.workspace);
      return;
    case Purpose::Kind::Use:
      if (disk_) sizes_.workspace_bytes = disk_->room;
      if (config.workspace.empty()) return;
      workspace_.emplace(purpose.continues ? std::move(*purpose.continues->workspace)
                                           : claim_workspace(host, config.workspace));
      sizes_.workspace_bytes = std::filesystem::file_size(workspace_->image);
      return;
  }
}

void MachineDisks::make_scratch(const Host::Impl& host, const std::filesystem::path& file) const {
  image::Ext4Config config;
  config.bytes = sizes_.scratch_bytes;
  config.label = "scratch";
  // One that ends with its machine need not survive a crash.
  config.journal = !kept_scratch_.empty();
  config.uid = scratch_uid_;
  config.gid = scratch_gid_;
  image::make_ext4(file, config, disk_tools(host));
}

void MachineDisks::attach(const Host::Impl& host, const std::filesystem::path& folder, vmm::LaunchSpec& spec) {
  if (sizes_.scratch_bytes != 0 && !kept_scratch_.empty()) {
    if (!std::filesystem::exists(kept_scratch_)) {
      // Made beside it and renamed: a process that is killed meanwhile leaves no half of a disk.
      const auto unfinished = folder / scratch_file;
      std::filesystem::remove(unfinished);
      make_scratch(host, unfinished);
      sys::move_file(unfinished, kept_scratch_);
    } else if (scratch_source_.empty()) {
      check_scratch_disk(host, kept_scratch_);
    }
    spec.drives.push_back({"scratch", kept_scratch_, false});
  } else if (sizes_.scratch_bytes != 0) {
    const auto file = scratch_disk(folder);
    // A first attempt to start (from a snapshot that turned out to be damaged) may have made it.
    std::filesystem::remove(file);
    if (kind_ == Purpose::Kind::Save) {
      make_blank(file, sizes_.scratch_bytes);
    } else if (!scratch_source_.empty()) {
      take_scratch_ ? sys::move_file(scratch_source_, file) : static_cast<void>(sys::clone_file(scratch_source_, file));
    } else if (!scratch_from_.empty()) {
      sys::clone_file(scratch_from_, file);
      check_scratch_disk(host, file);
    } else {
      make_scratch(host, file);
    }
    spec.drives.push_back({"scratch", file, false});
  }
  if (scratch_is_root()) spec.cmdline += fmt::format(" fireclaw.scratch=/dev/vd{}", first_device);
  if (sizes_.workspace_bytes == 0) return;
  if (disk_) {
    spec.drives.push_back({"workspace", disk_->image, false});
    if (disk_->lock >= 0) spec.inherit.push_back(disk_->lock);
    return;
  }
  if (workspace_) {
    spec.drives.push_back({"workspace", workspace_->image, false});
    spec.inherit.push_back(workspace_->lock.get());
    return;
  }
  const auto file = folder / blank_workspace_file;
  std::filesystem::remove(file);
  make_blank(file, sizes_.workspace_bytes);
  spec.drives.push_back({"workspace", file, false});
}

std::vector<guest::Mount> MachineDisks::mounts() const {
  std::vector<guest::Mount> mounts;
  if (kind_ == Purpose::Kind::Save) return mounts;
  char device = first_device;
  const auto add = [&](std::string target, std::string options, bool read_only = false) {
    mounts.push_back({fmt::format("/dev/vd{}", device++), std::move(target), "ext4", read_only, std::move(options)});
  };
  // Containers that an agent keeps on its scratch disk have programs that change users; nothing else needs them.
  if (scratch_is_root())
    ++device;
  else if (sizes_.scratch_bytes != 0)
    add(scratch_target_, "nodev,noatime");
  if (sizes_.workspace_bytes != 0)
    add(std::string{workspace_target}, "nosuid,nodev,noatime", disk_ && disk_->read_only);
  return mounts;
}

}  // namespace fireclaw::core
