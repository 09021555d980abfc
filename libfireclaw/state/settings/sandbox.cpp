#include "state/settings/sandbox.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "json/record.hpp"

// Beside their structs, where the records look for them.
namespace fireclaw::sys {

void describe(auto& field, json::Is<IdRange> auto& range) {
  field("first", range.first);
  field("count", range.count);
}

void describe(auto& field, json::Is<Confinable> auto& found) {
  constexpr std::array all{Confinement::None, Confinement::Landlock, Confinement::Full};
  field.choice("level", found.level, all, "is not a level of confinement");
  field("obstacle", found.obstacle);
  field("users", found.ids);
  field("users_obstacle", found.ids_obstacle);
  field("context", found.context);
}

}  // namespace fireclaw::sys

namespace fireclaw::state {
namespace {

/// The last user id but one: -1 means none.
constexpr std::uint64_t last_id = 0xffff'fffe;

std::uint64_t read_limit(const json::Value& value) {
  const auto limit = value.as_uint();
  if (limit == 0) value.fail("must be at least 1");
  return limit;
}

unsigned read_rate(const json::Value& value) {
  const auto rate = value.as_uint();
  if (rate == 0 || rate > most_mib_per_second) value.fail(fmt::format("must be 1 to {}", most_mib_per_second));
  return static_cast<unsigned>(rate);
}

/// A device and something of it; the kernel reads the rest.
std::string read_io_max(const json::Value& value) {
  const auto& line = value.as_string();
  const auto after_digits = [&](std::size_t at) {
    return std::min(line.find_first_not_of("0123456789", std::min(at, line.size())), line.size());
  };
  const auto colon = after_digits(0);
  const auto space = after_digits(colon + 1);
  const bool has_device =
      colon != 0 && line.substr(colon, 1) == ":" && space > colon + 1 && line.substr(space, 1) == " ";
  if (!has_device || line.find('=', space) == std::string::npos || line.find('\n') != std::string::npos) {
    value.fail("must be a line of io.max, as in \"8:0 wbps=10485760\"");
  }
  return line;
}

}  // namespace

SandboxSettings read_sandbox_settings(const json::Value& section) {
  section.only({"required", "first_user", "users"});
  SandboxSettings settings;
  if (const auto value = section.find("required")) settings.required = value->as_bool();
  std::uint64_t first = settings.users.first;
  std::uint64_t count = settings.users.count;
  if (const auto value = section.find("first_user")) {
    first = value->as_uint();
    if (first == 0 || first > last_id) value->fail("must be 1 to 4294967294");
  }
  if (const auto value = section.find("users")) {
    count = value->as_uint();
    if (count == 0) value->fail("must be at least 1");
  }
  if (count > last_id - first + 1) section.fail("users beyond 4294967294: there are none");
  settings.users = {static_cast<uid_t>(first), static_cast<std::uint32_t>(count)};
  return settings;
}

void write_sandbox_settings(json::Writer& out, const SandboxSettings& settings) {
  if (settings == SandboxSettings{}) return;
  out.key("sandbox").begin_object();
  out.field("required", settings.required);
  out.field("first_user", std::uint64_t{settings.users.first});
  out.field("users", std::uint64_t{settings.users.count});
  out.end_object();
}

LimitSettings read_limit_settings(const json::Value& section) {
  section.only({"machines", "memory_mib", "disk_mib", "disk_mib_per_second", "network_mib_per_second", "io_max"});
  LimitSettings settings;
  if (const auto value = section.find("machines")) settings.machines = read_limit(*value);
  if (const auto value = section.find("memory_mib")) settings.memory_mib = read_limit(*value);
  if (const auto value = section.find("disk_mib")) settings.disk_mib = read_limit(*value);
  if (const auto value = section.find("disk_mib_per_second")) settings.disk_mib_per_second = read_rate(*value);
  if (const auto value = section.find("network_mib_per_second")) settings.network_mib_per_second = read_rate(*value);
  if (const auto value = section.find("io_max")) {
    for (const auto& line : value->as_array()) settings.io_max.push_back(read_io_max(line));
  }
  return settings;
}

void write_limit_settings(json::Writer& out, const LimitSettings& settings) {
  if (settings == LimitSettings{}) return;
  out.key("limits").begin_object();
  if (settings.machines) out.field("machines", *settings.machines);
  if (settings.memory_mib) out.field("memory_mib", *settings.memory_mib);
  if (settings.disk_mib) out.field("disk_mib", *settings.disk_mib);
  if (settings.disk_mib_per_second) out.field("disk_mib_per_second", *settings.disk_mib_per_second);
  if (settings.network_mib_per_second) out.field("network_mib_per_second", *settings.network_mib_per_second);
  if (!settings.io_max.empty()) {
    out.key("io_max").begin_array();
    for (const auto& line : settings.io_max) out.value(line);
    out.end_array();
  }
  out.end_object();
}

sys::Confinable read_confinable(const json::Value& section) {
  return json::read_whole_record<sys::Confinable>(section);
}

void write_confinable(json::Writer& out, const sys::Confinable& confinable) {
  json::write_record(out.key("confinement"), confinable);
}

}  // namespace fireclaw::state
