#include <doctest/doctest.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <iterator>
#include <random>
#include <stop_token>

#include "base/units.hpp"
#include "sys/file.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

namespace {

constexpr std::size_t page = 4096;

void put(int fd, std::size_t offset, std::string_view text) {
  REQUIRE(::pwrite(fd, text.data(), text.size(), static_cast<off_t>(offset)) == static_cast<ssize_t>(text.size()));
}

std::string content_of(int fd) {
  struct stat status;
  REQUIRE(::fstat(fd, &status) == 0);
  std::string content(static_cast<std::size_t>(status.st_size), '?');
  std::size_t done = 0;
  while (done < content.size()) {
    const ssize_t got = ::pread(fd, content.data() + done, content.size() - done, static_cast<off_t>(done));
    REQUIRE(got > 0);
    done += static_cast<std::size_t>(got);
  }
  return content;
}

std::uint64_t blocks_of(int fd) {
  struct stat status;
  REQUIRE(::fstat(fd, &status) == 0);
  return static_cast<std::uint64_t>(status.st_blocks) * 512;
}

}  // namespace

TEST_CASE("a sparse copy has the same content and keeps the holes") {
  const Fd source = make_memfd("source", 64 * mib);
  put(source.get(), 0, "start");
  put(source.get(), 10 * mib + 123, std::string(page, 'x'));
  put(source.get(), 64 * mib - 1, "z");
  const Fd target = make_memfd("target", 0);
  CHECK(copy_sparse(source.get(), target.get()) == 4 * page);
  CHECK(content_of(target.get()) == content_of(source.get()));
  CHECK(blocks_of(target.get()) == 4 * page);
}

TEST_CASE("pages of zeros that were written become holes") {
  const Fd source = make_memfd("source", 0);
  std::string content(8 * mib, '\0');
  content[3 * mib] = 'a';
  content[5 * mib + page - 1] = 'b';
  put(source.get(), 0, content);
  CHECK(blocks_of(source.get()) == 8 * mib);
  const Fd target = make_memfd("target", 0);
  CHECK(copy_sparse(source.get(), target.get()) == 2 * page);
  CHECK(content_of(target.get()) == content);
  CHECK(blocks_of(target.get()) == 2 * page);
}

