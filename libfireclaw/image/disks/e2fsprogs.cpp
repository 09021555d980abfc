#include "image/disks/e2fsprogs.hpp"

#include <fmt/format.h>

#include <chrono>
#include <exception>
#include <utility>

#include "base/text.hpp"
#include "sys/confined_tool.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

constexpr std::chrono::seconds least_limit{60};
constexpr std::uint64_t slow_bytes_per_second = std::uint64_t{64} << 20;
constexpr std::size_t most_quoted = 600;
constexpr std::uint64_t most_open_files = 64;
/// The program and its libraries, and what it notes of each block and inode: e2fsck keeps up to 64 bytes an inode, of
/// which there is one for each 8 KiB.
constexpr std::uint64_t least_memory = std::uint64_t{256} << 20;
constexpr std::uint64_t bytes_per_memory = 64;

std::chrono::seconds time_limit(std::uint64_t bytes) {
  return least_limit + std::chrono::seconds{bytes / slow_bytes_per_second};
}

}  // namespace

std::string require_e2fsprogs(const Tools& tools, const std::string& program) {
  return tools.require(program, "e2fsprogs").string();
}

Deadline tool_deadline(std::uint64_t bytes) { return Deadline::after(time_limit(bytes)); }

sys::Sandbox confine_tool(const std::filesystem::path& program, const std::filesystem::path& image, std::uint64_t bytes,
                          sys::Confinement level) {
  using Kind = sys::SandboxEntry::Kind;
  sys::Sandbox plan;
  plan.level = level;
  plan.entries = sys::program_entries(program);
  plan.entries.push_back({Kind::ReadWrite, image});
  for (const char* settings : {"/etc/mke2fs.conf", "/etc/e2fsck.conf"}) {
    plan.entries.push_back({Kind::ReadOnly, settings, true});
  }
  // By this resize2fs knows that kernels make inode tables when they need them, which spares it from writing them.
  plan.entries.push_back({Kind::Folder, "/sys/fs/ext4/features/lazy_itable_init"});
  plan.limits.file_bytes = bytes;
  plan.limits.open_files = most_open_files;
  return plan;
}

sys::ToolResult run_confined(const std::vector<std::string>& argv, const std::filesystem::path& image,
                             std::uint64_t bytes, const Tools& tools) {
  const std::filesystem::path program = argv.front();
  const auto damaged = [&](std::string_view how) {
    return Error{ErrorCode::Corrupt,
                 fmt::format("'{}' is damaged: {} {}", image.string(), program.filename().string(), how)};
  };
  sys::ToolOptions options = tools.options();
  // Otherwise it will not work where it cannot see what is mounted; the image is not.
  options.env.emplace_back("EXT2FS_NO_MTAB_OK=1");
  options.cwd = "/";
  options.deadline = tool_deadline(bytes);
  const sys::ToolLimits limits{least_memory + bytes / bytes_per_memory,
                               static_cast<std::uint64_t>(time_limit(bytes).count())};
  for (const auto level : {sys::Confinement::Full, sys::Confinement::Landlock, sys::Confinement::None}) {
    const auto plan = confine_tool(program, std::filesystem::canonical(image), bytes, level);
    try {
      const auto result = sys::run_confined_tool(argv, options, plan, limits);
      if (result.status.signal != 0) throw damaged(result.status.describe() + " on it");
      return result;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::Timeout) throw damaged("did not come to an end with it");
      // A machine that cannot confine it so says so before the program runs.
      const bool may_try_less = error.code() == ErrorCode::PermissionDenied || error.code() == ErrorCode::Unsupported ||
                                error.code() == ErrorCode::Io;
      if (!may_try_less || level == sys::Confinement::None) throw;
    }
  }
  throw Error{ErrorCode::Internal, "a program was confined in no way"};
}

Error disk_full(const std::filesystem::path& folder) {
  return Error{ErrorCode::Io, fmt::format("disk is full: nothing more can be written below '{}'; free some space there "
                                          "and try again",
                                          folder.string())};
}

Error tool_error(std::string_view program, const sys::ToolResult& result, const std::filesystem::path& image) {
  std::string said = result.err.empty() ? result.out : result.err;
  while (!said.empty() && (said.back() == '\n' || said.back() == ' ')) said.pop_back();
  if (said.find("No space left on device") != std::string::npos) return disk_full(image.parent_path());
  if (said.size() > most_quoted) said.erase(0, said.size() - most_quoted);
  return Error{ErrorCode::Io,
               fmt::format("{} {} on '{}': {}", program, result.status.describe(), image.string(), one_line(said))};
}

}  // namespace fireclaw::image
