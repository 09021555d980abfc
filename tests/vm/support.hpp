#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <vector>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::test {

/// An environment variable, or `otherwise` if it is not set or empty.
std::string environment(const char* name, std::string otherwise);

/// The prepared home folder, opened with the engine that FIRECLAW_TEST_ENGINE names.
Host open_host(LogSink log = {});
const std::filesystem::path& home();

/// A machine restored from the prepared snapshot.
VM fresh_vm();

/// Runs a shell line; what it wrote to stdout, without the last newline. Fails the test unless it exits with 0.
std::string shell(VM& vm, const std::string& line);

/// What the call throws; fails the test if it throws nothing.
template <typename Call>
Error error_of(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  throw std::logic_error{"an error was expected"};
}

/// Collects log lines, from any thread.
class LogLines {
 public:
  LogSink sink();
  [[nodiscard]] std::vector<std::string> lines() const;
  [[nodiscard]] bool contain(const std::string& text) const;

 private:
  mutable std::mutex mutex_;
  std::vector<std::string> lines_;
};

/// A folder that is removed with all in it at the end.
class TempFolder {
 public:
  TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  ~TempFolder();
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// Removes a snapshot at the end, no matter what the test did.
struct Removal {
  std::string name;
  ~Removal();
};

/// Whether a process with this number exists and is not a zombie.
bool process_runs(std::int64_t pid);
/// Waits (at most `limit`) for the process to end.
bool wait_gone(std::int64_t pid, std::chrono::milliseconds limit);

}  // namespace fireclaw::test
