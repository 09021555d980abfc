#include "fireclaw/error.hpp"

#include <utility>

#include "base/text.hpp"

namespace fireclaw {

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::InvalidArgument: return "invalid_argument";
    case ErrorCode::NotFound: return "not_found";
    case ErrorCode::AlreadyExists: return "already_exists";
    case ErrorCode::InvalidState: return "invalid_state";
    case ErrorCode::PermissionDenied: return "permission_denied";
    case ErrorCode::Unsupported: return "unsupported";
    case ErrorCode::Timeout: return "timeout";
    case ErrorCode::Cancelled: return "cancelled";
    case ErrorCode::Io: return "io";
    case ErrorCode::Vmm: return "vmm";
    case ErrorCode::Guest: return "guest";
    case ErrorCode::Corrupt: return "corrupt";
    case ErrorCode::Internal: return "internal";
  }
  return "unknown";
}

Error::Error(ErrorCode code, std::string message) : Error{code, std::move(message), nullptr} {}

Error::Error(ErrorCode code, std::string message, std::exception_ptr cause)
    // Most messages quote something: a guest's words, a name in a tar. What prints an error prints text.
    // NOLINTNEXTLINE(bugprone-throw-keyword-missing): a cause is kept, not thrown
    : code_{code}, message_{printable(message)}, cause_{std::move(cause)}, what_{message_} {}

void Error::add_context(std::string context) {
  contexts_.push_back(printable(context));
  rebuild_what();
}

void Error::rebuild_what() {
  std::string text;
  for (auto context = contexts_.rbegin(); context != contexts_.rend(); ++context) text += *context + ": ";
  what_ = text + message_;
}

}  // namespace fireclaw
