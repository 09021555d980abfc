#include "common/text/style.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>

#include <fmt/format.h>

#include "common/text/text.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::size_t usual_columns = 80;

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

}  // namespace

Style Style::of(int fd) {
  if (!environment("NO_COLOR").empty()) return Style{false};
  const auto forced = environment("CLICOLOR_FORCE");
  if (!forced.empty() && forced != "0") return Style{true};
  return Style{::isatty(fd) == 1 && environment("TERM") != "dumb"};
}

std::string Style::dress(std::string_view text, std::string_view attributes) const {
  return on_ ? fmt::format("\033[{}m{}\033[0m", attributes, text) : std::string{text};
}

std::size_t columns_of(int fd) {
  winsize size{};
  if (::ioctl(fd, TIOCGWINSZ, &size) != 0) return 0;
  const auto asked = environment("COLUMNS");
  std::size_t columns = 0;
  std::from_chars(asked.data(), asked.data() + asked.size(), columns);
  if (columns > 0) return columns;
  return size.ws_col == 0 ? usual_columns : size.ws_col;
}

void print_message(std::string_view program, std::string_view text) {
  const auto name = Style::of(STDERR_FILENO).bad(fmt::format("{}:", program));
  std::fputs(fmt::format("{} {}\n", name, printable(text)).c_str(), stderr);
}

}  // namespace fireclaw::cli
