#include "sys/file.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <random>

#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

namespace {

std::size_t entries_of(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator{folder}) ++count;
  return count;
}

mode_t mode_of(const std::filesystem::path& path) {
  struct stat status;
  REQUIRE(::stat(path.c_str(), &status) == 0);
  return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("a file is read whole, up to a limit") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "file";
  const std::string content = std::string(10'000, 'x') + '\0' + "end";
  write_file_atomic(path, content);
  CHECK(read_file(path) == content);
  CHECK(read_file(path, content.size()) == content);
  CHECK(error_of([&] { read_file(path, content.size() - 1); }) ==
        std::pair{ErrorCode::Corrupt, "'" + path.string() + "' is longer than 10003 bytes"});
  write_file_atomic(path, "");
  CHECK(read_file(path).empty());
  CHECK(read_file(path, 0).empty());
  CHECK(error_of([&] { read_file(folder.path() / "missing"); }).first == ErrorCode::NotFound);
  CHECK(error_of([&] { read_file(folder.path()); }).first == ErrorCode::Io);
}

TEST_CASE("files of /proc, which claim to be empty, are read whole") {
  CHECK(read_file("/proc/self/status").find("\nPid:\t") != std::string::npos);
  CHECK(error_of([] { read_file("/proc/self/status", 10); }).first == ErrorCode::Corrupt);
}

TEST_CASE("the tail of a file is its last bytes, and of none is empty") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "log";
  CHECK(read_tail(path, 10).empty());
  write_file_atomic(path, "0123456789");
  CHECK(read_tail(path, 3) == "789");
  CHECK(read_tail(path, 10) == "0123456789");
  CHECK(read_tail(path, 1000) == "0123456789");
  CHECK(read_tail(path, 0).empty());
}

TEST_CASE("an atomic write makes or replaces a file, with the mode asked for") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "record.json";
  write_file_atomic(path, "one");
  CHECK(read_file(path) == "one");
  CHECK(mode_of(path) == 0600);
  write_file_atomic(path, "two", 0644);
  CHECK(read_file(path) == "two");
  CHECK(mode_of(path) == 0644);
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("a file is replaced without waiting for the disk in the same way") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "leases.json";
  replace_file(path, "one");
  CHECK(mode_of(path) == 0600);
  replace_file(path, "two", 0640);
  CHECK(read_file(path) == "two");
  CHECK(mode_of(path) == 0640);
  CHECK(entries_of(folder.path()) == 1);
}

TEST_CASE("a file name may be as long as the file system allows") {
  const TempDir folder = temp_dir();
  write_file_atomic(folder.path() / std::string(255, 'n'), "content");
  CHECK(read_file(folder.path() / std::string(255, 'n')) == "content");
}

TEST_CASE("a relative path without a folder is written in the current one") {
  const TempDir folder = temp_dir();
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  write_file_atomic("plain", "content");
  std::filesystem::current_path(before);
  CHECK(read_file(folder.path() / "plain") == "content");
}

TEST_CASE("a failed atomic write leaves the old file and nothing beside it") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "record.json";
  write_file_atomic(path, "old");
  SUBCASE("a file size limit") {
    Helper helper = Helper::start({"write-limited", path});
    CHECK(read_line(helper.output.get()) == "write '" + path.string() + "': file too large");
    CHECK(helper.end().success());
    CHECK(read_file(path) == "old");
  }
  SUBCASE("a folder in the way") {
    std::filesystem::remove(path);
    std::filesystem::create_directory(path);
    CHECK(error_of([&] { write_file_atomic(path, "new"); }).second == "write '" + path.string() + "': is a directory");
  }
  CHECK(entries_of(folder.path()) == 1);
  CHECK(error_of([&] { write_file_atomic(folder.path() / "missing" / "x", ""); }) ==
        std::pair{ErrorCode::NotFound,
                  "write '" + (folder.path() / "missing" / "x").string() + "': no such file or directory"});
}

TEST_CASE("a writer killed at any moment leaves a whole file") {
  const TempDir folder = temp_dir();
  const std::filesystem::path path = folder.path() / "record.json";
  std::mt19937 random{7};
  int seen_a = 0;
  int seen_b = 0;
  for (int round = 0; round < 40; ++round) {
    Helper writer = Helper::start({"rewrite", path});
    CHECK(read_line(writer.output.get()) == "written");
    // At a random moment of its work.
    const std::chrono::microseconds moment{random() % 4000};
    CHECK(writer.child.wait(Deadline::after(moment)) == std::nullopt);
    CHECK(writer.child.kill().signal == SIGKILL);
    const std::string content = read_file(path);
    REQUIRE(content.size() == 100'000);
    REQUIRE(content.find_first_not_of(content[0]) == std::string::npos);
    ++(content[0] == 'a' ? seen_a : seen_b);
  }
  CHECK(seen_a + seen_b == 40);
}

TEST_CASE("folders are made with their parents, and found made") {
  const TempDir top = temp_dir();
  make_directories(top.path() / "a" / "b" / "c");
  CHECK(std::filesystem::is_directory(top.path() / "a" / "b" / "c"));
  CHECK(mode_of(top.path() / "a" / "b") == 0700);
  make_directories(top.path() / "a" / "b" / "c");
  make_directories(top.path() / "a" / "b" / "");
  make_directories("/");
  std::filesystem::create_directory_symlink(top.path() / "a", top.path() / "link");
  make_directories(top.path() / "link" / "d");
  CHECK(std::filesystem::is_directory(top.path() / "a" / "d"));
}

TEST_CASE("a file where a folder should be is an error that names it") {
  const TempDir top = temp_dir();
  const std::filesystem::path file = top.path() / "file";
  write_file_atomic(file, "");
  const auto [code, text] = error_of([&] { make_directories(file / "a"); });
  CHECK(code == ErrorCode::InvalidState);
  CHECK(text ==
        "cannot create folder '" + (file / "a").string() + "': '" + file.string() + "' exists and is not a folder");
  CHECK(error_of([&] { make_directories(file); }).first == ErrorCode::InvalidState);
}

TEST_CASE("free space is told for any path on a file system") {
  const TempDir folder = temp_dir();
  CHECK(free_bytes(folder.path()) > 0);
  CHECK(error_of([&] { free_bytes(folder.path() / "none"); }).first == ErrorCode::NotFound);
}
