#pragma once

#include <sys/types.h>

#include <string_view>

namespace fireclaw::sys {

/// The process that made an object. After fork() the child has copies of what its parent owns: threads, locks and
/// descriptors of which only the parent may dispose.
class MadeHere {
 public:
  MadeHere() noexcept;
  /// False in a child that was forked since.
  [[nodiscard]] bool holds() const noexcept;
  /// Error(InvalidState) naming `what` ("VM 0123456789abcdef") in such a child.
  void require(std::string_view what) const;

 private:
  pid_t pid_;
};

}  // namespace fireclaw::sys
