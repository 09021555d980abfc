#pragma once

#include <cerrno>
#include <string>
#include <system_error>

#include "common/files/fd.hpp"

namespace fireclaw::netd {

using cli::Fd;

/// `result`, or std::system_error saying what could not be done.
inline int check(int result, const std::string& what) {
  if (result < 0) throw std::system_error{errno, std::system_category(), what};
  return result;
}

}  // namespace fireclaw::netd
