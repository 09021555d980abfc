#include "core/moving/disks.hpp"

#include <fcntl.h>

#include <chrono>

#include <fmt/format.h>

#include "core/machines/impl.hpp"
#include "core/machines/workspace_disk.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/ext4.hpp"
#include "sys/file.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::minutes copy_limit{30};
constexpr std::chrono::seconds write_back_limit{60};

/// What programs have written and the guest's kernel still keeps in memory goes to the disks.
void write_back(VM::Impl& machine, const std::stop_token& stop) {
  try {
    ExecOptions sync;
    sync.argv = {"sync"};
    sync.user = "root";
    sync.timeout = write_back_limit;
    sync.stop = stop;
    if (const auto result = machine.start_command(std::move(sync)).wait(); result.exit_code != 0) {
      throw Error{ErrorCode::Guest, fmt::format("sync ended with status {}", result.exit_code)};
    }
  } catch (const Error& problem) {
    if (stop.stop_requested()) throw;
    machine.host->logger.warning(
        fmt::format("VM {} did not write what it has in memory to its disks: {}", machine.record.id, problem.what()));
  }
}

void clone(const std::filesystem::path& disk, const std::filesystem::path& target, const std::stop_token& stop) {
  sys::clone_file(disk, target, 0600, {Deadline::after(copy_limit), stop});
}

/// What is in the journal goes to its place: a copy of a mounted file system is as after a crash.
void make_whole(const Host::Impl& host, const std::filesystem::path& copy, const std::stop_token& stop) {
  image::check_ext4(copy, image::CheckDepth::Quick, disk_tools(host, stop), host.logger);
  sys::sync_fd(sys::open_file(copy, O_RDONLY).get(), copy);
}

}  // namespace

void copy_disk(const std::shared_ptr<Host::Impl>& host, const state::RunRecord& run, const std::filesystem::path& disk,
               const std::filesystem::path& target, const std::stop_token& stop) {
  {
    VM::Impl machine{host, run};
    if (!run.paused) write_back(machine, stop);
    machine.copy_paused([&] { clone(disk, target, stop); }, Deadline::after(copy_limit));
  }
  make_whole(*host, target, stop);
}

void copy_workspace(const std::shared_ptr<Host::Impl>& host, const std::string& name,
                    const std::filesystem::path& target, const std::stop_token& stop) {
  static_cast<void>(require_workspace(*host, name));
  const auto disk = host->workspaces.disk(name);
  constexpr std::string_view purpose = "copying it";
  auto lock = try_lock_workspace(*host, name, purpose);
  if (!lock) {
    if (const auto user = workspace_user(*host, name)) return copy_disk(host, *user, disk, target, stop);
    lock = lock_workspace(*host, name, purpose);
  }
  clone(disk, target, stop);
  make_whole(*host, target, stop);
}

}  // namespace fireclaw::core
