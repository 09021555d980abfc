#include "vmm/firecracker/sparse.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "sys/file.hpp"

namespace fireclaw::vmm::firecracker {
namespace {

constexpr std::size_t kib = 1024;

TEST_CASE("the empty parts of a file take no space, and it reads as before") {
  const sys::TempDir directory{"/tmp", "fireclaw-sparse"};
  const auto path = directory.path() / "memory";
  std::string content(8192 * kib, '\0');
  SUBCASE("nothing but zeros") {}
  SUBCASE("a word here and there") {
    content[0] = 'a';
    content[1000 * kib + 7] = 'b';
    content[4096 * kib - 1] = 'c';
    content[4096 * kib] = 'd';
    content.back() = 'e';
  }
  SUBCASE("an odd length") {
    content.resize(3000 * kib + 17);
    content[1500 * kib] = 'a';
  }
  SUBCASE("full") { content.assign(content.size(), 'x'); }
  SUBCASE("empty") { content.clear(); }
  sys::write_file_atomic(path, content);
  const auto before = sys::allocated_bytes(path);
  const auto given_back = dig_holes(path);
  CHECK(sys::read_file(path) == content);
  const auto zeros = static_cast<std::size_t>(std::count(content.begin(), content.end(), '\0'));
  CHECK(given_back <= zeros);
  if (given_back > 0) {
    CHECK(sys::allocated_bytes(path) <= before - given_back + 64 * kib);
    CHECK(zeros - given_back < 6 * 64 * kib);
  } else {
    CHECK(zeros < 64 * kib);
  }
  CHECK(dig_holes(path) == given_back);  // holes read as zeros: the same again
}

}  // namespace
}  // namespace fireclaw::vmm::firecracker
