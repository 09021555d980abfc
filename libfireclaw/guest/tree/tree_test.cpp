#include "guest/tree/tree.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <string>

#include "guest/testing/entries.hpp"
#include "guest/tree/writer.hpp"
#include "sys/file.hpp"

namespace fireclaw::guest {
namespace {

namespace fs = std::filesystem;
using testing::entry_of;
using wire::EntryKind;

constexpr Base anywhere{AT_FDCWD, false};

struct Fixture {
  sys::TempDir folder{"/tmp", "fireclaw-test-"};
  fs::path path(const std::string& name) const { return folder.path() / name; }
  void write(const std::string& name, const std::string& content, mode_t mode = 0644) const {
    fs::create_directories(path(name).parent_path());
    sys::write_file_atomic(path(name), content, mode);
  }
  std::string read(const std::string& name) const { return sys::read_file(path(name)); }
};

void write_more(const fs::path& file, std::string_view text) {
  const sys::Fd opened = sys::open_file(file, O_WRONLY | O_APPEND);
  REQUIRE(::write(opened.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()));
}

std::optional<Failure> copy_tree(const std::string& source, const std::string& target, bool follow = false,
                                 std::uint64_t* skipped = nullptr, Base base = anywhere) {
  TreeReader reader{base, source, follow};
  TreeWriter writer{base, target, last_component(source), false, {}};
  TreeReader::Item item;
  char buffer[7];
  for (;;) {
    if (auto failed = reader.next(item, buffer, sizeof buffer)) return failed;
    std::optional<Failure> failed;
    switch (item.kind) {
      case TreeReader::Item::Kind::Entry: failed = writer.entry(item.entry); break;
      case TreeReader::Item::Kind::Data: failed = writer.data({buffer, static_cast<std::size_t>(item.bytes)}); break;
      case TreeReader::Item::Kind::Hole: failed = writer.hole(item.bytes); break;
      case TreeReader::Item::Kind::Leave: failed = writer.leave(); break;
      case TreeReader::Item::Kind::End:
        if (skipped) *skipped = reader.skipped();
        return writer.finish();
    }
    if (failed) return failed;
  }
}

TEST_CASE_FIXTURE(Fixture, "a tree is copied with its content, modes, times and links") {
  write("from/a.txt", "alpha");
  write("from/sub/deep/b.bin", std::string("\0\xFF\n", 3), 0700);
  write("from/empty", "");
  fs::create_symlink("../a.txt", path("from/sub/link"));
  fs::create_symlink("/no/such/target", path("from/dangling"));
  fs::create_directory(path("from/read-only"));
  write("from/read-only/c", "c", 0400);
  fs::permissions(path("from/read-only"), fs::perms{0555});
  const timespec times[2] = {{1000, 0}, {1234567890, 123456789}};
  REQUIRE(::utimensat(AT_FDCWD, path("from/sub").c_str(), times, 0) == 0);
  REQUIRE(::utimensat(AT_FDCWD, path("from/a.txt").c_str(), times, 0) == 0);

  REQUIRE_FALSE(copy_tree(path("from"), path("to")));
  CHECK(read("to/a.txt") == "alpha");
  CHECK(read("to/sub/deep/b.bin") == std::string("\0\xFF\n", 3));
  CHECK(read("to/empty").empty());
  CHECK(read("to/read-only/c") == "c");
  CHECK(fs::read_symlink(path("to/sub/link")) == "../a.txt");
  CHECK(fs::read_symlink(path("to/dangling")) == "/no/such/target");
  for (const std::string name : {"a.txt", "sub", "sub/deep/b.bin", "read-only", "read-only/c"}) {
    struct stat from {};
    struct stat to {};
    REQUIRE(::stat(path("from/" + name).c_str(), &from) == 0);
    REQUIRE(::stat(path("to/" + name).c_str(), &to) == 0);
    CHECK(from.st_mode == to.st_mode);
    CHECK(from.st_mtim.tv_sec == to.st_mtim.tv_sec);
    CHECK(from.st_mtim.tv_nsec == to.st_mtim.tv_nsec);
  }
  fs::permissions(path("from/read-only"), fs::perms{0755});
  fs::permissions(path("to/read-only"), fs::perms{0755});
}

TEST_CASE_FIXTURE(Fixture, "an existing folder receives the tree under its own name, as with cp -a") {
  write("file", "1");
  write("tree/x", "2");
  fs::create_directory(path("box"));
  REQUIRE_FALSE(copy_tree(path("file"), path("box")));
  REQUIRE_FALSE(copy_tree(path("tree"), path("box/")));
  CHECK(read("box/file") == "1");
  CHECK(read("box/tree/x") == "2");
  // Again: merged and overwritten.
  write("tree/x", "3");
  write("box/tree/y", "kept");
  REQUIRE_FALSE(copy_tree(path("tree"), path("box")));
  CHECK(read("box/tree/x") == "3");
  CHECK(read("box/tree/y") == "kept");
  // With /. the content alone.
  REQUIRE_FALSE(copy_tree(path("tree/."), path("box")));
  CHECK(read("box/x") == "3");
  REQUIRE_FALSE(copy_tree(path("tree/."), path("new")));
  CHECK(read("new/x") == "3");
}

TEST_CASE_FIXTURE(Fixture, "a link at the top is copied as a link unless it is to be followed") {
  write("file", "content");
  fs::create_symlink("file", path("link"));
  REQUIRE_FALSE(copy_tree(path("link"), path("as-link")));
  CHECK(fs::read_symlink(path("as-link")) == "file");
  REQUIRE_FALSE(copy_tree(path("link"), path("as-file"), true));
  CHECK_FALSE(fs::is_symlink(path("as-file")));
  CHECK(read("as-file") == "content");
}

TEST_CASE_FIXTURE(Fixture, "sockets and pipes are passed over and counted") {
  write("from/a", "a");
  REQUIRE(::mkfifo(path("from/pipe").c_str(), 0600) == 0);
  std::uint64_t skipped = 0;
  REQUIRE_FALSE(copy_tree(path("from"), path("to"), false, &skipped));
  CHECK(skipped == 1);
  CHECK_FALSE(fs::exists(path("to/pipe")));
  const auto failed = copy_tree(path("from/pipe"), path("to"));
  REQUIRE(failed);
  CHECK(failed->message.find("is neither a file nor a folder nor a symbolic link") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "what is missing is named") {
  auto failed = copy_tree(path("no"), path("to"));
  REQUIRE(failed);
  CHECK(failed->error == ENOENT);
  CHECK(failed->message == "cannot open '" + path("no").string() + "': no such file or directory");
  write("a", "a");
  failed = copy_tree(path("a"), path("no/such/folder"));
  REQUIRE(failed);
  CHECK(failed->error == ENOENT);
  failed = copy_tree(path("a"), path("no/"));
  REQUIRE(failed);
  CHECK_FALSE(fs::exists(path("no")));
}

TEST_CASE_FIXTURE(Fixture, "names that would leave the folder are refused") {
  fs::create_directory(path("box"));
  for (const std::string& name :
       {std::string{".."}, std::string{"."}, std::string{}, std::string{"../evil"}, std::string{"/etc/evil"},
        std::string{"a/b"}, std::string{"a\0b", 3}, std::string(300, 'x')}) {
    for (const EntryKind kind : {EntryKind::File, EntryKind::Folder, EntryKind::Link}) {
      TreeWriter writer{anywhere, path("box"), "tree", false, {}};
      REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "tree", 0755)));
      const auto failed = writer.entry(entry_of(kind, name, 0644, "target"));
      REQUIRE(failed);
      CHECK(failed->error == EPROTO);
    }
  }
  CHECK(fs::is_empty(path("box")));
}

