#include "vmm/firecracker/sparse.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <span>
#include <vector>

#include "sys/fd.hpp"
#include "sys/file.hpp"

namespace fireclaw::vmm::firecracker {

namespace {

/// The shortest run worth a hole: each costs an entry in the file's map of blocks.
constexpr std::size_t unit_bytes = std::size_t{64} << 10;
constexpr std::size_t read_bytes = 16 * unit_bytes;

bool is_zero(std::span<const std::byte> bytes) {
  return bytes.empty() ||
         (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

/// False if the file system knows no holes.
bool punch(int fd, std::uint64_t offset, std::uint64_t length, const std::filesystem::path& path) {
  if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(length)) == 0) {
    return true;
  }
  if (errno == EOPNOTSUPP || errno == ENOSYS) return false;
  sys::throw_errno(fmt::format("free the empty parts of '{}'", path.string()));
}

}  // namespace

std::uint64_t dig_holes(const std::filesystem::path& path) {
  const sys::Fd file = sys::open_file(path, O_RDWR);
  std::vector<std::byte> buffer(read_bytes);
  std::uint64_t given_back = 0;
  std::uint64_t run_start = 0;
  std::uint64_t offset = 0;
  const auto end_run = [&](std::uint64_t end) {
    if (end == run_start) return true;
    given_back += end - run_start;
    return punch(file.get(), run_start, end - run_start, path);
  };
  for (;;) {
    const auto got = sys::check(
        sys::retry([&] { return ::pread(file.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset)); }),
        fmt::format("read '{}'", path.string()));
    if (got == 0) break;
    for (std::size_t at = 0; at < static_cast<std::size_t>(got); at += unit_bytes) {
      const auto unit = std::span{buffer}.subspan(at, std::min(unit_bytes, static_cast<std::size_t>(got) - at));
      if (is_zero(unit)) continue;
      if (!end_run(offset + at)) return 0;
      run_start = offset + at + unit.size();
    }
    offset += static_cast<std::uint64_t>(got);
  }
  if (!end_run(offset)) return 0;
  sys::sync_fd(file.get(), path);
  return given_back;
}

}  // namespace fireclaw::vmm::firecracker
