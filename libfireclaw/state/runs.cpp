#include "state/runs.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "state/record_parts.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/random.hpp"

namespace fireclaw::state {
namespace {

constexpr std::size_t id_digits = 16;
constexpr std::string_view unfinished_prefix = ".new-";

bool is_id(std::string_view text) {
  return text.size() == id_digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

void write_texts(json::Writer& out, std::string_view name, const std::vector<std::string>& texts) {
  out.key(name).begin_array();
  for (const auto& text : texts) out.value(text);
  out.end_array();
}

std::vector<std::string> read_texts(const json::Value& value) {
  std::vector<std::string> texts;
  for (const auto& text : value.as_array()) texts.push_back(text.as_string());
  return texts;
}

void write_nat(json::Writer& out, const RunNetwork& nat) {
  out.key("nat").begin_object();
  out.field("address", nat.address);
  out.field("tap", nat.tap);
  out.field("egress", nat.egress);
  write_texts(out, "allow", nat.allow);
  write_texts(out, "publish", nat.publish);
  out.field("services", nat.services);
  out.end_object();
}

RunNetwork read_nat(const json::Value& value) {
  return {value.at("address").as_string(), value.at("tap").as_string(),     value.at("egress").as_string(),
          read_texts(value.at("allow")),   read_texts(value.at("publish")), value.at("services").as_bool()};
}

std::string to_json(const RunRecord& record) {
  json::Writer out{json::Writer::Style::Pretty};
  out.begin_object();
  out.field("schema", RunRecord::schema);
  out.field("id", record.id);
  write_process(out, "owner", record.owner);
  out.field("detached", record.detached);
  out.field("image", record.image);
  out.field("image_digest", record.image_digest);
  out.field("snapshot", record.snapshot);
  out.field("hostname", record.hostname);
  out.field("cpus", record.cpus);
  out.field("memory_mib", record.memory_mib);
  out.field("nic", record.nic);
  out.field("network", record.network);
  out.field("workspace", record.workspace);
  out.field("scratch_mib", record.scratch_mib);
  out.field("agent", record.agent);
  write_time(out, "created_ms", record.created);
  out.field("engine", record.engine);
  out.field("paused", record.paused);
  if (record.clock_late) out.field("clock_late", true);
  out.field("configured", record.configured);
  if (record.process) write_process(out, "process", *record.process);
  if (record.copier) write_process(out, "copier", *record.copier);
  if (record.nat) write_nat(out, *record.nat);
  out.end_object();
  return out.take();
}

RunRecord read_record(const std::filesystem::path& file) {
  const auto value = json::Value::parse_file(file);
  check_schema(value, RunRecord::schema);
  RunRecord record;
  record.id = value.at("id").as_string();
  record.owner = read_process(value.at("owner"));
  record.detached = value.at("detached").as_bool();
  record.image = value.at("image").as_string();
  record.snapshot = value.at("snapshot").as_string();
  record.hostname = value.at("hostname").as_string();
  record.cpus = static_cast<unsigned>(value.at("cpus").as_uint());
  record.memory_mib = static_cast<unsigned>(value.at("memory_mib").as_uint());
  if (const auto nic = value.find("nic")) record.nic = nic->as_bool();
  record.network = value.at("network").as_string();
  record.created = read_time(value.at("created_ms"));
  record.engine = value.at("engine").as_string();
  record.paused = value.at("paused").as_bool();
  // A machine may still run that an earlier version has started; it had none of these.
  if (const auto workspace = value.find("workspace")) record.workspace = workspace->as_string();
  if (const auto scratch = value.find("scratch_mib")) record.scratch_mib = static_cast<unsigned>(scratch->as_uint());
  if (const auto digest = value.find("image_digest")) record.image_digest = digest->as_string();
  if (const auto agent = value.find("agent")) record.agent = agent->as_string();
  const auto configured = value.find("configured");
  record.configured = !configured || configured->as_bool();
  if (const auto late = value.find("clock_late")) record.clock_late = late->as_bool();
  if (const auto copier = value.find("copier")) record.copier = read_process(*copier);
  if (const auto process = value.find("process")) record.process = read_process(*process);
  if (const auto nat = value.find("nat")) record.nat = read_nat(*nat);
  return record;
}

/// Not synced: see RunStore.
void write_plain(const std::filesystem::path& file, std::string_view content) {
  const auto fd = sys::open_file(file, O_WRONLY | O_CREAT | O_TRUNC);
  sys::write_all(fd.get(), content);
}

void rename_path(const std::filesystem::path& from, const std::filesystem::path& to) {
  if (std::rename(from.c_str(), to.c_str()) != 0) sys::throw_errno(fmt::format("rename to {}", to.native()));
}

template <typename Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
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
  if (::mkdir(unfinished.c_str(), 0700) != 0) sys::throw_errno(fmt::format("create {}", unfinished.native()));
  try {
    write_plain(unfinished / "run.json", to_json(record));
    rename_path(unfinished, directory(record.id));
  } catch (...) {
    sys::remove_tree(unfinished);
    throw;
  }
  return record;
}

void RunStore::update(const RunRecord& record) const {
  const auto target = directory(record.id) / "run.json";
  auto unfinished = target;
  unfinished += ".new";
  write_plain(unfinished, to_json(record));
  rename_path(unfinished, target);
}

std::vector<RunRecord> RunStore::list() const {
  std::vector<RunRecord> records;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    if (!is_id(entry.path().filename().native())) continue;
    try {
      records.push_back(read_record(entry.path() / "run.json"));
    } catch (const Error& problem) {
      // Being removed by its owner at this moment is the usual reason, and no news.
      if (problem.code() != ErrorCode::NotFound) logger_.warning(problem.what());
    }
  }
  std::ranges::sort(records, {}, &RunRecord::created);
  return records;
}

std::optional<RunRecord> RunStore::find(const std::string& id) const {
  if (!is_id(id)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' is no VM id: it has {} hexadecimal digits; see: fireclaw vm list", id, id_digits)};
  }
  const auto file = directory(id) / "run.json";
  if (!std::filesystem::exists(file)) return std::nullopt;
  return read_record(file);
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
    if (!is_id(entry.path().filename().native())) continue;
    std::error_code missing;
    const auto bytes = std::filesystem::file_size(entry.path() / "run.json", missing);
    if (!missing && bytes > 0) continue;
    sys::remove_tree(entry.path());
    removed.push_back(entry.path());
  }
  return removed;
}

}  // namespace fireclaw::state
