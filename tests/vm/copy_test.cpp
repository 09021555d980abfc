#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "support.hpp"

using namespace fireclaw;
using test::shell;

namespace {

VM& vm() {
  static VM machine = test::fresh_vm();
  return machine;
}

std::string content(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  return {std::istreambuf_iterator<char>{in}, {}};
}

}  // namespace

TEST_CASE("a file copied in and out again is the same, with its mode") {
  const test::TempFolder folder;
  std::string bytes;
  for (int i = 0; i < 300'000; ++i) bytes += static_cast<char>(i * 7 % 256);
  std::ofstream{folder.path() / "a", std::ios::binary} << bytes;
  std::filesystem::permissions(folder.path() / "a", std::filesystem::perms{0751});
  CHECK(vm().copy_in(folder.path() / "a", "/tmp/b").bytes == bytes.size());
  CHECK(shell(vm(), "stat -c '%a %s' /tmp/b") == "751 300000");
  vm().copy_out("/tmp/b", folder.path() / "c");
  CHECK(content(folder.path() / "c") == bytes);
  CHECK(std::filesystem::status(folder.path() / "c").permissions() == std::filesystem::perms{0751});
}

TEST_CASE("folders are copied with all in them, both ways") {
  const test::TempFolder folder;
  const auto tree = folder.path() / "tree";
  std::filesystem::create_directories(tree / "x/y");
  std::filesystem::create_directory(tree / "empty");
  std::ofstream{tree / "x/y/file with space"} << "one";
  std::ofstream{tree / "zero"};
  std::filesystem::create_symlink("x/y", tree / "link");
  vm().copy_in(tree, "/tmp/in");
  CHECK(shell(vm(), "cd /tmp/in && find . | sort | tr '\\n' ' '") ==
        ". ./empty ./link ./x ./x/y ./x/y/file with space ./zero ");
  CHECK(shell(vm(), "readlink /tmp/in/link") == "x/y");
  CHECK(shell(vm(), "cat '/tmp/in/link/file with space'") == "one");
  vm().copy_out("/tmp/in", folder.path() / "out");
  CHECK(content(folder.path() / "out/x/y/file with space") == "one");
  CHECK(std::filesystem::read_symlink(folder.path() / "out/link") == "x/y");
  CHECK(std::filesystem::is_directory(folder.path() / "out/empty"));
}

TEST_CASE("an existing folder receives what is copied to it under its own name") {
  const test::TempFolder folder;
  std::ofstream{folder.path() / "note"} << "hello";
  shell(vm(), "mkdir -p /tmp/box");
  vm().copy_in(folder.path() / "note", "/tmp/box");
  CHECK(shell(vm(), "cat /tmp/box/note") == "hello");
  vm().copy_out("/tmp/box/note", folder.path());
  CHECK(content(folder.path() / "note") == "hello");
}

TEST_CASE("what is missing on either side is named in the error") {
  const test::TempFolder folder;
  const auto in = test::error_of([&] { vm().copy_in(folder.path() / "nothing", "/tmp/x"); });
  CHECK(in.code() == ErrorCode::NotFound);
  CHECK(std::string{in.what()}.find("nothing") != std::string::npos);
  const auto out = test::error_of([&] { vm().copy_out("/tmp/not-there", folder.path() / "x"); });
  CHECK(std::string{out.what()}.find("/tmp/not-there") != std::string::npos);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("a guest's disk that is full ends the copy with an error, and the machine continues") {
  const test::TempFolder folder;
  const auto big = folder.path() / "big";
  std::ofstream{big} << std::string(8 << 20, 'x');
  shell(vm(), "mkdir -p /tmp/small && mount -t tmpfs -o size=1m none /tmp/small");
  const auto error = test::error_of([&] { vm().copy_in(big, "/tmp/small/big"); });
  CHECK(std::string{error.what()}.find("no space left") != std::string::npos);
  CHECK(shell(vm(), "echo alive") == "alive");
}
