#include "image/disks/ext4.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "image/bytes.hpp"
#include "image/disks/e2fsprogs.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::image {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t block_bytes = 4096;
/// A journal has at least 1024 blocks; more would only take longer to replay.
constexpr const char* journal_mib = "4";
constexpr std::uint64_t least_with_journal = std::uint64_t{16} << 20;
constexpr std::uint64_t least_without_journal = std::uint64_t{1} << 20;
/// Blocks are counted in 32 bits by some tools.
constexpr std::uint64_t most_bytes = std::uint64_t{16} << 40;
/// What of a tool's findings is quoted.
constexpr std::size_t most_quoted = 1000;

constexpr std::string_view features =
    "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,dir_nlink,extra_isize,"
    "metadata_csum";

void check_size(std::uint64_t bytes, std::uint64_t least) {
  if (bytes < least || bytes > most_bytes || bytes % block_bytes != 0) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("{} bytes cannot be a disk's size: {} MiB to {} TiB are possible, in steps of {} bytes",
                            bytes, least >> 20, most_bytes >> 40, block_bytes)};
  }
}

/// e2fsck's words without its headings and the summary that it always prints.
std::string findings(std::string_view output, std::string_view image) {
  std::string found;
  while (!output.empty()) {
    const std::string_view line = output.substr(0, output.find('\n'));
    output.remove_prefix(std::min(output.size(), line.size() + 1));
    const bool heading = line.starts_with("Pass ") || line.starts_with("e2fsck ") || line.ends_with(" blocks");
    // That a machine crashed is no finding; what came of it may be.
    const bool routine = line.find("***** FILE SYSTEM WAS MODIFIED") != std::string_view::npos ||
                         line.find("was not cleanly unmounted, check forced") != std::string_view::npos;
    if (heading || routine) continue;
    // Many lines begin with the file's name.
    std::string_view said = line;
    if (said.starts_with(image) && said.substr(image.size()).starts_with(": ")) said.remove_prefix(image.size() + 2);
    if (said.find_first_not_of(' ') == std::string_view::npos) continue;
    if (!found.empty()) found += "; ";
    found += one_line(said);
    if (found.size() > most_quoted) {
      found.resize(most_quoted);
      return found + "...";
    }
  }
  return found;
}

/// e2fsck's exit status is a sum of these.
constexpr int fsck_repaired = 1;
constexpr int fsck_repaired_reboot = 2;
constexpr int fsck_failed = 8;
constexpr int most_rounds = 5;

bool is_sound(const sys::ExitStatus& status) {
  return status.code && (*status.code & ~(fsck_repaired | fsck_repaired_reboot)) == 0;
}

sys::ToolResult run_fsck(std::vector<std::string> options, const fs::path& image, const Tools& tools) {
  std::vector<std::string> argv{require_e2fsprogs(tools, "e2fsck")};
  argv.insert(argv.end(), std::make_move_iterator(options.begin()), std::make_move_iterator(options.end()));
  argv.push_back(image.string());
  return run_limited(std::move(argv), image, tools);
}

/// Whether nothing is found wrong any more: one repair may bring to light what needs another.
bool settles(const fs::path& image, const Tools& tools) {
  for (int round = 0; round < most_rounds; ++round) {
    const sys::ToolResult again = run_fsck({"-f", "-y"}, image, tools);
    if (again.status.success()) return true;
    if (!again.status.code || *again.status.code >= fsck_failed) return false;
  }
  return false;
}

std::string first_line(std::string_view text) { return one_line(text.substr(0, text.find('\n'))); }

}  // namespace

void make_ext4(const fs::path& target, const Ext4Config& config, const Tools& tools) {
  check_size(config.bytes, config.journal ? least_with_journal : least_without_journal);
  std::string with{features};
  std::string extended = fmt::format("root_owner={}:{},lazy_itable_init=1,nodiscard", config.uid, config.gid);
  std::vector<std::string> argv{require_e2fsprogs(tools, "mke2fs"),
                                "-q",
                                "-F",
                                "-t",
                                "ext4",
                                "-b",
                                "4096",
                                "-I",
                                "256",
                                "-m",
                                "0",
                                "-L",
                                config.label};
  if (config.journal) {
    with += ",has_journal,resize_inode";
    extended += ",lazy_journal_init=1";
    argv.insert(argv.end(), {"-i", "8192", "-J", fmt::format("size={}", journal_mib)});
  } else {
    // Backups of the superblock are for repairs, which nobody makes here.
    with += ",sparse_super2";
    extended += ",num_backup_sb=0";
    argv.insert(argv.end(), {"-i", "16384"});
  }
  argv.insert(argv.end(), {"-O", with, "-E", extended, target.string()});

  const sys::Fd file = sys::open_file(target, O_RDWR | O_CREAT | O_EXCL);
  ScopeGuard remove{[&] { ::unlink(target.c_str()); }};
  sys::check(::ftruncate(file.get(), static_cast<off_t>(config.bytes)), fmt::format("make '{}'", target.string()));
  sys::ToolOptions options = tools.options();
  options.deadline = tool_deadline(config.bytes);
  const sys::ToolResult result = sys::run_tool(std::move(argv), options);
  if (!result.status.success()) throw tool_error("mke2fs", result, target);
  if (ext4_usage(target).bytes != config.bytes) {
    throw Error{ErrorCode::Io,
                fmt::format("mke2fs made '{}' of another size than {} bytes", target.string(), config.bytes)};
  }
  sys::sync_fd(file.get(), target);
  remove.release();
}

