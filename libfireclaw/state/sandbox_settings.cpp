#include "state/sandbox_settings.hpp"

#include <array>

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
  section.only({"machines", "memory_mib", "disk_mib"});
  LimitSettings settings;
  if (const auto value = section.find("machines")) settings.machines = read_limit(*value);
  if (const auto value = section.find("memory_mib")) settings.memory_mib = read_limit(*value);
  if (const auto value = section.find("disk_mib")) settings.disk_mib = read_limit(*value);
  return settings;
}

void write_limit_settings(json::Writer& out, const LimitSettings& settings) {
  if (settings == LimitSettings{}) return;
  out.key("limits").begin_object();
  if (settings.machines) out.field("machines", *settings.machines);
  if (settings.memory_mib) out.field("memory_mib", *settings.memory_mib);
  if (settings.disk_mib) out.field("disk_mib", *settings.disk_mib);
  out.end_object();
}

sys::Confinable read_confinable(const json::Value& section) {
  return json::read_whole_record<sys::Confinable>(section);
}

void write_confinable(json::Writer& out, const sys::Confinable& confinable) {
  json::write_record(out.key("confinement"), confinable);
}

}  // namespace fireclaw::state
