#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <string>
#include <thread>

#include "base/scope.hpp"
#include "sys/file.hpp"
#include "sys/folder.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

TEST_CASE("a tree is removed with all that is in it") {
  const TempDir top = temp_dir();
  const std::filesystem::path tree = top.path() / "tree";
  make_directories(tree / "a" / "b");
  write_file_atomic(tree / "a" / "file", "x");
  write_file_atomic(tree / "a" / "b" / ".hidden", "x");
  REQUIRE(::mkfifo((tree / "fifo").c_str(), 0600) == 0);
  remove_tree(tree);
  CHECK_FALSE(std::filesystem::exists(tree));
  remove_tree(tree);
  remove_tree(top.path() / "missing" / "folder");
  write_file_atomic(tree, "a single file");
  remove_tree(tree);
  CHECK_FALSE(std::filesystem::exists(tree));
}

TEST_CASE("symbolic links are removed and never followed") {
  const TempDir top = temp_dir();
  const std::filesystem::path outside = top.path() / "outside";
  make_directories(outside);
  write_file_atomic(outside / "precious", "keep");
  const std::filesystem::path tree = top.path() / "tree";
  make_directories(tree);
  std::filesystem::create_directory_symlink(outside, tree / "link");
  std::filesystem::create_symlink(outside / "precious", tree / "file-link");
  std::filesystem::create_symlink("/nonexistent", tree / "broken");
  remove_tree(tree);
  CHECK_FALSE(std::filesystem::exists(tree));
  CHECK(read_file(outside / "precious") == "keep");

  std::filesystem::create_directory_symlink(outside, top.path() / "direct");
  remove_tree(top.path() / "direct");
  CHECK_FALSE(std::filesystem::is_symlink(top.path() / "direct"));
  CHECK(read_file(outside / "precious") == "keep");
}

TEST_CASE("folders without permissions are removed too") {
  const TempDir top = temp_dir();
  const std::filesystem::path tree = top.path() / "tree";
  make_directories(tree / "a" / "b");
  write_file_atomic(tree / "a" / "b" / "file", "x");
  for (const auto& folder : {tree / "a" / "b", tree / "a", tree}) REQUIRE(::chmod(folder.c_str(), 0500) == 0);
  SUBCASE("read-only") {}
  SUBCASE("closed altogether") { REQUIRE(::chmod(tree.c_str(), 0) == 0); }
  // Root may write anywhere, so it is an ordinary user who must be able to do it.
  if (::geteuid() == 0) {
    REQUIRE(::chown(top.path().c_str(), 65534, 65534) == 0);
    for (const auto& path : {tree / "a" / "b" / "file", tree / "a" / "b", tree / "a", tree}) {
      REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
    }
    REQUIRE(::seteuid(65534) == 0);
  }
  const ScopeGuard back{[] {
    if (::getuid() == 0) CHECK(::seteuid(0) == 0);
  }};
  remove_tree(tree);
  CHECK_FALSE(std::filesystem::exists(tree));
}

