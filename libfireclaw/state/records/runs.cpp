#include "state/records/runs.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "base/deadline.hpp"
#include "base/number.hpp"
#include "fireclaw/error.hpp"
#include "json/record.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/folder.hpp"
#include "sys/random.hpp"

namespace fireclaw::state {

void describe(auto& field, json::Is<RunNetwork> auto& nat) {
  field("address", nat.address);
  field("tap", nat.tap);
  field("egress", nat.egress);
  field("allow", nat.allow);
  field.rare("allow_names", nat.allow_names, std::vector<std::string>{});
  field.rare("allow_http", nat.allow_http, std::vector<std::string>{});
  field.rare("http_proxy", nat.http_proxy, std::string{});
  field("publish", nat.publish);
  field("services", nat.services);
  field.later("names", nat.names, nat.services);
  field("anchor", nat.anchor);
  field.rare("mib_per_second", nat.mib_per_second, 0U);
}

/// A machine may still run that an earlier version has started: its record has none of what came later.
void describe(auto& field, json::Is<RunRecord> auto& record) {
  field.schema(RunRecord::schema);
  field("id", record.id);
  field("owner", record.owner);
  field("detached", record.detached);
  field("image", record.image);
  field.later("image_digest", record.image_digest);
  field("snapshot", record.snapshot);
  field("hostname", record.hostname);
  field("cpus", record.cpus);
  field("memory_mib", record.memory_mib);
  field.later("nic", record.nic);
  field("network", record.network);
  field.later("workspace", record.workspace);
  field.later("scratch_mib", record.scratch_mib);
  field.later("agent", record.agent);
  field.rare("machine", record.machine, std::string{});
  field("created_ms", record.created);
  field("engine", record.engine);
  field.later("engine_identity", record.engine_identity);
  field("paused", record.paused);
  field.rare("clock_late", record.clock_late, false);
  field.later("configured", record.configured, true);
  field.rare("cgroup", record.cgroup, std::string{});
  field("process", record.process);
  field("copier", record.copier);
  field("nat", record.nat);
}

namespace {

constexpr std::size_t id_digits = 16;
constexpr std::string_view unfinished_prefix = ".new-";

RunRecord read_file(const std::filesystem::path& file) {
  return json::read_record<RunRecord>(json::Value::parse_file(file));
}

/// Not synced: see RunStore.
void write_plain(const std::filesystem::path& file, std::string_view content) {
  const auto fd = sys::open_file(file, O_WRONLY | O_CREAT | O_TRUNC);
  sys::write_all(fd.get(), content);
}

void rename_path(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) sys::throw_errno(fmt::format("rename to {}", to.native()));
}

/// The process that was creating ".new-<pid>-<start time>-<id>".
std::optional<sys::ProcessId> creator_of(std::string_view name) {
  name.remove_prefix(unfinished_prefix.size());
  const auto first = name.find('-');
  if (first == std::string_view::npos) return std::nullopt;
  const auto second = name.find('-', first + 1);
  if (second == std::string_view::npos) return std::nullopt;
  const auto pid = parse_number<pid_t>(name.substr(0, first));
  const auto start = parse_number<std::uint64_t>(name.substr(first + 1, second - first - 1));
  if (!pid || !start) return std::nullopt;
  return sys::ProcessId{*pid, *start};
}

}  // namespace

bool is_run_id(std::string_view text) {
  return text.size() == id_digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_running(const RunRecord& record) { return record.process && sys::is_alive(*record.process); }

bool is_garbage(const RunRecord& record) {
  if (sys::is_alive(record.owner)) return false;
  return !record.detached || !record.configured || !is_running(record);
}

RunStore::RunStore(std::filesystem::path directory, Logger logger)
    : directory_{std::move(directory)}, logger_{std::move(logger)} {}

RunRecord RunStore::create(RunRecord record) const {
  if (record.id.empty()) record.id = sys::random_hex(id_digits / 2);
  const auto unfinished =
      directory_ / fmt::format("{}{}-{}-{}", unfinished_prefix, record.owner.pid, record.owner.start_time, record.id);
  if (!sys::make_folder(unfinished)) {
    throw Error{ErrorCode::AlreadyExists, fmt::format("'{}' exists already", unfinished.native())};
  }
  try {
    write_plain(unfinished / "run.json", json::record_text(record));
    rename_path(unfinished, directory(record.id));
  } catch (...) {
    sys::remove_tree(unfinished);
    throw;
  }
  return record;
}

RunRecord RunStore::change(const std::string& id, const std::function<void(RunRecord&)>& change) const {
  const auto gone = [&] { return Error{ErrorCode::NotFound, fmt::format("VM {} has ended", id)}; };
  // Without a time limit, so that nobody is passed over: those who have it read and write a small file.
  const auto turn = [&] {
    try {
      return sys::FileLock::acquire(directory(id) / "run.lock", sys::FileLock::Mode::Exclusive, Deadline::never(),
                                    fmt::format("the record of VM {}", id));
    } catch (const Error&) {
      // Its folder is gone.
      if (!find(id)) throw gone();
      throw;
    }
  }();
  auto record = find(id);
  if (!record) throw gone();
  change(*record);
  const auto target = record_file(id);
  auto unfinished = target;
  unfinished += ".new";
  write_plain(unfinished, json::record_text(*record));
  sys::rename_runtime_file(unfinished, target);
  return *std::move(record);
}

std::vector<RunRecord> RunStore::list() const {
  std::vector<RunRecord> records;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    if (!is_run_id(entry.path().filename().native())) continue;
    try {
      records.push_back(read_file(entry.path() / "run.json"));
    } catch (const Error& problem) {
      // Being removed by its owner at this moment is the usual reason, and no news.
      if (problem.code() != ErrorCode::NotFound) logger_.warning(problem.what());
    }
  }
  std::ranges::sort(records, {}, &RunRecord::created);
  return records;
}

std::optional<RunRecord> RunStore::find(const std::string& id) const {
  if (!is_run_id(id)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is not a VM id: it has {} hexadecimal digits; see: fireclaw vm list", id, id_digits)};
  }
  const auto file = record_file(id);
  if (!std::filesystem::exists(file)) return std::nullopt;
  return read_file(file);
}

void RunStore::remove(const std::string& id) const { sys::remove_tree(directory(id)); }

std::vector<std::filesystem::path> RunStore::remove_unfinished() const {
  std::vector<std::filesystem::path> removed;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    const std::string name = entry.path().filename();
    if (!name.starts_with(unfinished_prefix)) continue;
    const auto creator = creator_of(name);
    if (creator && sys::is_alive(*creator)) continue;
    sys::remove_tree(entry.path());
    removed.push_back(entry.path());
  }
  return removed;
}

std::vector<std::filesystem::path> RunStore::remove_broken() const {
  std::vector<std::filesystem::path> removed;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    if (!is_run_id(entry.path().filename().native())) continue;
    std::error_code missing;
    const auto bytes = std::filesystem::file_size(entry.path() / "run.json", missing);
    if (!missing && bytes > 0) continue;
    sys::remove_tree(entry.path());
    removed.push_back(entry.path());
  }
  return removed;
}

}  // namespace fireclaw::state
