#include "vmm/text_pipe.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "sys/file.hpp"

namespace fireclaw::vmm {

namespace {

/// Kept of what was taken out of the pipe.
constexpr std::size_t kept_bytes = std::size_t{256} << 10;

}  // namespace

TextPipe::TextPipe(std::filesystem::path path, sys::Fd reader) : path_{std::move(path)}, reader_{std::move(reader)} {}

TextPipe::TextPipe(TextPipe&& other) noexcept
    : path_{std::move(other.path_)}, reader_{std::move(other.reader_)}, seen_{std::move(other.seen_)} {}

TextPipe TextPipe::create(std::filesystem::path path) {
  const auto make = [&] { return ::mkfifo(path.c_str(), 0600); };
  int made = make();
  if (made < 0 && errno == EEXIST) {
    std::filesystem::remove(path);
    made = make();
  }
  sys::check(made, fmt::format("create '{}'", path.string()));
  sys::Fd reader = sys::open_file(path, O_RDONLY | O_NONBLOCK);
  return TextPipe{std::move(path), std::move(reader)};
}

std::optional<TextPipe> TextPipe::open(const std::filesystem::path& path) {
  sys::Fd reader{::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC)};
  struct stat status {};
  if (reader.get() < 0 || ::fstat(reader.get(), &status) < 0 || !S_ISFIFO(status.st_mode)) return std::nullopt;
  return TextPipe{path, std::move(reader)};
}

sys::Fd TextPipe::engine_end() const { return sys::open_file(path_, O_RDWR | O_NONBLOCK); }

void TextPipe::drain() const {
  std::array<std::byte, 16384> buffer{};
  // Bounded, since a guest may write faster than it is read.
  for (std::size_t taken = 0; taken < kept_bytes;) {
    const auto got = sys::read_some(reader_.get(), buffer);
    if (got <= 0) break;
    seen_.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
    taken += static_cast<std::size_t>(got);
  }
  if (seen_.size() > kept_bytes) seen_.erase(0, seen_.size() - kept_bytes);
}

std::string TextPipe::tail(std::size_t max_bytes) const {
  const std::scoped_lock lock{mutex_};
  drain();
  return seen_.size() <= max_bytes ? seen_ : seen_.substr(seen_.size() - max_bytes);
}

}  // namespace fireclaw::vmm
