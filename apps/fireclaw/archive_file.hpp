#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "command.hpp"

namespace fireclaw::cli {

/// A file that is closed at the end of the scope; "-" is the standard stream instead.
class Stream {
 public:
  Stream(const std::string& file, int flags, int standard);
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  ~Stream();
  [[nodiscard]] int fd() const { return fd_; }

 private:
  int fd_;
  bool own_;
};

/// Has `write` write a tar of the `kind` `name` to `file` ("-": standard output). The file appears complete or not at
/// all: an earlier one of that name is kept until the new one is whole. A pipe or a device is written to directly.
/// Reports it as JSON if that was asked for.
int write_archive_file(const std::string& file, std::string_view kind, const std::string& name, const Context& context,
                       const std::function<void(int fd)>& write);

}  // namespace fireclaw::cli
