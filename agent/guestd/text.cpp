#include "text.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace fireclaw::guestd {

std::string cat(std::initializer_list<std::string_view> pieces) {
  std::size_t length = 0;
  for (const std::string_view piece : pieces) length += piece.size();
  std::string text;
  text.reserve(length);
  for (const std::string_view piece : pieces) text.append(piece);
  return text;
}

std::string error_text(int error) {
  const char* known = strerrordesc_np(error);
  if (!known) return cat({"error ", std::to_string(error)});
  std::string text = known;
  // "No such file", but "RPC ..." stays.
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) pieces.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return pieces;
}

bool parse_number(std::string_view text, unsigned long max, unsigned long& value) {
  if (text.empty()) return false;
  unsigned long result = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9') return false;
    const auto added = static_cast<unsigned long>(digit - '0');
    if (result > (max - added) / 10) return false;
    result = result * 10 + added;
  }
  if (result > max) return false;
  value = result;
  return true;
}

bool read_file(const char* path, std::string& content) {
  content.clear();
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char buffer[4096];
  for (;;) {
    const ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      const int error = errno;
      close(fd);
      errno = error;
      return got == 0;
    }
    content.append(buffer, static_cast<std::size_t>(got));
  }
}

bool write_file(const char* path, std::string_view content, unsigned mode) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
  if (fd < 0) return false;
  bool ok = true;
  while (ok && !content.empty()) {
    const ssize_t written = write(fd, content.data(), content.size());
    if (written > 0) content.remove_prefix(static_cast<std::size_t>(written));
    ok = written > 0 || (written < 0 && errno == EINTR);
  }
  const int error = errno;
  close(fd);
  errno = error;
  return ok;
}

void log(std::initializer_list<std::string_view> pieces) {
  std::string line = "guestd: ";
  line += cat(pieces);
  line += '\n';
  // Nobody can be told if the console takes nothing.
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace fireclaw::guestd
