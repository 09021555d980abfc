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

/// A file in a guest, as the guest describes it.
struct FileInfo {
  /// In a listing: its name in the folder. Otherwise: the path of the call. Any bytes but "/" and NUL.
  std::string name;
  /// What it is.
  FileType type = FileType::File;
  /// In bytes. Files of /proc say 0.
  std::uint64_t size = 0;
  /// Permission bits, set-id and sticky bits.
  std::uint32_t mode = 0;
  /// User id in the guest.
  std::uint32_t uid = 0;
  /// Group id in the guest.
  std::uint32_t gid = 0;
  /// The last change of its content.
  std::chrono::system_clock::time_point modified;
  /// The target of a symbolic link; any bytes but NUL. Empty for other types.
  std::string target;
};

/// How to read or write a file in a guest. Each call ignores members that do not concern it.
struct FileOptions {
  /// The user whose rights are used and who owns new files: a name or numeric "uid[:gid]" in the guest; empty: the OCI
  /// image's, else root.
  std::string user;
  /// write_file(), make_directory(): permission bits. None: an existing file keeps its own; a new file has 0666, a new
  /// folder 0777, without the bits of the guest's umask.
  std::optional<std::uint32_t> mode;
  /// write_file(): append the content instead of replacing the file's.
  bool append = false;
  /// write_file(), make_directory(): make missing folders on the way. An existing folder is not an error then.
  bool parents = false;
  /// remove(): remove folders with their content. Links are not followed.
  bool recursive = false;
  /// stat(): describe the target of a symbolic link instead of the link.
  bool follow = false;
  /// read_file(): how many bytes to skip.
  std::uint64_t offset = 0;
  /// read_file(): the most bytes to read. list_directory(): the most entries, the first ones by name, up to a million.
  /// The rest is left out. None: all; Error(InvalidArgument) then for more than 64 MiB or 65536 entries.
  std::optional<std::uint64_t> limit;
  /// The longest time for the call, then Error(Timeout). None: no limit.
  std::optional<std::chrono::milliseconds> timeout;
  /// When triggered: Error(Cancelled).
  std::stop_token stop{};
};

}  // namespace fireclaw
