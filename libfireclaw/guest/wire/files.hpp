#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "guest/wire/coding.hpp"

/// The messages about single files. As wire.hpp, this is part of both ends.
///
/// A call runs as a command does: FileCall opens the channel, Stdin carries what is to be written, Stdout what was
/// read, Stderr one FileAnswer, and Exit ends it.
namespace fireclaw::guest::wire {

enum class FileVerb : std::uint8_t { Read = 1, Write = 2, List = 3, Stat = 4, Remove = 5, MakeDirectory = 6 };

struct FileCall {
  FileVerb verb = FileVerb::Stat;
  std::string path;  ///< absolute
  std::string user;  ///< with whose rights, as Exec::user says it
  bool has_mode = false;
  std::uint32_t mode = 0;    ///< of what is written or made
  bool append = false;       ///< Write: behind what is there
  bool parents = false;      ///< Write, MakeDirectory: make the folders that are missing
  bool recursive = false;    ///< Remove: also a folder that is not empty
  bool follow = false;       ///< Stat: what a link leads to
  std::uint64_t offset = 0;  ///< Read
  std::uint64_t limit = 0;   ///< Read: bytes; List: entries
  std::uint64_t size = 0;    ///< Write: the content's
};

void layout(auto& field, Is<FileCall> auto& call) {
  field.one_of(call.verb, FileVerb::Read, FileVerb::MakeDirectory)(call.path, call.user, call.has_mode, call.mode,
                                                                   call.append, call.parents, call.recursive,
                                                                   call.follow, call.offset, call.limit, call.size);
}

enum class FileKind : std::uint8_t { File = 1, Folder = 2, Link = 3, Other = 4 };

struct FileStatus {
  FileKind kind = FileKind::Other;
  std::string name;  ///< in a listing: one component
  std::uint32_t mode = 0;
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_s = 0;
  std::uint32_t mtime_ns = 0;
  std::string link;  ///< what a link says
};

void layout(auto& field, Is<FileStatus> auto& status) {
  field.one_of(status.kind, FileKind::File, FileKind::Other)(status.name, status.mode, status.uid, status.gid,
                                                             status.size, status.mtime_s, status.mtime_ns, status.link);
}

struct FileAnswer {
  std::int32_t error = 0;  ///< an errno value of Linux, 0: success
  std::string message;
  FileStatus status;  ///< of what was read, written or looked at
};

void layout(auto& field, Is<FileAnswer> auto& answer) { field(answer.error, answer.message, answer.status); }

/// What a listing has on Stdout: each entry's FileStatus, encoded, with its length as u32 before it.
inline constexpr std::size_t max_file_status_bytes = 255 + 4096 + 64;
/// Paths in messages are whole: two of them and what went wrong.
inline constexpr std::size_t max_file_answer_bytes = std::size_t{16} << 10;

/// Adds an entry to a listing.
void append_listed(std::string& listing, const FileStatus& entry);
/// Takes the next entry off the front of a listing; false if what is there is none.
bool take_listed(std::string_view& listing, FileStatus& entry);

}  // namespace fireclaw::guest::wire
