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
#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "image/disks/e2fsprogs.hpp"
#include "image/disks/superblock.hpp"
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
                fmt::format("a disk's size must be {} MiB to {} TiB in steps of {} bytes, not {} bytes", least >> 20,
                            most_bytes >> 40, block_bytes, bytes)};
  }
}

/// e2fsck's words without its headings and the summary that it always prints.
std::string findings(std::string_view output, std::string_view image) {
  std::string found;
  while (!output.empty()) {
    const std::string_view line = output.substr(0, output.find('\n'));
    output.remove_prefix(std::min(output.size(), line.size() + 1));
    const bool heading = line.starts_with("Pass ") || line.starts_with("e2fsck ") || line.ends_with(" blocks");
    // That a machine crashed is not a finding; what came of it may be.
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
  argv.push_back(fs::canonical(image).string());
  return run_confined(argv, image, fs::file_size(image), tools);
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

Superblock read_superblock(const fs::path& image) {
  const sys::Fd file = sys::open_file(image, O_RDONLY | O_NONBLOCK);
  struct stat status {};
  const auto what = fmt::format("read '{}'", image.string());
  sys::check(::fstat(file.get(), &status), what);
  std::string block(superblock_bytes, '\0');
  const auto got =
      sys::check(sys::retry([&] { return ::pread(file.get(), block.data(), block.size(), superblock_offset); }), what);
  block.resize(static_cast<std::size_t>(got));
  try {
    return parse_superblock(block, static_cast<std::uint64_t>(status.st_size));
  } catch (Error& error) {
    error.add_context(fmt::format("'{}'", image.string()));
    throw;
  }
}

/// Before any program opens it.
void require_ours(const fs::path& image) {
  const auto trait = foreign_trait(read_superblock(image));
  if (trait.empty()) return;
  throw Error{ErrorCode::Corrupt,
              fmt::format("'{}' is not opened: it has {}, which fireclaw does not make", image.string(), trait)};
}

/// In a user namespace in which what belongs to the caller belongs to the disk's owner. Nothing that it reads is a
/// guest's. Error(Unsupported) where there are no such namespaces.
sys::ToolResult run_as_owner(std::vector<std::string> argv, const Ext4Config& config, const Tools& tools) {
  std::vector<std::string> words{tools.require("unshare", "util-linux").string(), "--user",
                                 fmt::format("--map-user={}", config.uid), fmt::format("--map-group={}", config.gid)};
  auto trial = words;
  trial.emplace_back("true");
  if (!sys::run_tool(std::move(trial), tools.options()).status.success()) {
    throw Error{ErrorCode::Unsupported, "this machine has no user namespaces for its users"};
  }
  words.insert(words.end(), std::make_move_iterator(argv.begin()), std::make_move_iterator(argv.end()));
  sys::ToolOptions options = tools.options();
  options.deadline = tool_deadline(config.bytes);
  return sys::run_tool(std::move(words), options);
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
  argv.insert(argv.end(), {"-O", with, "-E", extended});
  if (!config.content.empty()) argv.insert(argv.end(), {"-d", fs::canonical(config.content).string()});

  const sys::Fd file = sys::open_file(target, O_RDWR | O_CREAT | O_EXCL);
  ScopeGuard remove{[&] { ::unlink(target.c_str()); }};
  sys::check(::ftruncate(file.get(), static_cast<off_t>(config.bytes)), fmt::format("make '{}'", target.string()));
  argv.push_back(fs::canonical(target).string());
  const sys::ToolResult result = config.content.empty() ? run_confined(argv, target, config.bytes, tools)
                                                        : run_as_owner(std::move(argv), config, tools);
  if (!result.status.success()) throw tool_error("mke2fs", result, target);
  if (ext4_usage(target).bytes != config.bytes) {
    throw Error{ErrorCode::Io,
                fmt::format("mke2fs made '{}' of another size than {} bytes", target.string(), config.bytes)};
  }
  sys::sync_fd(file.get(), target);
  remove.release();
}

Ext4Usage ext4_usage(const fs::path& image) {
  const auto superblock = read_superblock(image);
  Ext4Usage usage;
  usage.bytes = superblock.blocks * superblock.block_bytes;
  // Counts of a damaged or mounted file system may be off; they must not become absurd.
  usage.used_bytes = (superblock.blocks - std::min(superblock.free_blocks, superblock.blocks)) * superblock.block_bytes;
  usage.files = superblock.inodes - std::min(superblock.free_inodes, superblock.inodes);
  usage.clean = superblock.clean;
  return usage;
}

Ext4Check check_ext4(const fs::path& image, CheckDepth depth, const Tools& tools, const Logger& logger) {
  // What cannot be opened is not damaged: the system's own error says more than the tool's.
  { const sys::Fd file = sys::open_file(image, O_RDWR | O_NONBLOCK); }
  require_ours(image);
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
  const sys::ToolResult result = run_confined(
      {require_e2fsprogs(tools, "resize2fs"), fs::canonical(image).string(), fmt::format("{}K", bytes / 1024)}, image,
      std::max(bytes, before), tools);
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
