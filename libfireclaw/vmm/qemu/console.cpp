#include "vmm/qemu/console.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "sys/file.hpp"

namespace fireclaw::vmm::qemu {
namespace {

constexpr const char* console_file_name = "fireclaw-console";

}  // namespace

std::optional<sys::Fd> open_memfd_of(const sys::ProcessId& id, const std::string& name, int flags) {
  const std::string target = fmt::format("/memfd:{} (deleted)", name);
  std::error_code error;
  for (std::filesystem::directory_iterator entry{fmt::format("/proc/{}/fd", id.pid), error}, end;
       !error && entry != end; entry.increment(error)) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry->path(), gone) != target) continue;
    const int fd = sys::retry([&] { return ::open(entry->path().c_str(), flags | O_CLOEXEC); });
    if (fd < 0) continue;
    sys::Fd file{fd};
    // Not of another process that has got the same number meanwhile.
    if (!sys::is_alive(id)) return std::nullopt;
    return file;
  }
  return std::nullopt;
}

Console::Created Console::create() {
  sys::Fd file{sys::check(::memfd_create(console_file_name, MFD_CLOEXEC | MFD_ALLOW_SEALING), "create the console")};
  // Opened again for the engine: our seeks must not move its place in the file, and QEMU takes only a descriptor that
  // can do no more than it needs.
  auto engine_end = sys::open_file(fmt::format("/proc/self/fd/{}", file.get()), O_WRONLY);
  return {Console{std::move(file)}, std::move(engine_end)};
}

void Console::seal() {
  sys::check(::ftruncate(file_.get(), static_cast<off_t>(capacity_bytes)), "size the console");
  sys::check(::fcntl(file_.get(), F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL), "seal the console");
}

std::optional<Console> Console::of(const sys::ProcessId& engine) {
  auto file = open_memfd_of(engine, console_file_name, O_RDONLY);
  if (!file) return std::nullopt;
  return Console{std::move(*file)};
}

std::string Console::tail(std::size_t max_bytes) const {
  // Written from the start, zero behind. Holes are pages that were never written.
  const off_t hole = ::lseek(file_.get(), 0, SEEK_HOLE);
  std::string text(hole < 0 ? capacity_bytes : static_cast<std::size_t>(hole), '\0');
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t got = sys::retry(
        [&] { return ::pread(file_.get(), text.data() + done, text.size() - done, static_cast<off_t>(done)); });
    if (got <= 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  text.erase(text.find_last_not_of('\0') + 1);
  if (text.size() > max_bytes) text.erase(0, text.size() - max_bytes);
  return text;
}

}  // namespace fireclaw::vmm::qemu
