#include "snapshot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

namespace fake {

namespace {

constexpr std::string_view magic = "FAKESNAP";

std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t sum = 0xcbf29ce484222325;
  for (const char c : bytes) sum = (sum ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return sum;
}

template <typename T>
std::string raw(const T& value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

/// Opens a file to be written from its start; -1 with errno.
int create(const std::string& path) { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644); }

bool write_whole(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const auto got = ::write(fd, bytes.data(), bytes.size());
    if (got < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(got));
  }
  return ::fsync(fd) == 0;
}

}  // namespace

std::string os_error(int number) { return fmt::format("{} (os error {})", std::strerror(number), number); }

std::optional<std::string> write_state(const std::string& path, const Json& machine) {
  const int fd = create(path);
  if (fd < 0) return "Cannot perform open on the snapshot backing file: " + os_error(errno);
  const std::string body = machine.serialize();
  const bool written =
      write_whole(fd, std::string{magic} + raw(std::uint64_t{body.size()}) + body + raw(checksum(body)));
  const int error = errno;
  ::close(fd);
  if (!written) return "Cannot perform write on the snapshot backing file: " + os_error(error);
  return std::nullopt;
}

std::optional<std::string> read_state(const std::string& path, Json& machine) {
  const std::string prefix = "Failed to get snapshot state from file: ";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return prefix + "Failed to open snapshot file: " + os_error(errno);
  std::string content;
  char buffer[4096];
  for (ssize_t got = 0; (got = ::read(fd, buffer, sizeof buffer)) > 0;) {
    content.append(buffer, static_cast<std::size_t>(got));
  }
  ::close(fd);
  const std::string torn =
      prefix + "Failed to load snapshot state from file: An error occurred during bitcode serialization: bitcode error";
  std::uint64_t length = 0;
  const std::size_t head = magic.size() + sizeof length;
  if (content.size() < head + sizeof length) return torn;
  std::memcpy(&length, content.data() + magic.size(), sizeof length);
  if (content.size() != head + length + sizeof length) return torn;
  const std::string body = content.substr(head, length);
  if (content.substr(head + length) != raw(checksum(body)) || !content.starts_with(magic)) {
    return prefix + "Failed to load snapshot state from file: CRC64 validation failed";
  }
  machine = parse_json(body);
  return std::nullopt;
}

std::optional<std::string> write_memory(const std::string& path, std::int64_t mib, bool disk_full) {
  const int fd = create(path);
  if (fd < 0) return "Cannot perform open on the memory backing file: " + os_error(errno);
  const bool written = ::ftruncate(fd, mib << 20) == 0 && write_whole(fd, "guest memory");
  const int error = disk_full ? ENOSPC : errno;
  ::close(fd);
  if (!written || disk_full) return "Cannot write memory file: " + os_error(error);
  return std::nullopt;
}

std::optional<std::string> check_memory(const std::string& path, std::int64_t mib) {
  const std::string prefix = "Failed to load guest memory: Error creating guest memory from file: ";
  struct stat status {};
  if (::stat(path.c_str(), &status) < 0) return prefix + "Failed to load guest memory: " + os_error(errno);
  if (status.st_size < mib << 20) {
    return prefix + "Failed to restore guest memory: Total sum of memory regions exceeds largest possible file offset";
  }
  return std::nullopt;
}

}  // namespace fake
