#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// What a path in a guest names.
enum class FileType {
  File,
  Directory,
  Link,   ///< a symbolic link
  Other,  ///< a socket, a pipe, a device
};

/// "file", "directory", "link", "other".
FIRECLAW_API std::string_view to_string(FileType type) noexcept;

/// What is known of a file in a guest, as the guest says it.
struct FileInfo {
  /// In a listing its name in the folder, otherwise the path that was asked for; any bytes but "/" and NUL.
  std::string name;
  /// What it is.
  FileType type = FileType::File;
  /// In bytes. Files that the kernel makes up (/proc) say 0.
  std::uint64_t size = 0;
  /// Permission bits, set-id and sticky bits.
  std::uint32_t mode = 0;
  /// User id in the guest.
  std::uint32_t uid = 0;
  /// Group id in the guest.
  std::uint32_t gid = 0;
  /// When its content was changed last.
  std::chrono::system_clock::time_point modified;
  /// What a symbolic link says; any bytes but NUL. Empty for all else.
  std::string target;
};

/// How a file in a guest is reached. Each call says nothing of members that do not concern it.
struct FileOptions {
  /// With whose rights: a user's name or numeric "uid[:gid]" in the guest; empty: the OCI image's, else root. What is
  /// made belongs to it.
  std::string user;
  /// Permission bits of what write_file() writes and make_directory() makes. None: those that a file has, and for new
  /// ones 0666 and 0777 without what the guest's umask takes.
  std::optional<std::uint32_t> mode;
  /// write_file(): puts the content behind what is there.
  bool append = false;
  /// write_file(), make_directory(): makes the folders that are missing. A folder that is there is then no error.
  bool parents = false;
  /// remove(): also a folder that is not empty, with all in it. Links are not followed.
  bool recursive = false;
  /// stat(): what a symbolic link leads to, instead of the link.
  bool follow = false;
  /// read_file(): the bytes to pass over.
  std::uint64_t offset = 0;
  /// read_file(): how many bytes; list_directory(): how many entries, the first ones by name, a million at most. What
  /// is behind them is left out. None: all; more than 64 MiB or 65536 entries are then Error(InvalidArgument).
  std::optional<std::uint64_t> limit;
  /// Once passed: Error(Timeout). None: no limit.
  std::optional<std::chrono::milliseconds> timeout;
  /// When triggered: Error(Cancelled).
  std::stop_token stop{};
};

}  // namespace fireclaw
