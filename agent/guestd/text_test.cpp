#include "text.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <cerrno>
#include <climits>
#include <filesystem>
#include <string>

#include "sys/file.hpp"

namespace fireclaw::guestd {

TEST_CASE("errors begin small, but for those that begin with the name of something") {
  CHECK(error_text(ENOENT) == "no such file or directory");
  CHECK(error_text(EADV) == "advertise error");
  CHECK(error_text(EXFULL) == "exchange full");
  CHECK(error_text(EDOTDOT) == "RFS specific error");
  CHECK(error_text(ELIBACC) == "can not access a needed shared library");
  CHECK(error_text(ELIBSCN) == ".lib section in a.out corrupted");
  CHECK(error_text(12345) == "error 12345");
}

TEST_CASE("numbers are digits alone, up to the largest") {
  unsigned long value = 7;
  for (const std::string_view text : {"", "-1", "+1", " 1", "1 ", "1a", "/", ":", "11", "100"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_number(text, 10, value));
    CHECK(value == 7);
  }
  CHECK(parse_number("10", 10, value));
  CHECK(value == 10);
  CHECK(parse_number("009", 10, value));
  CHECK(value == 9);
  // More than the largest in its only digit.
  CHECK_FALSE(parse_number("9", 5, value));
  CHECK(parse_number(std::to_string(ULONG_MAX), ULONG_MAX, value));
  CHECK(value == ULONG_MAX);
  CHECK_FALSE(parse_number(std::to_string(ULONG_MAX) + "0", ULONG_MAX, value));
}

TEST_CASE("a file is read and written whole, whatever it had before") {
  const sys::TempDir folder{"/tmp", "fireclaw-text-"};
  const std::string path = (folder.path() / "file").string();
  const std::string large(10'000, 'x');
  REQUIRE(write_file(path.c_str(), large, 0600));
  CHECK((std::filesystem::status(path).permissions() & std::filesystem::perms::all) ==
        static_cast<std::filesystem::perms>(0600));
  std::string content = "before";
  REQUIRE(read_file(path.c_str(), content));
  CHECK(content == large);
  REQUIRE(write_file(path.c_str(), "short"));
  REQUIRE(read_file(path.c_str(), content));
  CHECK(content == "short");
  REQUIRE(write_file(path.c_str(), ""));
  REQUIRE(read_file(path.c_str(), content));
  CHECK(content.empty());
}

TEST_CASE("a file that cannot be read or written says why, and leaves no descriptor behind") {
  const auto descriptors = [] { return std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}); };
  const auto before = descriptors();
  std::string content;
  errno = 0;
  CHECK_FALSE(read_file("/nowhere/file", content));
  CHECK(errno == ENOENT);
  CHECK_FALSE(read_file("/tmp", content));
  CHECK(errno == EISDIR);
  CHECK_FALSE(write_file("/nowhere/file", "x"));
  CHECK(errno == ENOENT);
  CHECK_FALSE(write_file("/dev/full", "x"));
  CHECK(errno == ENOSPC);
  CHECK(read_file("/dev/null", content));
  CHECK(write_file("/dev/null", "x"));
  CHECK(descriptors() == before);
}

}  // namespace fireclaw::guestd