TEST_CASE_FIXTURE(Fixture, "a link made before is never followed: neither as a folder nor as a file") {
  fs::create_directory(path("outside"));
  write("outside/file", "untouched");
  fs::create_directory(path("box"));
  {
    TreeWriter writer{anywhere, path("box"), "tree", false, {}};
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "tree", 0755)));
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Link, "door", 0777, path("outside"))));
    const auto failed = writer.entry(entry_of(EntryKind::Folder, "door", 0755));
    REQUIRE(failed);
    CHECK(failed->error == EEXIST);
  }
  {
    TreeWriter writer{anywhere, path("box"), "tree", false, {}};
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "tree", 0755)));
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Link, "file", 0777, path("outside/file"))));
    const auto failed = writer.entry(entry_of(EntryKind::File, "file"));
    REQUIRE(failed);
    CHECK(failed->error == EEXIST);
  }
  CHECK(read("outside/file") == "untouched");
  // What failed has left nothing behind.
  CHECK(fs::is_empty(path("box")));
  // Nor in a second copy, through what the first left behind.
  fs::create_symlink(path("outside"), path("box/escape"));
  TreeWriter writer{anywhere, path("box"), "escape", false, {}};
  REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "escape", 0755)));
  REQUIRE_FALSE(writer.entry(entry_of(EntryKind::File, "file")));
  REQUIRE_FALSE(writer.data("evil"));
  REQUIRE_FALSE(writer.leave());
  REQUIRE_FALSE(writer.finish());
  CHECK(read("box/escape/file") == "evil");
  CHECK(read("outside/file") == "untouched");
}

