#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "vmm/firecracker/driver.hpp"

namespace fireclaw::contract {

/// A folder with the stand-in in it under the name "firecracker", a kernel and drives, and folders for machines.
class EngineFixture {
 public:
  EngineFixture();

  /// How the stand-in is to behave from its next start on: lines of "name=value", see fake_firecracker/knobs.hpp.
  /// It ends with the process that said so last.
  void set_knobs(const std::string& knobs) const;
  [[nodiscard]] std::unique_ptr<vmm::Driver> driver(const std::string& version = "1.17.0-dev") const;
  /// A machine with its own folder, a shared read-only drive and a writable one of its own.
  [[nodiscard]] vmm::LaunchSpec spec(const std::string& id) const;
  [[nodiscard]] vmm::SnapshotFiles files(const std::string& name = "snap") const;
  [[nodiscard]] vmm::StartOptions soon() const;

  sys::TempDir directory;
  std::filesystem::path program;
};

/// Sends a line and reads what comes back, up to and including a newline. Empty if the stream ends.
std::string round_trip(int stream, std::string_view line);
/// The next line, or empty if the stream ended or nothing came within `limit`.
std::string read_line(int stream, std::chrono::milliseconds limit);

/// The code with which `action` fails; an unmet check if it does not. Keeps the text in `what`, if given.
ErrorCode failure(const std::function<void()>& action, std::string* what = nullptr);

}  // namespace fireclaw::contract
