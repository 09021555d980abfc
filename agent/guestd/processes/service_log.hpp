#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "guest/tree/tree.hpp"

namespace fireclaw::guestd {

using guest::OwnedFd;

/// The file that takes a service's output, kept below a limit: one that has grown to it becomes <path>.1. Nothing on
/// the way to it is followed if it is a symbolic link, and nothing but a plain file is written to: guestd may write
/// anywhere, and who can put links where the log is must not be able to point it elsewhere.
class ServiceLog {
 public:
  ServiceLog(guest::Base base, std::string path, std::uint64_t limit);

  /// Opens it, creating it and its folders if need be. False with errno set.
  bool open();
  /// What comes next is written to the file that has the name then: a disk may have been mounted over its folder.
  void reopen() { file_.reset(); }
  /// Adds to it, at the end of a line if possible beginning a new file. What cannot be written (the disk is full, say)
  /// is dropped, and counted; the count is put where the output continues.
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
