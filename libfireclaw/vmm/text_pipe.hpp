#pragma once

#include <cstddef>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string>

#include "sys/fd.hpp"

namespace fireclaw::vmm {

/// A named pipe into which an engine writes text: its own log, with Firecracker also the guest's console.
///
/// Not a file, because a guest can write to its console without end, and can have the engine log lines without end,
/// and must not fill the host's disk. The engine has the pipe open for reading too and never waits for a reader: once
/// some 64 KiB are unread, it drops what comes. A reader takes the text out, with tail() or with cat.
class TextPipe {
 public:
  /// Makes it; a leftover of the same name is replaced.
  static TextPipe create(std::filesystem::path path);
  /// One that a running engine writes to. nullopt if it is not there.
  static std::optional<TextPipe> open(const std::filesystem::path& path);

  TextPipe(TextPipe&& other) noexcept;
  TextPipe& operator=(TextPipe&&) = delete;

  /// A descriptor, for reading and writing, that the engine inherits.
  [[nodiscard]] sys::Fd engine_end() const;
  /// The last `max_bytes` of what this object has seen. Safe from any thread.
  [[nodiscard]] std::string tail(std::size_t max_bytes) const;

 private:
  TextPipe(std::filesystem::path path, sys::Fd reader);
  void drain() const;

  std::filesystem::path path_;
  sys::Fd reader_;
  mutable std::mutex mutex_;
  mutable std::string seen_;
};

}  // namespace fireclaw::vmm
