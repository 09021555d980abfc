#include "sys/page_cache.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/units.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

namespace {

constexpr std::size_t page = 4096;

std::size_t cached_pages(int fd, std::size_t bytes) {
  void* const mapping = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, fd, 0);
  REQUIRE(mapping != MAP_FAILED);
  std::vector<unsigned char> cached((bytes + page - 1) / page);
  const int looked = ::mincore(mapping, bytes, cached.data());
  ::munmap(mapping, bytes);
  REQUIRE(looked == 0);
  return static_cast<std::size_t>(std::ranges::count_if(cached, [](unsigned char each) { return (each & 1) != 0; }));
}

}  // namespace

TEST_CASE("a file is brought into the page cache, its holes too") {
  const TempDir folder = temp_dir();
  constexpr std::size_t bytes = 40 * mib + 1;
  const Fd file = open_file(folder.path() / "memory", O_RDWR | O_CREAT, 0600);
  REQUIRE(::ftruncate(file.get(), bytes) == 0);
  const std::string data(mib, 'x');
  for (const std::size_t offset : {std::size_t{0}, 17 * mib, 39 * mib + 1}) {
    REQUIRE(::pwrite(file.get(), data.data(), data.size(), static_cast<off_t>(offset)) == mib);
  }
  sync_fd(file.get(), "memory");
  REQUIRE(::posix_fadvise(file.get(), 0, 0, POSIX_FADV_DONTNEED) == 0);
  const std::size_t before = cached_pages(file.get(), bytes);

  std::stop_source stop;
  stop.request_stop();
  CHECK(error_of([&] {
          read_into_page_cache(file.get(), {Deadline::never(), stop.get_token()});
        }).first == ErrorCode::Cancelled);
  const auto passed = Deadline::after(std::chrono::nanoseconds{0});
  CHECK(error_of([&] { read_into_page_cache(file.get(), {passed, {}}); }).first == ErrorCode::Timeout);
  CHECK(cached_pages(file.get(), bytes) == before);

  read_into_page_cache(file.get());
  CHECK(cached_pages(file.get(), bytes) == bytes / page + 1);
}

TEST_CASE("an empty file has nothing to read, and a pipe cannot be read ahead") {
  const TempDir folder = temp_dir();
  read_into_page_cache(open_file(folder.path() / "empty", O_RDWR | O_CREAT, 0600).get());
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const Fd from{ends[0]};
  const Fd to{ends[1]};
  CHECK(error_of([&] { read_into_page_cache(from.get()); }).first == ErrorCode::Io);
}
