#include "output.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <numeric>
#include <utility>

#include <fmt/format.h>

#include "command.hpp"
#include "common/text/quantities.hpp"
#include "common/text/style.hpp"
#include "common/text/text.hpp"
#include "sys/base64.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::chrono::milliseconds redraw_interval{100};
constexpr std::size_t column_gap = 2;
constexpr std::size_t least_width = 6;

using Lines = std::vector<std::vector<std::string>>;

/// Those of which only the heading is there.
void drop_empty_columns(Lines& lines) {
  for (std::size_t column = lines.front().size(); column-- > 0 && lines.size() > 1;) {
    const bool empty = std::all_of(lines.begin() + 1, lines.end(), [&](auto& line) { return line[column].empty(); });
    if (!empty) continue;
    for (auto& line : lines) line.erase(line.begin() + static_cast<std::ptrdiff_t>(column));
  }
}

std::vector<std::size_t> widths_of(const Lines& lines) {
  std::vector<std::size_t> widths(lines.front().size());
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], width(line[i]));
  }
  return widths;
}

/// The widest columns give way first, down to what can still be told apart; the first, by which things are named, only
/// when nothing else is left. 0 columns: no limit.
std::vector<std::size_t> fitting(std::vector<std::size_t> widths, std::size_t columns) {
  const auto total = [&] {
    return std::accumulate(widths.begin(), widths.end(), std::size_t{0}) + column_gap * (widths.size() - 1);
  };
  while (columns > 0 && total() > columns) {
    auto widest = std::max_element(widths.begin() + 1, widths.end());
    if (widest == widths.end() || *widest <= least_width) widest = widths.begin();
    if (*widest <= least_width) break;
    --*widest;
  }
  return widths;
}

std::string to_line(const std::vector<std::string>& row, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const auto cell = shorten(row[i], widths[i]);
    line += cell;
    if (i + 1 < row.size()) line += std::string(widths[i] - width(cell) + column_gap, ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

}  // namespace

int print_json(const Json& value) {
  std::puts(escape_controls(value.dump(2, ' ', false, Json::error_handler_t::replace)).c_str());
  return 0;
}

int for_each_of(const std::vector<std::string>& names, const std::function<void(const std::string&)>& action) {
  int status = 0;
  for (const auto& name : names) {
    try {
      action(name);
    } catch (const Error& problem) {
      if (names.size() == 1) throw;
      print_message("fireclaw", problem.what());
      status = exit_failure;
    }
  }
  return status;
}

int for_each_of(const std::vector<std::string>& names, const char* done, bool json,
                const std::function<void(const std::string&)>& action) {
  Json succeeded = Json::array();
  const int status = for_each_of(names, [&](const std::string& name) {
    action(name);
    succeeded.push_back(name);
  });
  if (json) print_json({{done, succeeded}});
  return status;
}

void Table::print() const {
  const auto columns = columns_of(STDOUT_FILENO);
  std::vector<std::vector<std::string>> lines{headings_};
  for (const auto& row : rows_) {
    auto& line = lines.emplace_back();
    for (const auto& cell : row) line.push_back(printable(cell));
  }
  if (columns > 0) drop_empty_columns(lines);
  const auto widths = fitting(widths_of(lines), columns);
  const auto style = Style::of(STDOUT_FILENO);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const auto text = to_line(lines[i], widths);
    std::puts((i == 0 ? style.heading(text) : text).c_str());
  }
}

Json to_json(const ExecResult& result, int status) {
  Json out{{"status", status},
           {"signal", result.signal},
           {"timed_out", result.timed_out},
           {"cancelled", result.cancelled},
           {"truncated", result.truncated},
           {"stdout", result.out},
           {"stderr", result.err}};
  // JSON holds text alone: what is not UTF-8 is replaced above, and stands here as it was.
  if (!is_utf8(result.out)) out["stdout_base64"] = sys::to_base64(result.out);
  if (!is_utf8(result.err)) out["stderr_base64"] = sys::to_base64(result.err);
  return out;
}

ProgressPrinter::ProgressPrinter() : terminal_{::isatty(STDERR_FILENO) == 1} {}

void ProgressPrinter::finish() {
  if (!shown_.empty()) std::fputs("\n", stderr);
  shown_.clear();
}

void ProgressPrinter::operator()(const Progress& progress) {
  const auto now = std::chrono::steady_clock::now();
  const auto [step, fresh] = began_.try_emplace(std::string{progress.step}, now);
  const auto took = human_duration(now - step->second);
  if (progress.finished) began_.erase(step);
  if (!terminal_) {
    if (progress.finished) {
      std::fputs(fmt::format("{}: done ({})\n", progress.step, took).c_str(), stderr);
    } else if (fresh) {
      std::fputs(fmt::format("{} ...\n", progress.step).c_str(), stderr);
    }
    return;
  }
  if (progress.step != shown_) {
    finish();
  } else if (!progress.finished && now - drawn_ < redraw_interval) {
    return;
  }
  shown_ = progress.step;
  drawn_ = now;
  constexpr std::size_t bar_width = 24;
  std::string bar;
  if (progress.total > 0) {
    const auto done = std::min(progress.done, progress.total);
    const auto filled = static_cast<std::size_t>(bar_width * done / progress.total);
    bar = fmt::format(" [{}{}] {:3}%", std::string(filled, '#'), std::string(bar_width - filled, '-'),
                      100 * done / progress.total);
  }
  std::fputs(fmt::format("\r\033[K{}{} {}", progress.step, bar, took).c_str(), stderr);
  if (progress.finished) finish();
}

}  // namespace fireclaw::cli
