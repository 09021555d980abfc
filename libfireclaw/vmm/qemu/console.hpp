#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "sys/fd.hpp"
#include "sys/process.hpp"

namespace fireclaw::vmm::qemu {

/// A guest's console output.
///
/// A file in memory that holds the first 1 MiB and never more: its size is sealed, so QEMU's writes beyond fail and
/// are dropped at once. A guest may write without end: into a file on disk it would fill the disk, and into a pipe that
/// nobody reads it would block, like a hung machine. Only written bytes take memory. The file
/// lives as long as the engine or another process that holds it, and any process of the same user can read it
/// meanwhile.
class Console {
 public:
  static constexpr std::size_t capacity_bytes = std::size_t{1} << 20;

  struct Created;
  static Created create();
  /// The one of a running engine; nullopt if the process is gone or may not be looked into.
  static std::optional<Console> of(const sys::ProcessId& engine);

  /// Makes its size final. QEMU empties the file when it opens it, so this has to wait until it has started.
  void seal();
  /// The last `max_bytes` of the output. Safe from any thread.
  [[nodiscard]] std::string tail(std::size_t max_bytes) const;

 private:
  explicit Console(sys::Fd file) : file_{std::move(file)} {}
  sys::Fd file_;
};

struct Console::Created {
  Console console;
  /// The descriptor that the engine inherits and writes to.
  sys::Fd engine_end;
};

/// Opens the memory file `name` that process `id` holds, if it does.
std::optional<sys::Fd> open_memfd_of(const sys::ProcessId& id, const std::string& name, int flags);

/// The memory file that is a cold-started machine's RAM.
inline constexpr const char* ram_file_name = "fireclaw-ram";

}  // namespace fireclaw::vmm::qemu