TEST_CASE("a tree deeper than a process may have files open, or a path may be long, is removed") {
  const TempDir top = temp_dir();
  Fd folder = open_file(top.path(), O_RDONLY | O_DIRECTORY);
  const std::string name(50, 'd');
  for (int level = 0; level < 1500; ++level) {
    REQUIRE(::mkdirat(folder.get(), name.c_str(), 0700) == 0);
    const Fd file{::openat(folder.get(), "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600)};
    Fd next{check(::openat(folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), "open")};
    folder = std::move(next);
  }
  rlimit before;
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit few{128, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  const ScopeGuard restore{[&] { ::setrlimit(RLIMIT_NOFILE, &before); }};
  remove_tree(top.path() / name);
  CHECK_FALSE(std::filesystem::exists(top.path() / name));
  remove_tree(top.path() / "file");
  CHECK(std::filesystem::is_empty(top.path()));
}

TEST_CASE("what could mean too much is refused") {
  for (const char* path : {"", "/", ".", "..", "a/..", "/tmp/.."}) {
    CAPTURE(path);
    CHECK(error_of([&] { remove_tree(path); }).first == ErrorCode::InvalidArgument);
  }
}

TEST_CASE("a trailing slash means the folder itself") {
  const TempDir top = temp_dir();
  make_directories(top.path() / "tree" / "a");
  remove_tree(top.path() / "tree" / "");
  CHECK_FALSE(std::filesystem::exists(top.path() / "tree"));
}

TEST_CASE("a temporary folder is unique, private, and removed in the end") {
  const TempDir top = temp_dir();
  std::filesystem::path path;
  {
    const TempDir first{top.path(), "build-"};
    TempDir second{top.path(), "build-"};
    CHECK(first.path() != second.path());
    CHECK(first.path().filename().string().starts_with("build-"));
    struct stat status;
    REQUIRE(::stat(first.path().c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
    write_file_atomic(second.path() / "file", "x");
    const TempDir moved = std::move(second);
    path = moved.path();
    CHECK(std::filesystem::exists(path / "file"));
  }
  CHECK(std::filesystem::is_empty(top.path()));
  CHECK(error_of([&] { TempDir(top.path() / "missing", "x"); }).first == ErrorCode::NotFound);
}

TEST_CASE("folders have exactly the mode that is wanted, whatever the umask") {
  const TempDir folder = testing::temp_dir();
  const auto mode_of = [](const std::filesystem::path& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
  };
  const mode_t before = ::umask(0277);
  const ScopeGuard restore{[&] { ::umask(before); }};
  make_directories(folder.path() / "a" / "b");
  CHECK(mode_of(folder.path() / "a") == 0700);
  CHECK(mode_of(folder.path() / "a" / "b") == 0700);
  make_directories(folder.path() / "open", 0755);
  CHECK(mode_of(folder.path() / "open") == 0755);
  CHECK(make_folder(folder.path() / "one"));
  CHECK(mode_of(folder.path() / "one") == 0700);
  CHECK_FALSE(make_folder(folder.path() / "one"));
  CHECK(mode_of(TempDir{folder.path(), "temp-"}.path()) == 0700);
}

TEST_CASE("two folders change places in one step") {
  const TempDir parent = temp_dir();
  const auto target = parent.path() / "target";
  std::filesystem::create_directory(target);
  write_file_atomic(target / "old", "");
  {
    const TempDir folder{parent.path(), "new-"};
    write_file_atomic(folder.path() / "new", "");
    REQUIRE(folder.exchange(target));
    CHECK(std::filesystem::exists(folder.path() / "old"));
    CHECK(error_of([&] { static_cast<void>(folder.exchange(parent.path() / "none")); }).first == ErrorCode::NotFound);
  }
  CHECK(std::filesystem::exists(target / "new"));
  CHECK(std::distance(std::filesystem::directory_iterator{parent.path()}, {}) == 1);
}

TEST_CASE("a published folder stays, under a name that was free") {
  const TempDir top = temp_dir();
  const std::filesystem::path target = top.path() / "image";
  {
    TempDir folder{top.path(), "build-"};
    write_file_atomic(folder.path() / "file", "first");
    folder.publish(target);
  }
  CHECK(read_file(target / "file") == "first");
  {
    TempDir folder{top.path(), "build-"};
    write_file_atomic(folder.path() / "file", "second");
    const auto [code, text] = error_of([&] { folder.publish(target); });
    CHECK(code == ErrorCode::AlreadyExists);
    CHECK(text == "'" + target.string() + "' exists already");
  }
  CHECK(read_file(target / "file") == "first");
  std::filesystem::remove(target / "file");
  {
    // Also an empty folder is somebody's.
    TempDir folder{top.path(), "build-"};
    CHECK(error_of([&] { folder.publish(target); }).first == ErrorCode::AlreadyExists);
  }
  CHECK(std::distance(std::filesystem::directory_iterator{top.path()}, std::filesystem::directory_iterator{}) == 1);
}

TEST_CASE("a tree that somebody still writes into is removed, and with it his way in") {
  const TempDir top = temp_dir();
  const std::filesystem::path tree = top.path() / "tree";
  make_directories(tree / "sub");
  std::atomic<int> written{0};
  std::jthread writer{[&] {
    for (;; ++written) {
      const int fd = ::open((tree / "sub" / std::to_string(written)).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
      if (fd < 0) break;
      ::close(fd);
      written.notify_one();
    }
  }};
  written.wait(0);
  remove_tree(tree);
  CHECK_FALSE(std::filesystem::exists(tree));
}
