#include "state/records/machines.hpp"

#include <algorithm>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "fireclaw/error.hpp"
#include "state/records/runs.hpp"
#include "sys/file.hpp"
#include "sys/folder.hpp"

namespace fireclaw::state {
namespace {

constexpr std::string_view disk_extension = ".ext4";
constexpr std::size_t longest_name = 63;

bool is_letter_or_digit(char c) { return is_letter(c) || is_digit(c); }

MachineRecord read_file(const std::filesystem::path& path) {
  const auto value = json::Value::parse_file(path);
  auto record = json::read_record<MachineRecord>(value);
  if (record.name != path.stem().native()) value.at("name").fail("is not the file's name");
  if (!is_run_id(record.key)) value.at("key").fail("is not 16 hexadecimal digits");
  return record;
}

}  // namespace

bool is_machine_name(std::string_view text) {
  return !text.empty() && text.size() <= longest_name && is_letter_or_digit(text.front()) &&
         is_letter_or_digit(text.back()) && !is_run_id(text) &&
         std::ranges::all_of(text, [](char c) { return is_letter_or_digit(c) || c == '-'; });
}

std::filesystem::path MachineStore::file(const std::string& name) const {
  if (!is_machine_name(name)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("'{}' cannot be a machine's name: use 1 to {} letters, digits and inner hyphens, and not "
                            "the form of an id",
                            name, longest_name)};
  }
  return directory_ / (name + ".json");
}

std::optional<MachineRecord> MachineStore::find(const std::string& name) const {
  const auto path = file(name);
  if (!std::filesystem::exists(path)) return std::nullopt;
  return read_file(path);
}

void MachineStore::put(const MachineRecord& record) const {
  const auto path = file(record.name);
  sys::make_durable_directories(directory_);
  sys::write_file_atomic(path, json::record_text(record));
}

void MachineStore::remove(const MachineRecord& record) const {
  std::filesystem::remove(file(record.name));
  sys::sync_directory(directory_);
  std::filesystem::remove(scratch_disk(record.key));
}

void MachineStore::rename(MachineRecord record, const std::string& name) const {
  const auto before = file(record.name);
  record.name = name;
  put(record);
  std::filesystem::remove(before);
  sys::sync_directory(directory_);
}

std::vector<MachineRecord> MachineStore::list() const {
  std::vector<MachineRecord> records;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    const auto& path = entry.path();
    if (path.extension() != ".json" || !is_machine_name(path.stem().native())) continue;
    try {
      records.push_back(read_file(path));
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::NotFound) logger_.warning(problem.what());
    }
  }
  std::ranges::sort(records, {}, &MachineRecord::name);
  return records;
}

std::filesystem::path MachineStore::scratch_disk(const std::string& key) const {
  return directory_ / fmt::format("{}{}", key, disk_extension);
}

std::vector<std::filesystem::path> MachineStore::remove_unused_disks() const {
  std::vector<std::filesystem::path> removed;
  std::vector<std::filesystem::path> disks;
  std::set<std::string> used;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
    if (entry.path().extension() == disk_extension) disks.push_back(entry.path());
  }
  // Read after the disks were seen: a machine's record is written before its disk. Twice: who reads a folder while a
  // file in it is renamed may see it under neither name.
  for (int reading = 0; reading < 2; ++reading) {
    for (const auto& entry : std::filesystem::directory_iterator{directory_, error}) {
      if (entry.path().extension() != ".json") continue;
      try {
        used.insert(read_file(entry.path()).key);
      } catch (const Error& problem) {
        if (problem.code() == ErrorCode::NotFound) continue;
        logger_.warning(problem.what());
        return removed;
      }
    }
  }
  for (const auto& disk : disks) {
    if (!used.contains(disk.stem()) && std::filesystem::remove(disk)) removed.push_back(disk);
  }
  return removed;
}

}  // namespace fireclaw::state
