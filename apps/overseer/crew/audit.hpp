#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "common/files/fd.hpp"

namespace fireclaw::overseer {

/// One command or event, done or refused.
struct AuditEntry {
  /// nick!user@host, or "overseer" for its own actions.
  std::string who;
  /// The services account, if the server told.
  std::string account;
  /// The channel, or the nick of a private conversation.
  std::string where;
  std::string command;
  /// "asked" for an allowed command that changes something; then "done" or "failed", as for everything else. "refused":
  /// the sender may not give it.
  std::string result;
  /// Its answer or why not, in one line.
  std::string detail;
  std::chrono::milliseconds took{0};
};

/// A file with one JSON object a line, for its owner's eyes only. At 8 MiB it becomes <name>.1 and a new one begins.
///
/// Each line ends with a member "chain", the SHA-256 of the line before's and of this line without it: verify_audit()
/// finds lines that were changed, put in or taken out. Refused commands of strangers take at most an eighth of a file,
/// so they do not push out the others.
class AuditLog {
 public:
  /// Opens or makes the file. Error(Io).
  explicit AuditLog(std::filesystem::path path);
  /// Error(Io): do not carry out what cannot be logged. A line that was written in part is removed.
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

/// The findings about an audit log.
struct AuditReport {
  std::size_t lines = 0;
  /// Lines of earlier versions, which wrote no chain.
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
