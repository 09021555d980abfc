#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/files/fd.hpp"

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
  /// "asked" of a command that may be given and does something; then, as of all else, "done" or "failed". "refused": it
  /// may not.
  std::string result;
  /// Its answer or why not, in one line.
  std::string detail;
  std::chrono::milliseconds took{0};
};

/// A file with one JSON object a line, for its owner's eyes only. At 8 MiB it becomes <name>.1 and a new one begins.
///
/// Each line ends with a member "chain", the SHA-256 of the line before's and of this line without it: a line that was
/// changed, put in or taken out is found by verify_audit(). What strangers are refused takes no more than an eighth of
/// a file, so it does not push out what was done.
class AuditLog {
 public:
  /// Opens or makes the file. Error(Io).
  explicit AuditLog(std::filesystem::path path);
  /// Error(Io): what cannot be written down must not be done. A line that was written in part is taken back.
  void add(const AuditEntry& entry);
  /// The last line's digest; empty: there is none yet.
  [[nodiscard]] const std::string& chain() const { return chain_; }

 private:
  void open();

  std::filesystem::path path_;
  cli::Fd file_;
  std::uintmax_t bytes_ = 0;
  std::uintmax_t refused_bytes_ = 0;
  std::string chain_;
};

/// What was found in an audit log.
struct AuditReport {
  std::size_t lines = 0;
  /// Lines of earlier versions, which wrote none of the chain.
  std::size_t unchained = 0;
  /// The last line's digest.
  std::string chain;
  /// The lines begin with the log's first; else older files have been replaced by newer ones.
  bool complete = true;
};

/// Reads the file before (<name>.1) and the file. Error(Corrupt) naming the first line that does not fit the one before
/// it; Error(NotFound) if there is no such file.
AuditReport verify_audit(const std::filesystem::path& path);

}  // namespace fireclaw::overseer
