// What a guest says of its files, written to the host: whatever it says, and however often, nothing outside of the
// target changes, nothing unfinished is left, and no link that was kept leads out of the tree.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include "guest/tree/untrusted.hpp"
#include "guest/tree/writer.hpp"
#include "guest_input.hpp"
#include "sys/file.hpp"

namespace {

using namespace fireclaw;
namespace fs = std::filesystem;
using guest::wire::Entry;
using guest::wire::EntryKind;

constexpr std::string_view secret = "untouched";

/// Few names, so that they meet again, and some that no file can have.
std::string name_from(fuzz::Script& script) {
  static constexpr const char* names[] = {"a", "b", "c", "door", "..", ".", "a/b", "victim"};
  const std::uint8_t choice = script.byte();
  if (choice % 16 < std::size(names)) return names[choice % 16];
  return choice % 16 == 15 ? std::string{script.bytes()} : std::string(1, static_cast<char>('a' + choice % 4));
}

std::string link_from(fuzz::Script& script, const fs::path& victim) {
  static constexpr const char* parts[] = {"a", "b", "c", "door", "..", ".", "", "victim"};
  const std::uint8_t length = script.byte();
  if (length % 8 == 7) return victim;
  std::string link;
  for (int i = 0; i < length % 8; ++i) link.append(i == 0 ? "" : "/").append(parts[script.byte() % std::size(parts)]);
  return link;
}

Entry entry_from(fuzz::Script& script, const fs::path& victim) {
  Entry entry;
  entry.kind = static_cast<EntryKind>(1 + script.byte() % 3);
  entry.name = name_from(script);
  // What nobody may read or enter has to be cleaned up as well.
  entry.mode = static_cast<std::uint32_t>(script.byte() * 16U + 0400);
  entry.size = script.byte();
  entry.allocated = entry.size;
  if (entry.kind == EntryKind::Link) entry.link = link_from(script, victim);
  return entry;
}

/// One copy out, until it fails or the script wants the next.
void copy(fuzz::Script& script, const fs::path& job, const fs::path& victim, const CopyOptions& options) {
  static constexpr const char* targets[] = {".", "out", "out/", "out/.", "a", "door", "./out//", "out/a"};
  // Folders on the way to a target are followed as they are, so links that were kept must not be among them.
  const std::size_t choices = std::size(targets) - (options.links == CopyLinks::Keep ? 1 : 0);
  static constexpr const char* sources[] = {"", "out", "a", "door"};
  guest::TreeWriter writer{{AT_FDCWD, false},
                           (job / targets[script.byte() % choices]).native(),
                           sources[script.byte() % std::size(sources)],
                           false,
                           guest::untrusted(options)};
  std::optional<guest::Failure> failed;
  while (!failed) {
    if (script.done()) return;
    switch (script.byte() % 8) {
      case 0:
      case 1:
      case 2: failed = writer.entry(entry_from(script, victim)); break;
      case 3: failed = writer.data(script.bytes()); break;
      case 4: failed = writer.hole(std::uint64_t{1} << (script.byte() % 64)); break;
      case 5:
      case 6: failed = writer.leave(); break;
      default: writer.finish(); return;
    }
  }
}

void check_links(const fs::path& job) {
  const std::string top = job.native() + "/";
  std::error_code ignored;
  for (const auto& entry : fs::recursive_directory_iterator{job, ignored}) {
    if (!entry.is_symlink()) continue;
    const fs::path leads = fs::weakly_canonical(entry.path(), ignored);
    fuzz::require(ignored || (leads.native() + "/").starts_with(top));
    ignored.clear();
  }
}

void run(std::string_view input) {
  static const sys::TempDir folder{fuzz::scratch_parent(), "fireclaw-tree-fuzz-"};
  static const fs::path job = folder.path() / "job";
  static const fs::path victim = folder.path() / "victim";
  fs::create_directory(job);
  fs::create_directory(victim);
  if (!fs::exists(victim / "file")) std::ofstream{victim / "file"} << secret;

  fuzz::Script script{input};
  CopyOptions options;
  options.links = script.byte() % 2 == 0 ? CopyLinks::Inside : CopyLinks::Keep;
  options.max_bytes = 10000;
  options.max_files = 100;
  while (!script.done()) copy(script, job, victim, options);

  fuzz::require(std::distance(fs::directory_iterator{folder.path()}, {}) == 2);
  fuzz::require(std::distance(fs::directory_iterator{victim}, {}) == 1);
  std::ifstream file{victim / "file"};
  fuzz::require(std::string{std::istreambuf_iterator<char>{file}, {}} == secret);
  std::error_code unreadable;
  for (const auto& entry : fs::recursive_directory_iterator{job, unreadable})
    fuzz::require(!entry.path().filename().native().starts_with(".fireclaw-"));
  if (options.links == CopyLinks::Inside) check_links(job);
  sys::remove_tree(job);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  run({reinterpret_cast<const char*>(data), size});
  return 0;
}
