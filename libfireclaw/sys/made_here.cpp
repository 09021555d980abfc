#include "sys/made_here.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "fireclaw/error.hpp"

namespace fireclaw::sys {

MadeHere::MadeHere() noexcept : pid_{::getpid()} {}

bool MadeHere::holds() const noexcept { return ::getpid() == pid_; }

void MadeHere::require(std::string_view what) const {
  if (holds()) return;
  throw Error{ErrorCode::InvalidState,
              fmt::format("{} belongs to process {}, from which this one was forked; make or attach to a machine here",
                          what, pid_)};
}

}  // namespace fireclaw::sys
