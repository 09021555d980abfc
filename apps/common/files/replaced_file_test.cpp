#include "common/files/replaced_file.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/testing/file_calls.hpp"

using namespace fireclaw;
using Lines = std::vector<std::string>;

namespace {

std::string text_of(const std::filesystem::path& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

}  // namespace

TEST_CASE("a file is replaced by one that was synced, and its folder is synced after that") {
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  const auto path = folder.path() / "file";
  cli::replace_file(path, "old", 0600);
  Lines seen;
  const sys::testing::FileCalls calls{folder.path(), [&] { seen.push_back(text_of(path)); }};
  cli::replace_file(path, "new", 0600);
  CHECK(calls.lines_with({"write", "sync", "rename"}) ==
        Lines{"write file.new", "sync file.new", "rename file.new -> file", "sync ."});
  CHECK(seen.front() == "old");
  CHECK(seen.back() == "new");
  struct stat about {};
  REQUIRE(::stat(path.c_str(), &about) == 0);
  CHECK((about.st_mode & 07777) == 0600);
}

TEST_CASE("what cannot be replaced stays, with nothing beside it") {
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  std::filesystem::create_directories(folder.path() / "file" / "within");
  CHECK_THROWS_AS(cli::replace_file(folder.path() / "file", "new", 0600), Error);
  CHECK(std::filesystem::exists(folder.path() / "file" / "within"));
  CHECK(std::distance(std::filesystem::directory_iterator{folder.path()}, {}) == 1);
}

TEST_CASE("what an interrupted one has left is not written into, nor where it leads to") {
  const sys::TempDir folder{"/tmp", "fireclaw-test-"};
  std::filesystem::create_symlink("victim", folder.path() / "file.new");
  cli::replace_file(folder.path() / "file", "new", 0600);
  CHECK(text_of(folder.path() / "file") == "new");
  CHECK_FALSE(std::filesystem::exists(folder.path() / "victim"));
}
