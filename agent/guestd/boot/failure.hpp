#pragma once

#include <cerrno>
#include <string_view>

#include "guest/wire/wire.hpp"
#include "text.hpp"

namespace fireclaw::guestd {

/// "cannot DOING: ...", with what errno means now.
inline guest::wire::Done failure(std::string_view doing) {
  const int error = errno;
  return {error, cat({"cannot ", doing, ": ", error_text(error)})};
}

}  // namespace fireclaw::guestd
