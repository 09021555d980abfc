#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "guest/tree/tree.hpp"

namespace fireclaw::guestd {

using guest::OwnedFd;

/// The file that takes a service's output, kept below a limit: a file that reaches it becomes <path>.1. Symbolic links
/// on the way to it are not followed, and only a plain file is written to: guestd may write anywhere, so a user who can
/// put links into the log's folder must not be able to direct it elsewhere.
class ServiceLog {
 public:
  ServiceLog(guest::Base base, std::string path, std::uint64_t limit);

  /// Opens it, creating it and its folders if need be. False with errno set.
  bool open();
  /// Opens the file by its name again at the next write: a disk may have been mounted over its folder.
  void reopen() { file_.reset(); }
  /// Appends to it; a new file begins at the end of a line if possible. Bytes that cannot be written (if the disk is
  /// full) are dropped and counted; the count is written where the output continues.
  void write(std::string_view bytes);

 private:
  /// The folder that it is in, made if need be.
  OwnedFd open_folder() const;
  bool rotate();
  /// The file's size once it is there to be written to; -1 if it is not.
  std::int64_t size();
  bool append(std::string_view bytes);
  void lose(std::size_t bytes);

  guest::Base base_;
  std::string path_;
  std::string name_;
  std::uint64_t limit_;
  OwnedFd file_;
  std::uint64_t lost_ = 0;
  int lost_why_ = 0;
};

}  // namespace fireclaw::guestd