Ext4Usage ext4_usage(const fs::path& image) {
  const sys::Fd file = sys::open_file(image, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  sys::check(::fstat(file.get(), &status), fmt::format("read '{}'", image.string()));
  std::string block(1024, '\0');
  const auto got = sys::check(sys::retry([&] { return ::pread(file.get(), block.data(), block.size(), 1024); }),
                              fmt::format("read '{}'", image.string()));
  block.resize(static_cast<std::size_t>(got));
  const auto corrupt = [&](std::string_view why) {
    return Error{ErrorCode::Corrupt, fmt::format("'{}' is no sound ext4 file system: {}", image.string(), why)};
  };
  if (block.size() < 1024) throw corrupt("it is too short");
  const auto u16 = [&](std::size_t at) { return std::uint64_t{*load_le<std::uint16_t>(block, at)}; };
  const auto u32 = [&](std::size_t at) { return std::uint64_t{*load_le<std::uint32_t>(block, at)}; };
  if (u16(0x38) != 0xEF53) throw corrupt("its superblock is not there");
  const std::uint64_t incompatible = u32(0x60);
  constexpr std::uint64_t needs_recovery = 0x4;
  constexpr std::uint64_t has_high_halves = 0x80;
  const auto wide = [&](std::size_t low, std::size_t high) {
    return u32(low) | ((incompatible & has_high_halves) != 0 ? u32(high) << 32 : 0);
  };
  const std::uint64_t shift = u32(0x18);
  if (shift > 6) throw corrupt("its block size is impossible");
  const std::uint64_t block_size = std::uint64_t{1024} << shift;
  const std::uint64_t blocks = wide(0x4, 0x150);
  const std::uint64_t free_blocks = wide(0xC, 0x158);
  if (blocks == 0 || blocks > most_bytes / block_size) throw corrupt("its size is impossible");
  Ext4Usage usage;
  usage.bytes = blocks * block_size;
  if (usage.bytes > static_cast<std::uint64_t>(status.st_size)) {
    throw corrupt(fmt::format("it needs {} bytes, the file has {}", usage.bytes, status.st_size));
  }
  // Counts of a damaged or mounted file system may be off; they must not become absurd.
  usage.used_bytes = (blocks - std::min(free_blocks, blocks)) * block_size;
  const std::uint64_t inodes = u32(0x0);
  usage.files = inodes - std::min(u32(0x10), inodes);
  constexpr std::uint64_t state_valid = 0x1;
  constexpr std::uint64_t state_errors = 0x2;
  usage.clean = (u16(0x3A) & (state_valid | state_errors)) == state_valid && (incompatible & needs_recovery) == 0;
  return usage;
}

Ext4Check check_ext4(const fs::path& image, CheckDepth depth, const Tools& tools, const Logger& logger) {
  // What cannot be opened is not damaged: the system's own error says more than the tool's.
  { const sys::Fd file = sys::open_file(image, O_RDWR | O_NONBLOCK); }
  std::vector<std::string> careful{"-p"};
  if (depth == CheckDepth::Full) careful.emplace_back("-f");
  const sys::ToolResult first = run_fsck(careful, image, tools);
  Ext4Check result;
  if (is_sound(first.status)) {
    result.report = findings(first.out, image.string());
    result.repaired = (*first.status.code & fsck_repaired) != 0 && !result.report.empty();
    if (depth == CheckDepth::Quick || !result.repaired || settles(image, tools)) return result;
  }
  std::string found = findings(first.out, image.string());
  if (found.empty()) found = first_line(first.err);
  logger.warning(fmt::format("'{}' is damaged ({}): repairing it by force", image.string(), found));
  const sys::ToolResult forced = run_fsck({"-f", "-y"}, image, tools);
  const bool went_through = forced.status.code && *forced.status.code < fsck_failed;
  if (went_through && settles(image, tools)) {
    result.report = findings(forced.out, image.string());
    result.repaired = true;
    return result;
  }
  throw Error{ErrorCode::Corrupt, fmt::format("'{}' is damaged beyond repair: {}", image.string(),
                                              found.empty() ? "e2fsck gave up" : found)};
}

void resize_ext4(const fs::path& image, std::uint64_t bytes, const Tools& tools, const Logger& logger) {
  check_size(bytes, least_with_journal);
  check_ext4(image, CheckDepth::Full, tools, logger);
  const sys::Fd file = sys::open_file(image, O_RDWR);
  const auto set_length = [&](std::uint64_t length) {
    sys::check(sys::retry([&] { return ::ftruncate(file.get(), static_cast<off_t>(length)); }),
               fmt::format("resize '{}'", image.string()));
  };
  const std::uint64_t before = ext4_usage(image).bytes;
  if (bytes > before) set_length(bytes);
  const sys::ToolResult result = run_limited(
      {require_e2fsprogs(tools, "resize2fs"), image.string(), fmt::format("{}K", bytes / 1024)}, image, tools);
  if (!result.status.success()) {
    if (bytes > before) set_length(before);
    constexpr std::string_view too_small = "New size smaller than minimum (";
    if (const std::size_t at = result.err.find(too_small); at != std::string::npos) {
      const std::string_view digits = std::string_view{result.err}.substr(at + too_small.size());
      std::uint64_t blocks = 0;
      std::from_chars(digits.data(), digits.data() + digits.size(), blocks);
      throw Error{ErrorCode::InvalidState,
                  fmt::format("it cannot become as small as {} MiB: what is in it needs {} MiB at least", bytes >> 20,
                              (blocks * block_bytes + (1 << 20) - 1) >> 20)};
    }
    throw tool_error("resize2fs", result, image);
  }
  if (ext4_usage(image).bytes != bytes) {
    throw Error{ErrorCode::Io,
                fmt::format("resize2fs left '{}' with another size than {} bytes", image.string(), bytes)};
  }
  set_length(bytes);
  sys::sync_fd(file.get(), image);
}

}  // namespace fireclaw::image
