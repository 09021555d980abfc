#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fireclaw::cli {

/// "256", "256M", "2G" as MiB. Error(InvalidArgument) for anything else.
unsigned parse_memory_mib(const std::string& text);
/// The same for a rate per second.
unsigned parse_rate_mib(const std::string& text);
/// The same for disks, with "1T" too.
std::uint64_t parse_size_mib(const std::string& text);
/// "90", "0.5", "90s", "1500ms", "5m", "1.5h". Error(InvalidArgument) for anything else.
std::chrono::milliseconds parse_duration(const std::string& text);
/// "0644" as permission bits; "": none. Error(InvalidArgument) with the option's name for anything else.
std::optional<std::uint32_t> parse_mode(const std::string& text, std::string_view option);

/// "512 B", "17 MiB", "4.2 GiB".
std::string human_bytes(std::uint64_t bytes);
/// With fractions.
double to_ms(std::chrono::nanoseconds duration);
/// "3.4 ms", "1.20 s": how long something took.
std::string human_duration(std::chrono::nanoseconds duration);
/// "42 s", "3 min 5 s", "2 h 10 min", "4 d 3 h": how long something has been there.
std::string human_age(std::chrono::seconds age);
/// "2026-01-31T12:00:00Z".
std::string iso_time(std::chrono::system_clock::time_point time);

}  // namespace fireclaw::cli
