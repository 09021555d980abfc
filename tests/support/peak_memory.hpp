#pragma once

// For one source file of a test program: how much memory a process has needed.

#include <sys/types.h>

#include <fstream>
#include <string>

#if defined(__SANITIZE_ADDRESS__)
/// The sanitizer keeps what was freed for a while; its usual 256 MiB would hide how much memory is needed.
extern "C" [[gnu::visibility("default")]] const char* __asan_default_options() { return "quarantine_size_mb=1"; }
#endif

namespace fireclaw::test {

/// What a sanitizer may add to what is measured.
#if defined(__SANITIZE_ADDRESS__)
inline constexpr long sanitizer_kib = 24 * 1024;
#elif defined(__SANITIZE_THREAD__)
inline constexpr long sanitizer_kib = 128 * 1024;
#else
inline constexpr long sanitizer_kib = 0;
#endif

/// Of process `pid`, in KiB.
inline long peak_memory_kib(pid_t pid) {
  std::ifstream status{"/proc/" + std::to_string(pid) + "/status"};
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  return -1;
}

}  // namespace fireclaw::test
