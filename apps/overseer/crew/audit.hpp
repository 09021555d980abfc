#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "fd.hpp"

namespace fireclaw::overseer {

/// One thing that was done or refused.
struct AuditEntry {
  /// nick!user@host, or "overseer" for what it does by itself.
  std::string who;
  /// The services account, if the server told.
  std::string account;
  /// The channel, or the nick of a private conversation.
  std::string where;
  std::string command;
  /// "asked" of a change that may be made; then, as of all else, "done" or "failed". "refused": it may not.
  std::string result;
  /// Its answer or why not, in one line.
  std::string detail;
  std::chrono::milliseconds took{0};
};

/// A file with one JSON object a line, for its owner's eyes only. At 8 MiB it becomes <name>.1 and a new one begins.
class AuditLog {
 public:
  /// Opens or makes the file. Error(Io).
  explicit AuditLog(std::filesystem::path path);
  /// Error(Io): what cannot be written down should not go on unnoticed.
  void add(const AuditEntry& entry);

 private:
  void open();

  std::filesystem::path path_;
  Fd file_;
  std::uintmax_t bytes_ = 0;
};

}  // namespace fireclaw::overseer