TEST_CASE_FIXTURE(Fixture, "nor is one that lies deeper, whether this copy made it or an earlier one") {
  fs::create_directory(path("outside"));
  write("outside/file", "untouched");
  fs::create_directories(path("box/tree/a/b"));
  fs::create_symlink(path("outside"), path("box/tree/a/b/old"));
  TreeWriter writer{anywhere, path("box"), "tree", false, {}};
  for (const auto* folder : {"tree", "a", "b"}) {
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, folder, 0755)));
  }
  REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Link, "file", 0777, path("outside/file"))));
  REQUIRE_FALSE(writer.entry(entry_of(EntryKind::File, "file")));
  REQUIRE_FALSE(writer.data("evil"));
  REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "old", 0755)));
  REQUIRE_FALSE(writer.entry(entry_of(EntryKind::File, "file")));
  REQUIRE_FALSE(writer.data("evil"));
  for (int level = 0; level < 4; ++level) REQUIRE_FALSE(writer.leave());
  REQUIRE_FALSE(writer.finish());
  CHECK(read("box/tree/a/b/file") == "evil");
  CHECK(read("box/tree/a/b/old/file") == "evil");
  CHECK(read("outside/file") == "untouched");
  CHECK(std::distance(fs::directory_iterator{path("outside")}, fs::directory_iterator{}) == 1);
}

TEST_CASE_FIXTURE(Fixture, "bits of the mode that are not wanted are left out") {
  TreeWriter::Options options;
  options.mode_mask = 0777;
  TreeWriter writer{anywhere, path("file"), "file", false, options};
  REQUIRE_FALSE(writer.entry(entry_of(EntryKind::File, "file", 06755)));
  REQUIRE_FALSE(writer.finish());
  struct stat status {};
  REQUIRE(::stat(path("file").c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0755);
}

TEST_CASE_FIXTURE(Fixture, "a file is not put where a pipe or a folder is") {
  REQUIRE(::mkfifo(path("pipe").c_str(), 0600) == 0);
  TreeWriter into_pipe{anywhere, path("pipe"), "pipe", false, {}};
  CHECK(into_pipe.entry(entry_of(EntryKind::File, "pipe")));
  fs::create_directories(path("folder/inner"));
  TreeWriter into_folder{anywhere, path("folder"), "inner", false, {}};
  const auto failed = into_folder.entry(entry_of(EntryKind::File, "inner"));
  REQUIRE(failed);
  CHECK(failed->error == EISDIR);
  TreeWriter exact{anywhere, path("folder"), "x", true, {}};
  CHECK(exact.entry(entry_of(EntryKind::File, "x")));
}

TEST_CASE_FIXTURE(Fixture, "sequences that are not a tree are refused") {
  const auto fresh = [&] { return TreeWriter{anywhere, path("out"), "out", false, {}}; };
  {
    TreeWriter writer = fresh();
    CHECK(writer.data("content of nothing"));
  }
  {
    TreeWriter writer = fresh();
    CHECK(writer.leave());
  }
  {
    TreeWriter writer = fresh();
    CHECK(writer.finish());
  }
  {
    TreeWriter writer = fresh();
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "out", 0755)));
    CHECK(writer.finish());
  }
  {
    TreeWriter writer = fresh();
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "out", 0755)));
    REQUIRE_FALSE(writer.leave());
    CHECK(writer.entry(entry_of(EntryKind::File, "second")));
  }
}

