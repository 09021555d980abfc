#include "core/machines/workspace_disk.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "image/disks/ext4.hpp"
#include "image/store/store.hpp"
#include "sys/process.hpp"

namespace fireclaw::core {
namespace {

/// What others do with a disk takes seconds, their small machine's start included; a machine that has it is not waited
/// for, but one that is just starting says so a moment after it has the lock.
constexpr std::chrono::seconds patience{20};
constexpr std::chrono::milliseconds look_again{500};
constexpr std::size_t longest_note = 200;

/// Writes the holder and its purpose into the lock's file. The note stays there when the lock is released, so it counts
/// only while the lock is held, and even then can be a moment old.
void write_note(const sys::FileLock& lock, std::string_view purpose) {
  const auto self = sys::current_process();
  const auto note = fmt::format("{} {} {}\n", self.pid, self.start_time, purpose);
  // A note that cannot be written (the disk is full) makes an error of others less telling, no more.
  if (::ftruncate(lock.get(), 0) == 0) static_cast<void>(::pwrite(lock.get(), note.data(), note.size(), 0) > 0);
}

/// "process 123 (copying files)", or empty.
std::string read_note(const std::filesystem::path& file) {
  std::string note;
  try {
    note = sys::read_file(file, longest_note);
  } catch (const Error&) {
    return {};
  }
  sys::ProcessId id;
  const char* const end = note.data() + note.size();
  const auto pid = std::from_chars(note.data(), end, id.pid);
  if (pid.ec != std::errc{} || pid.ptr == end) return {};
  const auto start = std::from_chars(pid.ptr + 1, end, id.start_time);
  if (start.ec != std::errc{} || start.ptr == end || !sys::is_alive(id)) return {};
  const std::string_view rest{start.ptr + 1, static_cast<std::size_t>(end - start.ptr - 1)};
  return fmt::format("process {} ({})", id.pid, rest.substr(0, rest.find('\n')));
}

}  // namespace

image::Tools disk_tools(const Host::Impl& host, std::stop_token stop) {
  return {host.options.search_path, {}, host.layout.home(), std::move(stop)};
}

std::optional<state::RunRecord> workspace_user(const Host::Impl& host, const std::string& name) {
  for (auto& record : host.runs.list()) {
    if (record.workspace == name && state::is_running(record)) return std::move(record);
  }
  return std::nullopt;
}

Error workspace_in_use(const Host::Impl& host, const std::string& name) {
  if (const auto user = workspace_user(host, name)) {
    return Error{ErrorCode::InvalidState, fmt::format("workspace '{}' is in use by VM {}", name, user->id)};
  }
  const auto holder = read_note(host.workspaces.lock_file(name));
  return Error{ErrorCode::InvalidState,
               fmt::format("workspace '{}' is in use by {}", name, holder.empty() ? "another process" : holder)};
}

std::optional<sys::FileLock> try_lock_workspace(const Host::Impl& host, const std::string& name,
                                                std::string_view purpose) {
  auto lock = sys::FileLock::try_acquire(host.workspaces.lock_file(name), sys::FileLock::Mode::Exclusive);
  if (lock) write_note(*lock, purpose);
  return lock;
}

std::optional<sys::FileLock> wait_for_workspace(const Host::Impl& host, const std::string& name,
                                                std::string_view purpose, const std::stop_token& stop) {
  const auto deadline = Deadline::after(std::chrono::nanoseconds{patience});
  auto lock = try_lock_workspace(host, name, purpose);
  while (!lock) {
    if (workspace_user(host, name)) return std::nullopt;
    if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "waiting for a workspace was cancelled"};
    if (deadline.passed()) throw workspace_in_use(host, name);
    try {
      lock = sys::FileLock::acquire(host.workspaces.lock_file(name), sys::FileLock::Mode::Exclusive,
                                    Deadline::after(std::chrono::nanoseconds{look_again}).sooner(deadline),
                                    fmt::format("workspace '{}'", name));
      write_note(*lock, purpose);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::Timeout) throw;
    }
  }
  return lock;
}

sys::FileLock lock_workspace(const Host::Impl& host, const std::string& name, std::string_view purpose) {
  if (auto lock = wait_for_workspace(host, name, purpose)) return std::move(*lock);
  throw workspace_in_use(host, name);
}

state::WorkspaceRecord require_workspace(const Host::Impl& host, const std::string& name) {
  image::check_name(name, "a workspace");
  if (auto record = host.workspaces.find(name)) return std::move(*record);
  throw Error{ErrorCode::NotFound,
              fmt::format("no workspace named '{}'; see: fireclaw workspace list; make one with: fireclaw workspace "
                          "create {}",
                          name, name)};
}

void repair_workspace(const Host::Impl& host, const std::string& name) {
  const auto checked =
      image::check_ext4(host.workspaces.disk(name), image::CheckDepth::Quick, disk_tools(host), host.logger);
  if (checked.repaired) {
    host.logger.warning(fmt::format("workspace '{}' was damaged and has been repaired: {}", name, checked.report));
  }
}

WorkspaceDisk claim_workspace(const Host::Impl& host, const std::string& name) {
  static_cast<void>(require_workspace(host, name));
  auto lock = lock_workspace(host, name, "a machine that starts");
  // It may have been removed before the lock was had.
  static_cast<void>(require_workspace(host, name));
  repair_workspace(host, name);
  const auto disk = host.workspaces.disk(name);
  return {disk, image::ext4_usage(disk).bytes, std::move(lock)};
}

}  // namespace fireclaw::core
