#include <fcntl.h>
#include <sys/stat.h>

#include <array>
#include <functional>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "core/machines/workspace_disk.hpp"
#include "core/workspaces/files.hpp"
#include "core/workspaces/machine.hpp"
#include "core/workspaces/transfer.hpp"
#include "fireclaw/error.hpp"
#include "image/archives/compression.hpp"
#include "image/disks/e2fsprogs.hpp"
#include "image/disks/ext4.hpp"
#include "sys/fd.hpp"
#include "sys/folder.hpp"

namespace fireclaw::core {
namespace {

namespace fs = std::filesystem;

/// A machine that has the disk, and the files in it.
class Attached {
 public:
  Attached(const std::shared_ptr<Host::Impl>& host, const state::WorkspaceRecord& record, const fs::path& disk,
           int lock, DiskUse use, const std::stop_token& stop)
      : machine_{host, disk, lock, use, stop}, files_{files_in_guest(machine_.vm(), record, stop)} {}

  WorkspaceFiles& files() { return *files_; }
  void finish() {
    files_.reset();
    machine_.finish();
  }

 private:
  DiskMachine machine_;
  std::unique_ptr<WorkspaceFiles> files_;
};

constexpr std::uint64_t nothing_left = 256 << 10;

class MachineFiles final : public WorkspaceFiles {
 public:
  MachineFiles(std::shared_ptr<Host::Impl> host, state::WorkspaceRecord record, sys::FileLock lock,
               std::stop_token stop)
      : host_{std::move(host)}, record_{std::move(record)}, lock_{std::move(lock)}, stop_{std::move(stop)} {
    repair_workspace(*host_, record_.name);
  }

  CopyResult push(const fs::path& source, const std::string& target) override {
    CopyResult copied;
    change([&](WorkspaceFiles& files) { copied = files.push(source, target); });
    return copied;
  }
  CopyResult pull(const std::string& source, const fs::path& target) override { return reader().pull(source, target); }
  std::string read_file(const std::string& path, std::size_t max_bytes) override {
    return reader().read_file(path, max_bytes);
  }
  void write_file(const std::string& path, std::string_view content, unsigned mode) override {
    change([&](WorkspaceFiles& files) { files.write_file(path, content, mode); });
  }
  void remove_path(const std::string& path) override {
    change([&](WorkspaceFiles& files) { files.remove_path(path); });
  }
  void export_tar(int fd, Rights rights) override { reader().export_tar(fd, rights); }
  void import_tar(int fd) override {
    change([&](WorkspaceFiles& files) { files.import_tar(fd); });
  }

 private:
  WorkspaceFiles& reader() {
    if (!reader_) {
      reader_.emplace(host_, record_, host_->workspaces.disk(record_.name), lock_.get(), DiskUse::Read, stop_);
    }
    return reader_->files();
  }

  void change(const std::function<void(WorkspaceFiles&)>& make) {
    reader_.reset();
    const auto draft = host_->workspaces.draft(record_.name);
    const auto copy = draft.path() / "disk.ext4";
    try {
      sys::clone_file(host_->workspaces.disk(record_.name), copy, 0600, {Deadline::never(), stop_});
      Attached attached{host_, record_, copy, lock_.get(), DiskUse::Write, stop_};
      make(attached.files());
      attached.finish();
      if (stop_.stop_requested()) throw Error{ErrorCode::Cancelled, "copying was cancelled"};
      sys::sync_fd(sys::open_file(copy, O_RDWR).get(), copy);
    } catch (const Error& problem) {
      // The guest says in its own words that its disk's file has no more room.
      const bool is_full = sys::free_bytes(draft.path()) < nothing_left || image::says_disk_full(problem.what());
      if (problem.code() == ErrorCode::Cancelled || !is_full) throw;
      throw image::disk_full(draft.path().parent_path());
    }
    host_->workspaces.replace_disk(record_.name, copy);
  }

  std::shared_ptr<Host::Impl> host_;
  state::WorkspaceRecord record_;
  // Given up last, when no machine has the disk any more.
  sys::FileLock lock_;
  std::stop_token stop_;
  std::optional<Attached> reader_;
};

constexpr std::string_view empty_memory = "# Agent Memory\n";

/// What a new workspace holds, in a folder: MEMORY.md, and the folder memory.
fs::path write_seed(const fs::path& scratch, std::chrono::system_clock::time_point date) {
  const auto seed = scratch / "seed";
  sys::make_folder(seed, 0755);
  sys::make_folder(seed / "memory", 0755);
  sys::replace_file(seed / "MEMORY.md", empty_memory, 0644);
  const timespec time{std::chrono::system_clock::to_time_t(date), 0};
  const std::array times{time, time};
  for (const auto& path : {seed / "MEMORY.md", seed / "memory"}) {
    sys::check(::utimensat(AT_FDCWD, path.c_str(), times.data(), 0), fmt::format("date '{}'", path.native()));
  }
  return seed;
}

}  // namespace

std::unique_ptr<WorkspaceFiles> files_in_machine(std::shared_ptr<Host::Impl> host, state::WorkspaceRecord record,
                                                 sys::FileLock lock, std::stop_token stop) {
  return std::make_unique<MachineFiles>(std::move(host), std::move(record), std::move(lock), std::move(stop));
}

void make_workspace_disk(const std::shared_ptr<Host::Impl>& host, const fs::path& disk,
                         const state::WorkspaceRecord& record, std::uint64_t bytes, const fs::path& scratch) {
  const auto tools = disk_tools(*host);
  image::Ext4Config config{bytes, "", true, record.uid, record.gid, write_seed(scratch, record.created)};
  try {
    return image::make_ext4(disk, config, tools);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::Unsupported) throw;
    host->logger.debug(problem.what());
  }
  config.content.clear();
  image::make_ext4(disk, config, tools);
  Attached attached{host, record, disk, -1, DiskUse::Write, {}};
  for (const char* name : {"MEMORY.md", "memory"}) attached.files().push(scratch / "seed" / name, name);
  attached.finish();
}

void make_workspace_disk_of_tar(const std::shared_ptr<Host::Impl>& host, const fs::path& disk,
                                const state::WorkspaceRecord& record, std::uint64_t bytes, int tar,
                                const std::stop_token& stop) {
  image::make_ext4(disk, {bytes, "", true, record.uid, record.gid}, disk_tools(*host, stop));
  Attached attached{host, record, disk, -1, DiskUse::Write, stop};
  attached.files().import_tar(tar);
  attached.finish();
  sys::sync_fd(sys::open_file(disk, O_RDWR).get(), disk);
}

}  // namespace fireclaw::core