TEST_CASE("what the target held before shows nowhere in the copy") {
  const Fd source = make_memfd("source", 100'000);
  put(source.get(), 50'000, "data");
  const Fd target = make_memfd("target", 0);
  put(target.get(), 0, std::string(300'000, 'o'));
  copy_sparse(source.get(), target.get());
  CHECK(content_of(target.get()) == content_of(source.get()));
}

TEST_CASE("copies of any length and layout are exact") {
  std::mt19937 random{11};
  const Fd target = make_memfd("target", 0);
  for (int round = 0; round < 50; ++round) {
    const std::size_t length = random() % (2 * mib);
    const Fd source = make_memfd("source", length);
    for (unsigned piece = 0; piece < 10 && length > 0; ++piece) {
      const std::size_t offset = random() % length;
      const std::size_t size = std::min<std::size_t>(random() % 100'000, length - offset);
      put(source.get(), offset, std::string(size, static_cast<char>(random() % 3)));
    }
    copy_sparse(source.get(), target.get());
    REQUIRE(content_of(target.get()) == content_of(source.get()));
  }
  const Fd empty = make_memfd("empty", 0);
  CHECK(copy_sparse(empty.get(), target.get()) == 0);
  CHECK(content_of(target.get()).empty());
}

TEST_CASE("a cloned file has the content of the first, and a life of its own") {
  const TempDir folder = temp_dir();
  const std::filesystem::path first = folder.path() / "first";
  const std::filesystem::path second = folder.path() / "second";
  {
    const Fd file = open_file(first, O_RDWR | O_CREAT);
    REQUIRE(::ftruncate(file.get(), 16 * mib) == 0);
    put(file.get(), 5 * mib, "data");
  }
  const bool shared = clone_file(first, second, 0640);
  MESSAGE("blocks shared: ", shared);
  CHECK(read_file(second) == read_file(first));
  CHECK(allocated_bytes(second) <= allocated_bytes(first));
  CHECK(allocated_bytes(second) < mib);
  struct stat status;
  REQUIRE(::stat(second.c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0640);
  put(open_file(second, O_RDWR).get(), 5 * mib, "DATA");
  CHECK(read_file(first).substr(5 * mib, 4) == "data");
}

TEST_CASE("a file is moved over what is there, also to another file system") {
  const TempDir folder = temp_dir();
  const std::filesystem::path source = folder.path() / "source";
  // Its own file system in memory, wherever the tests are built.
  for (const auto& parent : {folder.path(), std::filesystem::path{"/dev/shm"}}) {
    CAPTURE(parent.string());
    const TempDir there{parent, "move-test-"};
    write_file_atomic(source, "new");
    write_file_atomic(there.path() / "target", "old");
    move_file(source, there.path() / "target");
    CHECK(read_file(there.path() / "target") == "new");
    CHECK_FALSE(std::filesystem::exists(source));
    CHECK(error_of([&] { move_file(source, there.path() / "target"); }).first == ErrorCode::NotFound);
    CHECK(std::distance(std::filesystem::directory_iterator{there.path()}, {}) == 1);
  }
}

TEST_CASE("cloning neither replaces a file nor leaves half of one") {
  const TempDir folder = temp_dir();
  const std::filesystem::path first = folder.path() / "first";
  const std::filesystem::path second = folder.path() / "second";
  write_file_atomic(first, "one");
  write_file_atomic(second, "two");
  CHECK(error_of([&] { clone_file(first, second); }).first == ErrorCode::AlreadyExists);
  CHECK(read_file(second) == "two");
  CHECK(error_of([&] { clone_file(folder.path() / "missing", folder.path() / "third"); }).first == ErrorCode::NotFound);
  // A folder can be opened but not copied.
  CHECK(error_of([&] { clone_file(folder.path(), folder.path() / "third"); }).first != ErrorCode::Internal);
  CHECK_FALSE(std::filesystem::exists(folder.path() / "third"));
}

TEST_CASE("a copy ends when it is told to, or its time is over, and leaves nothing") {
  const TempDir folder = temp_dir();
  const std::filesystem::path first = folder.path() / "first";
  write_file_atomic(first, std::string(2 * mib, 'x'));
  if (shares_blocks(first, folder.path())) return;  // then there is nothing to wait for
  std::stop_source stop;
  stop.request_stop();
  const auto second = folder.path() / "second";
  CHECK(error_of([&] {
          clone_file(first, second, 0600, {Deadline::never(), stop.get_token()});
        }).first == ErrorCode::Cancelled);
  const auto passed = Deadline::after(std::chrono::nanoseconds{0});
  CHECK(error_of([&] { clone_file(first, second, 0600, {passed, {}}); }).first == ErrorCode::Timeout);
  CHECK_FALSE(std::filesystem::exists(second));
  const Fd source = make_memfd("source", 0);
  put(source.get(), 0, "data");
  const Fd target = make_memfd("target", 0);
  CHECK(error_of([&] {
          copy_sparse(source.get(), target.get(), {Deadline::never(), stop.get_token()});
        }).first == ErrorCode::Cancelled);
}

TEST_CASE("trying out whether blocks are shared leaves nothing behind") {
  const TempDir folder = temp_dir();
  write_file_atomic(folder.path() / "first", "one");
  const auto copied = folder.path() / "second";
  CHECK(shares_blocks(folder.path() / "first", folder.path()) == clone_file(folder.path() / "first", copied));
  CHECK(std::distance(std::filesystem::directory_iterator{folder.path()}, {}) == 2);
}
