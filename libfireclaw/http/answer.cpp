#include "http/answer.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"

namespace fireclaw::http {
namespace {

constexpr std::string_view line_end = "\r\n";
/// "HTTP/1.1 200": with the space, and a reason or nothing, after it.
constexpr std::size_t minor_at = 7;
constexpr std::size_t status_at = 9;
constexpr std::size_t status_end = 12;
constexpr int no_content = 204;
constexpr int not_modified = 304;

[[noreturn]] void refuse(std::string_view why) { throw Error{ErrorCode::Io, fmt::format("the answer {}", why)}; }

/// Digits alone, nothing else.
template <typename Number>
std::optional<Number> parse_digits(std::string_view text) {
  Number number{};
  const bool digits = !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
  if (!digits || std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc{}) return std::nullopt;
  return number;
}

std::string_view next_line(std::string_view& rest) {
  const auto end = rest.find(line_end);
  if (end == std::string_view::npos) refuse("has a line without an end");
  const auto line = rest.substr(0, end);
  rest.remove_prefix(end + line_end.size());
  if (line.find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos) refuse("has a line in a line");
  return line;
}

bool is_same(std::string_view text, std::string_view lower_case) {
  return std::ranges::equal(text, lower_case, [](char a, char b) { return to_lower(a) == b; });
}

std::string_view trimmed(std::string_view text) {
  const auto begin = std::min(text.find_first_not_of(" \t"), text.size());
  return text.substr(begin, text.find_last_not_of(" \t") + 1 - begin);
}

AnswerHead parse_status_line(std::string_view line) {
  const bool has_form = line.size() >= status_end && line.starts_with("HTTP/1.") && line[minor_at + 1] == ' ' &&
                        (line[minor_at] == '0' || line[minor_at] == '1') &&
                        (line.size() == status_end || line[status_end] == ' ');
  if (!has_form) refuse("is not HTTP");
  AnswerHead head;
  head.status = parse_digits<int>(line.substr(status_at, status_end - status_at)).value_or(0);
  if (head.status < 200) refuse(fmt::format("has no final status: '{}'", line.substr(status_at, 3)));
  head.stays_open = line[minor_at] == '1';
  return head;
}

}  // namespace

AnswerHead parse_answer_head(std::string_view text) {
  auto head = parse_status_line(next_line(text));
  std::optional<std::size_t> length;
  while (!text.empty()) {
    const auto line = next_line(text);
    const auto colon = line.find(':');
    const auto name = line.substr(0, colon);
    if (colon == std::string_view::npos || name.empty() || name.find_first_of(" \t") != std::string_view::npos) {
      refuse("has a header line without a name");
    }
    const auto value = trimmed(line.substr(colon + 1));
    if (is_same(name, "transfer-encoding")) refuse("comes in an encoding that nobody asked for");
    if (is_same(name, "connection") && is_same(value, "close")) head.stays_open = false;
    if (!is_same(name, "content-length")) continue;
    if (length) refuse("says twice how long it is");
    length = parse_digits<std::size_t>(value);
    if (!length) refuse(fmt::format("has '{}' bytes", value.substr(0, 40)));
  }
  if (head.status == no_content || head.status == not_modified) return head;
  if (!length) refuse("does not say how long it is");
  head.body_bytes = *length;
  return head;
}

}  // namespace fireclaw::http
