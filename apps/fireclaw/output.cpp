#include "output.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "common/quantities.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::size_t default_columns = 100;
constexpr std::chrono::milliseconds redraw_interval{100};

/// The terminal's width on standard output, or 0 if it is none.
std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col == 0 ? default_columns : size.ws_col;
}

/// Code points, which is what columns are for the texts that tables show.
std::size_t width(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string cut(const std::string& text, std::size_t columns) {
  if (width(text) <= columns || columns == 0) return text;
  std::string shortened;
  std::size_t used = 0;
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) & 0xC0) != 0x80 && ++used == columns) break;
    shortened += c;
  }
  return shortened + "…";
}

void print_row(const std::vector<std::string>& row, const std::vector<std::size_t>& widths, std::size_t columns) {
  std::string line;
  std::size_t used = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i + 1 == row.size()) {
      line += columns > used ? cut(row[i], columns - used) : row[i];
    } else {
      line += row[i] + std::string(widths[i] - width(row[i]) + 2, ' ');
      used += widths[i] + 2;
    }
  }
  std::puts(line.c_str());
}

}  // namespace

void print_json(const Json& value) { std::puts(value.dump(2, ' ', false, Json::error_handler_t::replace).c_str()); }

void Table::print() const {
  std::vector<std::size_t> widths;
  for (const auto& heading : headings_) widths.push_back(width(heading));
  for (const auto& row : rows_) {
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width(row[i]));
  }
  const auto columns = terminal_columns();
  print_row(headings_, widths, columns);
  for (const auto& row : rows_) print_row(row, widths, columns);
}

std::string human_bytes(std::uint64_t bytes) {
  constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return value < 10 && unit > 0 ? fmt::format("{:.1f} {}", value, units[unit])
                                : fmt::format("{:.0f} {}", value, units[unit]);
}

double to_ms(std::chrono::nanoseconds duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

std::string human_duration(std::chrono::nanoseconds duration) {
  const auto ms = to_ms(duration);
  return ms < 1000 ? fmt::format("{:.1f} ms", ms) : fmt::format("{:.2f} s", ms / 1000);
}

Json to_json(const VMInfo& info) {
  return {{"id", info.id},
          {"state", std::string{to_string(info.state)}},
          {"image", info.image},
          {"engine", info.engine},
          {"cpus", info.cpus},
          {"memory_mib", info.memory_mib},
          {"network", std::string{to_string(info.network)}},
          {"address", info.address},
          {"hostname", info.hostname},
          {"workspace", info.workspace},
          {"agent", info.agent},
          {"snapshot", info.snapshot},
          {"detached", info.detached},
          {"engine_pid", info.engine_pid},
          {"created", iso_time(info.created)}};
}

Json to_json(const SnapshotInfo& info) {
  return {{"name", info.name},
          {"image", info.image},
          {"engine", info.engine},
          {"cpus", info.cpus},
          {"memory_mib", info.memory_mib},
          {"network_device", info.network_device},
          {"bytes", info.bytes},
          {"created", iso_time(info.created)},
          {"automatic", info.automatic},
          {"agent", info.agent},
          {"usable", info.usable},
          {"reason", info.reason}};
}

Json to_json(const ImageInfo& info) {
  return {{"name", info.name},
          {"source", info.source},
          {"kernel_release", info.kernel_release},
          {"kernel_source", info.kernel_source},
          {"rootfs_type", info.rootfs_type},
          {"command", info.command},
          {"digest", info.digest},
          {"bytes", info.bytes},
          {"created", iso_time(info.created)}};
}

Json to_json(const EngineVerdict& verdict) {
  return {{"engine", verdict.engine},
          {"binary", verdict.binary.native()},
          {"version", verdict.version},
          {"cpu_model", verdict.cpu_model},
          {"kernel_release", verdict.kernel_release},
          {"kernel_sha256", verdict.kernel_sha256},
          {"works", verdict.works},
          {"reason", verdict.reason},
          {"boot_time_ms", verdict.boot_time.count()}};
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
