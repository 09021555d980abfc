#include "sys/page_cache.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::sys {

void read_into_page_cache(int file, const CopyLimits& limits) {
  // In parts, to be stopped between them.
  constexpr off_t part_bytes = off_t{16} << 20;
  const off_t size = check(::lseek(file, 0, SEEK_END), "read a file's length");
  for (off_t position = 0; position < size; position += part_bytes) {
    if (limits.stop.stop_requested()) throw Error{ErrorCode::Cancelled, "reading ahead was cancelled"};
    limits.deadline.check("reading ahead");
    const auto length = static_cast<std::size_t>(std::min(part_bytes, size - position));
    void* const part = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, file, position);
    if (part == MAP_FAILED) throw_errno("map a file");
    const ScopeGuard unmap{[&] { ::munmap(part, length); }};
    check(retry([&] { return ::madvise(part, length, MADV_POPULATE_READ); }), "read a file ahead");
  }
}

}  // namespace fireclaw::sys
