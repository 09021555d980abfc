#include "gateway/records/refusals.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <span>
#include <utility>

#include "base/deadline.hpp"
#include "sys/file.hpp"

namespace fireclaw::gateway {
namespace {

/// Machines come and go; beyond this, what is kept of them is forgotten.
constexpr std::size_t most_machines = 1024;
constexpr std::size_t most_same = 256;
constexpr std::size_t most_counts = 4096;
/// A host name is shorter.
constexpr std::size_t longest_text = 256;
constexpr std::size_t most_read = std::size_t{64} << 20;

std::filesystem::path earlier(const std::filesystem::path& file) { return file.native() + ".1"; }

/// What a guest wrote, as text that no terminal and no reader of JSON stumbles over.
std::string printable(std::string_view text) {
  std::string clean{text.substr(0, longest_text)};
  for (char& c : clean) {
    if (c < ' ' || c > '~') c = '?';
  }
  return clean;
}

/// Whether `file` is what `fd` is open on: it is put aside when it is long, by any process.
bool is_current(int fd, const std::filesystem::path& file) {
  struct stat mine {};
  struct stat current {};
  return ::fstat(fd, &mine) == 0 && ::stat(file.c_str(), &current) == 0 && mine.st_ino == current.st_ino;
}

/// The file, for this process alone: it is neither written to nor put aside by another meanwhile. Without a time limit,
/// so that nobody is passed over: a line is written in microseconds.
sys::FileLock take(const std::filesystem::path& file) {
  return sys::FileLock::acquire(file, sys::FileLock::Mode::Exclusive, Deadline::never(), "the log of refusals");
}

/// Takes the whole lines out of `text`.
std::vector<RefusalLine> take_lines(std::string& text) {
  std::vector<RefusalLine> lines;
  std::size_t begin = 0;
  for (std::size_t end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    try {
      const auto value = json::Value::parse(std::string_view{text}.substr(begin, end - begin), "the log of refusals");
      lines.push_back(json::read_record<RefusalLine>(value));
    } catch (const Error&) {
      // Torn by a power failure, or of another version.
      continue;
    }
  }
  text.erase(0, begin);
  return lines;
}

}  // namespace

bool is_about(const RefusalLine& line, std::string_view name) {
  return name.empty() || line.agent == name || line.machine_name == name || line.machine == name;
}

std::string_view to_string(RefusedBy refuser) noexcept {
  switch (refuser) {
    case RefusedBy::Firewall: return "firewall";
    case RefusedBy::Names: return "names";
    case RefusedBy::Llm: return "llm";
    case RefusedBy::Irc: return "irc";
    case RefusedBy::Proxy: return "proxy";
  }
  return "";
}

Refusals::Refusals(std::filesystem::path file, const Clock& clock, Logger logger, RefusalLimits limits)
    : file_{std::move(file)}, clock_{clock}, logger_{std::move(logger)}, limits_{limits} {}

void Refusals::add(const Client& client, const Refused& what) noexcept {
  try {
    count(client, what);
    if (file_.empty()) return;
    if (machines_.size() >= most_machines && !machines_.contains(client.machine)) machines_.clear();
    auto& machine = machines_[client.machine];
    if (!deserves_line(machine, what)) {
      ++machine.unwritten;
      return;
    }
    RefusalLine line{clock_.wall_now(), client.machine, client.machine_name,
                     client.agent,      what,           std::exchange(machine.unwritten, 0)};
    line.what.name = printable(what.name);
    line.what.reason = printable(what.reason);
    write(line);
    failed_ = false;
  } catch (const std::exception& problem) {
    if (!std::exchange(failed_, true)) logger_.error(problem.what());
  }
}

void Refusals::count(const Client& client, const Refused& what) {
  const std::tuple key{client.name, what.by, what.rule};
  if (counts_.size() >= most_counts && !counts_.contains(key)) counts_.clear();
  ++counts_[key];
}

bool Refusals::deserves_line(Machine& machine, const Refused& what) {
  const auto now = clock_.steady_now();
  const bool first = machine.counted == std::chrono::steady_clock::time_point{};
  const std::chrono::duration<double> passed = now - machine.counted;
  machine.lines =
      first ? limits_.machine_lines
            : std::min(limits_.machine_lines, machine.lines + passed.count() * limits_.machine_lines_per_second);
  machine.counted = now;
  const Key key{what.by, what.protocol, what.address, what.port, what.name, what.rule};
  const auto before = machine.written.find(key);
  if (before != machine.written.end() && now - before->second < limits_.same) return false;
  if (machine.lines < 1) return false;
  machine.lines -= 1;
  if (machine.written.size() >= most_same) machine.written.clear();
  machine.written.insert_or_assign(key, now);
  return true;
}

void Refusals::write(const RefusalLine& line) {
  json::Writer text;
  json::write_record(text, line);
  sys::make_directories(file_.parent_path());
  auto file = take(file_);
  if (sys::check(::lseek(file.get(), 0, SEEK_END), "lseek") >= static_cast<off_t>(limits_.file_bytes)) {
    std::filesystem::rename(file_, earlier(file_));
    file = take(file_);
    sys::check(::lseek(file.get(), 0, SEEK_END), "lseek");
  }
  sys::write_all(file.get(), text.take() + '\n');
}

std::vector<RefusalCounts> Refusals::counts() const {
  std::vector<RefusalCounts> all;
  for (const auto& [key, count] : counts_) {
    const auto& [name, by, rule] = key;
    all.push_back({name, std::string{to_string(by)}, rule, count});
  }
  return all;
}

std::vector<RefusalLine> read_refusals(const std::filesystem::path& file, std::string_view name, std::size_t most) {
  std::vector<RefusalLine> lines;
  for (const auto& part : {earlier(file), file}) {
    auto text = sys::read_tail(part, most_read);
    auto found = take_lines(text);
    std::ranges::copy_if(std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()),
                         std::back_inserter(lines), [&](const RefusalLine& line) { return is_about(line, name); });
  }
  if (lines.size() > most) lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(most));
  return lines;
}

RefusalTail::RefusalTail(std::filesystem::path file)
    : file_{std::move(file)}, changes_{sys::check(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init1")} {
  sys::check(::inotify_add_watch(changes_.get(), file_.parent_path().c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_FROM),
             "watch the log of refusals");
  if (!std::filesystem::exists(file_)) return;
  in_ = sys::open_file(file_, O_RDONLY);
  sys::check(::lseek(in_->get(), 0, SEEK_END), "lseek");
}

void RefusalTail::read_rest(std::string& text) {
  constexpr std::size_t piece = std::size_t{64} << 10;
  std::array<std::byte, piece> bytes;
  for (;;) {
    const auto got = sys::read_some(in_->get(), bytes);
    if (got <= 0) return;
    text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(got));
  }
}

std::vector<RefusalLine> RefusalTail::read() {
  std::array<std::byte, 4096> events;
  while (sys::read_some(changes_.get(), events) > 0) continue;
  if (in_) {
    // A file that was put aside does not grow.
    const bool is_last = !is_current(in_->get(), file_);
    read_rest(partial_);
    if (is_last) in_.reset();
  }
  if (!in_ && std::filesystem::exists(file_)) {
    in_ = sys::open_file(file_, O_RDONLY);
    read_rest(partial_);
  }
  return take_lines(partial_);
}

}  // namespace fireclaw::gateway