TEST_CASE_FIXTURE(Fixture, "a tree deeper than the limit is refused on both sides, and one at the limit is not") {
  std::string deep = path("deep");
  for (std::size_t level = 1; level < max_depth; ++level) deep += "/d";
  fs::create_directories(deep);
  CHECK_FALSE(copy_tree(path("deep"), path("copy")));
  fs::create_directories(deep + "/d");
  const auto failed = copy_tree(path("deep"), path("copy"));
  REQUIRE(failed);
  CHECK(failed->error == ELOOP);

  TreeWriter writer{anywhere, path("hostile"), "hostile", false, {}};
  for (std::size_t level = 0; level < max_depth; ++level)
    REQUIRE_FALSE(writer.entry(entry_of(EntryKind::Folder, "d", 0755)));
  CHECK(writer.entry(entry_of(EntryKind::Folder, "d", 0755)));
}

TEST_CASE_FIXTURE(Fixture, "a confined copy sees its base as the root") {
  fs::create_directories(path("root/inner"));
  write("root/inner/x", "x");
  write("secret", "secret");
  fs::create_symlink(path("secret"), path("root/link"));
  const sys::Fd root = sys::open_file(path("root"), O_PATH | O_DIRECTORY);
  const Base base{root.get(), true};
  CHECK_FALSE(copy_tree("/inner/x", "/y", false, nullptr, base));
  CHECK(read("root/y") == "x");
  CHECK_FALSE(copy_tree("/../../inner/x", "/../../z", false, nullptr, base));
  CHECK(read("root/z") == "x");
  const auto failed = copy_tree("/link", "/w", true, nullptr, base);
  REQUIRE(failed);
  CHECK(failed->error == ENOENT);
}

TEST_CASE_FIXTURE(Fixture, "holes stay holes, and what reads as zeros is the same") {
  const std::uint64_t size = std::uint64_t{1} << 40;
  {
    const sys::Fd file = sys::open_file(path("sparse"), O_WRONLY | O_CREAT | O_EXCL);
    const std::string text = "one byte is not enough";
    REQUIRE(::pwrite(file.get(), text.data(), text.size(), 5'000'000) > 0);
    REQUIRE(::pwrite(file.get(), text.data(), text.size(), 900'000'000'000) > 0);
    REQUIRE(::ftruncate(file.get(), static_cast<off_t>(size)) == 0);
  }
  REQUIRE_FALSE(copy_tree(path("sparse"), path("copy")));
  struct stat status {};
  REQUIRE(::stat(path("copy").c_str(), &status) == 0);
  CHECK(static_cast<std::uint64_t>(status.st_size) == size);
  CHECK(status.st_blocks * 512 < 1 << 20);
  const sys::Fd copy = sys::open_file(path("copy"), O_RDONLY);
  for (const off_t place : {off_t{5'000'000}, off_t{900'000'000'000}}) {
    char text[24] = {};
    REQUIRE(::pread(copy.get(), text, sizeof text, place - 1) == sizeof text);
    CHECK(std::string(text, sizeof text) == std::string("\0one byte is not enough\0", 24));
  }
  // Nothing but a hole.
  fs::resize_file(path("copy"), 0);
  fs::resize_file(path("copy"), 4096 * 3);
  REQUIRE_FALSE(copy_tree(path("copy"), path("hollow")));
  CHECK(read("hollow") == std::string(4096 * 3, '\0'));
}

TEST_CASE_FIXTURE(Fixture, "a file that grows while it is read ends where it ended when it was opened") {
  write("log", "12345");
  TreeReader reader{anywhere, path("log"), false};
  TreeReader::Item item;
  char buffer[64];
  REQUIRE_FALSE(reader.next(item, buffer, sizeof buffer));
  write_more(path("log"), "and so on");
  REQUIRE_FALSE(reader.next(item, buffer, sizeof buffer));
  CHECK(std::string(buffer, item.bytes) == "12345");
  REQUIRE_FALSE(reader.next(item, buffer, sizeof buffer));
  CHECK(item.kind == TreeReader::Item::Kind::End);
}

TEST_CASE("the name of the last component is that which cp would use") {
  CHECK(last_component("/a/b") == "b");
  CHECK(last_component("b//") == "b");
  CHECK(last_component("b") == "b");
  CHECK(last_component("/a/.") == "");
  CHECK(last_component("..") == "");
  CHECK(last_component("/") == "");
  CHECK(last_component("") == "");
}

}  // namespace
}  // namespace fireclaw::guest
