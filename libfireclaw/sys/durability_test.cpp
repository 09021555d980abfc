// What is on disk when: the calls that make a change lasting, in their order, and what a reader finds between them.
#include <doctest/doctest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "sys/file.hpp"
#include "sys/folder.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

namespace {

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("a record is written beside, synced, renamed, and then its folder is synced") {
  const TempDir folder = temp_dir();
  const auto path = folder.path() / "record.json";
  write_file_atomic(path, "old");
  Lines seen;
  const FileCalls calls{folder.path(), [&] { seen.push_back(read_file(path)); }};
  write_file_atomic(path, "new");
  CHECK(calls.lines() == Lines{"create .fireclaw-*.tmp", "write .fireclaw-*.tmp", "sync .fireclaw-*.tmp",
                               "rename .fireclaw-*.tmp -> record.json", "sync ."});
  CHECK(seen == Lines{"old", "old", "old", "new", "new"});
}

TEST_CASE("a record that means nothing after a reboot is exchanged with the earlier one, and nothing of that is left") {
  const TempDir folder = temp_dir();
  const auto path = folder.path() / "record.json";
  replace_runtime_file(path, "old");
  Lines seen;
  FileCalls calls{folder.path(), [&] { seen.push_back(read_file(path)); }};
  SUBCASE("") {
    replace_runtime_file(path, "new");
    CHECK(calls.lines() == Lines{"create .fireclaw-*.tmp", "write .fireclaw-*.tmp",
                                 "exchange .fireclaw-*.tmp <-> record.json", "remove .fireclaw-*.tmp"});
    CHECK(seen == Lines{"old", "old", "new", "new"});
  }
  SUBCASE("where renames have no flags it is renamed over it") {
    calls.forget_rename_flags();
    replace_runtime_file(path, "new");
    CHECK(calls.lines() ==
          Lines{"create .fireclaw-*.tmp", "write .fireclaw-*.tmp", "rename .fireclaw-*.tmp -> record.json"});
  }
  CHECK(read_file(path) == "new");
}

TEST_CASE("a record can be renamed without waiting for the disk") {
  const TempDir folder = temp_dir();
  const auto path = folder.path() / "record.json";
  replace_file(path, "old");
  Lines seen;
  const FileCalls calls{folder.path(), [&] { seen.push_back(read_file(path)); }};
  replace_file(path, "new");
  CHECK(calls.lines() ==
        Lines{"create .fireclaw-*.tmp", "write .fireclaw-*.tmp", "rename .fireclaw-*.tmp -> record.json"});
  CHECK(seen == Lines{"old", "old", "new"});
}

TEST_CASE("new folders are in folders that are synced, and those that are there are left alone") {
  const TempDir folder = temp_dir();
  const FileCalls calls{folder.path()};
  make_durable_directories(folder.path() / "one" / "two" / "three", 0750);
  CHECK(calls.lines() == Lines{"sync .", "sync one", "sync one/two"});
  make_durable_directories(folder.path() / "one" / "two" / "three");
  make_durable_directories(folder.path() / "one" / "other");
  CHECK(calls.lines() == Lines{"sync .", "sync one", "sync one/two", "sync one"});
  CHECK(std::filesystem::is_directory(folder.path() / "one" / "two" / "three"));
}

TEST_CASE("a folder appears under its name in one step, which is synced") {
  const TempDir top = temp_dir();
  TempDir draft{top.path(), "draft-"};
  write_file_atomic(draft.path() / "file", "content");
  const FileCalls calls{top.path()};
  draft.publish(top.path() / "target");
  CHECK(calls.lines() == Lines{"rename draft-* -> target", "sync ."});
}

TEST_CASE(
    "where renames have no flags a folder appears under a name that was free too, and nothing is left if it cannot") {
  const TempDir top = temp_dir();
  const auto target = top.path() / "target";
  FileCalls calls{top.path()};
  calls.forget_rename_flags();
  {
    TempDir draft{top.path(), "draft-"};
    write_file_atomic(draft.path() / "file", "first");
    draft.publish(target);
    CHECK(calls.lines_with({"target", "sync ."}) == Lines{"rename draft-* -> target", "sync ."});
  }
  {
    TempDir draft{top.path(), "draft-"};
    CHECK_FALSE(draft.exchange(target));
    CHECK(error_of([&] { draft.publish(target); }).first == ErrorCode::AlreadyExists);
  }
  CHECK(read_file(target / "file") == "first");
  TempDir gone{top.path(), "draft-"};
  remove_tree(gone.path());
  CHECK(error_of([&] { gone.publish(top.path() / "other"); }).first == ErrorCode::NotFound);
  CHECK_FALSE(std::filesystem::exists(top.path() / "other"));
}

TEST_CASE("folders change places in one step, which is synced before the old one goes") {
  const TempDir top = temp_dir();
  make_directories(top.path() / "target");
  write_file_atomic(top.path() / "target" / "file", "old");
  Lines seen;
  const FileCalls calls{top.path(), [&] { seen.push_back(read_file(top.path() / "target" / "file")); }};
  {
    const TempDir draft{top.path(), "draft-"};
    write_file_atomic(draft.path() / "file", "new");
    REQUIRE(draft.exchange(top.path() / "target"));
  }
  const auto lines = calls.lines_with({"<->", "sync .", "remove"});
  CHECK(lines == Lines{"exchange draft-* <-> target", "sync .", "remove draft-*/file", "remove draft-*"});
  CHECK(seen.front() == "old");
  CHECK(seen.back() == "new");
}

TEST_CASE("a file is moved by a rename, and to another file system by a synced copy before the original goes") {
  const TempDir folder = temp_dir();
  write_file_atomic(folder.path() / "one", "content");
  SUBCASE("here") {
    const FileCalls calls{folder.path()};
    move_file(folder.path() / "one", folder.path() / "two");
    CHECK(calls.lines() == Lines{"rename one -> two"});
    CHECK(read_file(folder.path() / "two") == "content");
  }
  SUBCASE("elsewhere") {
    const TempDir shared_memory{"/dev/shm", "fireclaw-test-"};
    if (std::filesystem::equivalent("/dev/shm", folder.path()) ||
        ::rename((folder.path() / "one").c_str(), (shared_memory.path() / "try").c_str()) == 0) {
      MESSAGE("left out: /dev/shm is on the file system of /tmp");
      return;
    }
    const FileCalls calls{shared_memory.path(), [&] {
                            const auto copy = shared_memory.path() / "two";
                            if (!std::filesystem::exists(copy)) {
                              CHECK(std::filesystem::exists(folder.path() / "one"));
                            } else {
                              CHECK(read_file(copy) == "content");
                            }
                          }};
    move_file(folder.path() / "one", shared_memory.path() / "two");
    CHECK(calls.lines() == Lines{"create .move-*/file", "write .move-*/file", "sync .move-*/file",
                                 "rename .move-*/file -> two", "remove .move-*"});
    CHECK_FALSE(std::filesystem::exists(folder.path() / "one"));
  }
}

TEST_CASE("a lock is had on the file that is at its path, also without a deadline") {
  const TempDir folder = temp_dir();
  const auto path = folder.path() / "lock";
  auto old = FileLock::try_acquire(path, FileLock::Mode::Exclusive);
  REQUIRE(old);
  // The holder removes the file while another is waiting for it: at the moment when that one has opened it.
  bool removed = false;
  const FileCalls calls{folder.path(), [&] {
                          if (std::exchange(removed, true)) return;
                          std::filesystem::remove(path);
                          old.reset();
                        }};
  std::optional<FileLock> lock;
  SUBCASE("without") { lock = FileLock::acquire(path, FileLock::Mode::Exclusive, Deadline::never(), "test"); }
  SUBCASE("with") { lock = FileLock::acquire(path, FileLock::Mode::Exclusive, patience(), "test"); }
  SUBCASE("at once") { lock = FileLock::try_acquire(path, FileLock::Mode::Exclusive); }
  REQUIRE(lock);
  CHECK(calls.lines() == Lines{"create lock"});
  CHECK(std::filesystem::exists(path));
  CHECK_FALSE(FileLock::try_acquire(path, FileLock::Mode::Exclusive));
}
