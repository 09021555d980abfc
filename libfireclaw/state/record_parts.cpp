#include "state/record_parts.hpp"

#include <fmt/format.h>

namespace fireclaw::state {

using std::chrono::milliseconds;
using std::chrono::system_clock;

void check_schema(const json::Value& record, unsigned schema) {
  const auto found = record.at("schema");
  if (const auto number = found.as_uint(); number != schema) {
    found.fail(fmt::format("this fireclaw reads schema {}, the file has {}", schema, number));
  }
}

void write_time(json::Writer& out, std::string_view name, system_clock::time_point time) {
  out.field(name, std::int64_t{std::chrono::duration_cast<milliseconds>(time.time_since_epoch()).count()});
}

system_clock::time_point read_time(const json::Value& value) {
  return system_clock::time_point{milliseconds{value.as_int()}};
}

void write_process(json::Writer& out, std::string_view name, const sys::ProcessId& process) {
  out.key(name).begin_object();
  out.field("pid", std::int64_t{process.pid});
  out.field("start_time", process.start_time);
  out.end_object();
}

sys::ProcessId read_process(const json::Value& value) {
  return {static_cast<pid_t>(value.at("pid").as_int()), value.at("start_time").as_uint()};
}

}  // namespace fireclaw::state
