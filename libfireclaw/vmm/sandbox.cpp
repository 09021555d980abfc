#include "vmm/sandbox.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::vmm {
namespace {

using Kind = sys::SandboxEntry::Kind;

/// A file that an engine writes beside its drives: its log if it has one, a machine's state.
constexpr std::uint64_t small_file_bytes = std::uint64_t{64} << 20;

constexpr mode_t others_read = 0444;
constexpr mode_t others_write = 0666;
constexpr mode_t others_enter = 0777;

void open_up(const std::filesystem::path& path, mode_t more) {
  // Never what a link leads to: an earlier engine of the machine may have made it.
  const auto file = sys::open_file(path, O_PATH | O_NOFOLLOW);
  struct stat status {};
  sys::check(::fstat(file.get(), &status), fmt::format("look at '{}'", path.string()));
  if ((status.st_mode & more) == more) return;
  // O_PATH descriptors have no fchmod().
  const auto through = fmt::format("/proc/self/fd/{}", file.get());
  sys::check(::chmod(through.c_str(), (status.st_mode & 07777) | more), fmt::format("open up '{}'", path.string()));
}

}  // namespace

SandboxGround look_at_ground(sys::Confinement level, const std::filesystem::path& program, const LaunchSpec& spec) {
  SandboxGround ground{level, sys::program_entries(program), 0};
  for (const auto& drive : spec.drives) {
    if (!drive.read_only) ground.drive_bytes = std::max(ground.drive_bytes, std::filesystem::file_size(drive.path));
  }
  return ground;
}

sys::Sandbox machine_sandbox(const SandboxGround& ground, const LaunchSpec& spec) {
  sys::Sandbox plan;
  plan.level = ground.level;
  plan.entries = ground.program;
  plan.user = spec.user;
  plan.cgroup = spec.cgroup;
  plan.limits.file_bytes = std::max(ground.drive_bytes, small_file_bytes);
  for (const auto* device : {"/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"}) show_device(plan, device);
  for (const auto& drive : spec.drives) {
    if (drive.read_only) {
      show(plan, drive.path);
    } else {
      show_writable(plan, drive.path);
    }
  }
  return plan;
}

void show(sys::Sandbox& plan, const std::filesystem::path& path) { plan.entries.push_back({Kind::ReadOnly, path}); }

void show_writable(sys::Sandbox& plan, const std::filesystem::path& path) {
  plan.entries.push_back({Kind::ReadWrite, path});
}

void show_device(sys::Sandbox& plan, const std::filesystem::path& path) {
  plan.entries.push_back({Kind::Device, path});
}

void lend_to_read(const LaunchSpec& spec, const std::filesystem::path& file) {
  if (spec.user) open_up(file, others_read);
}

void lend_to_write(const LaunchSpec& spec, const std::filesystem::path& file) {
  if (spec.user) open_up(file, others_write);
}

void lend_drives(const LaunchSpec& spec) {
  for (const auto& drive : spec.drives) {
    drive.read_only ? lend_to_read(spec, drive.path) : lend_to_write(spec, drive.path);
  }
}

void lend_folder(const LaunchSpec& spec) {
  if (!spec.user) return;
  open_up(spec.run_dir, others_enter);
  for (const auto& entry : std::filesystem::directory_iterator{spec.run_dir}) open_up(entry.path(), others_write);
}

}  // namespace fireclaw::vmm
