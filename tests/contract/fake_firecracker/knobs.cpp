#include "knobs.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>

namespace fake {

Version Knobs::api() const {
  Version parsed;
  if (std::sscanf(version.c_str(), "%d.%d.%d", &parsed.major, &parsed.minor, &parsed.patch) != 3) {
    fmt::print(stderr, "knobs: '{}' is not a version\n", version);
    std::exit(2);
  }
  return parsed;
}

Knobs read_knobs(std::string_view program) {
  Knobs knobs;
  std::ifstream file{std::string{program} + ".knobs"};
  for (std::string line; std::getline(file, line);) {
    const auto equals = line.find('=');
    const std::string name = line.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : line.substr(equals + 1);
    if (name == "version") {
      knobs.version = value;
    } else if (name == "start_ms") {
      knobs.start_ms = std::stoi(value);
    } else if (name == "listen_ms") {
      knobs.listen_ms = std::stoi(value);
    } else if (name == "boot_ms") {
      knobs.boot_ms = std::stoi(value);
    } else if (name == "crash_at_start") {
      knobs.crash_at_start = value;
    } else if (name == "hang_at_start") {
      knobs.hang_at_start = true;
    } else if (name == "hang_at") {
      knobs.hang_at = value;
    } else if (name == "slow_at") {
      knobs.slow_at = value;
    } else if (name == "slow_ms") {
      knobs.slow_ms = std::stoi(value);
    } else if (name == "requests") {
      knobs.requests = value;
    } else if (name == "die_at") {
      knobs.die_at = value;
    } else if (name == "no_guest") {
      knobs.no_guest = true;
    } else if (name == "drop_first") {
      knobs.drop_first = true;
    } else if (name == "disk_full") {
      knobs.disk_full = true;
    } else if (name == "busy_tap") {
      knobs.busy_tap = value;
    } else if (name == "open_taps") {
      knobs.open_taps = true;
    } else if (name == "console") {
      knobs.console = value;
    } else if (name == "console_times") {
      knobs.console_times = std::stoi(value);
    } else if (name == "owner") {
      knobs.owner = std::stoi(value);
    } else if (name == "guest") {
      knobs.guest = value;
    } else if (name == "guests") {
      knobs.guests = value;
    } else {
      fmt::print(stderr, "knobs: unknown name '{}'\n", name);
      std::exit(2);
    }
  }
  return knobs;
}

}  // namespace fake
