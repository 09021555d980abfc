#pragma once

#include <chrono>
#include <string_view>

#include "json/json.hpp"
#include "sys/process.hpp"

namespace fireclaw::state {

// What several kinds of records have in common.

/// Error(Corrupt) unless `record` has the schema that this version reads.
void check_schema(const json::Value& record, unsigned schema);

/// A time as milliseconds since 1970, UTC.
void write_time(json::Writer& out, std::string_view name, std::chrono::system_clock::time_point time);
std::chrono::system_clock::time_point read_time(const json::Value& value);

/// {"pid": ..., "start_time": ...}
void write_process(json::Writer& out, std::string_view name, const sys::ProcessId& process);
sys::ProcessId read_process(const json::Value& value);

}  // namespace fireclaw::state
