#pragma once

#include <exception>
#include <string>
#include <string_view>
#include <vector>

#include "fireclaw/export.hpp"

namespace fireclaw {

/// What kind of failure an Error is; language bindings map each to its own exception type.
enum class ErrorCode {
  InvalidArgument,   ///< the caller passed something that can never work
  NotFound,          ///< the named image, snapshot, VM, file, ... does not exist
  AlreadyExists,     ///< the name is taken
  InvalidState,      ///< the object exists but is not in a state that allows the call
  PermissionDenied,  ///< the kernel or a file's mode refused
  Unsupported,       ///< this engine, kernel or machine cannot do it
  Timeout,           ///< a deadline passed
  Cancelled,         ///< a stop token was triggered
  Io,                ///< a system call on a file or socket failed
  Vmm,               ///< the engine process failed or refused
  Guest,             ///< the guest failed, vanished or broke the protocol
  Corrupt,           ///< a file of ours is torn, foreign, or from another version
  Internal,          ///< a bug in fireclaw
};

/// The code's name in snake_case, e.g. "invalid_argument".
FIRECLAW_API std::string_view to_string(ErrorCode code) noexcept;

/// The one exception type that fireclaw throws.
///
/// `what()` is one line: the contexts, outermost first, then the message, joined by ": ". Copies are cheap enough to
/// store; an Error can be rethrown on another thread.
class FIRECLAW_API Error : public std::exception {
 public:
  /// `message` is one line in lower case that quotes what it is about.
  Error(ErrorCode code, std::string message);
  /// `cause` is kept for callers that want the original failure; see cause().
  Error(ErrorCode code, std::string message, std::exception_ptr cause);

  /// What kind of failure it is.
  [[nodiscard]] ErrorCode code() const noexcept { return code_; }
  /// Contexts and message, one line of UTF-8; valid as long as the Error is.
  [[nodiscard]] const char* what() const noexcept override { return what_.c_str(); }
  /// The message without the contexts.
  [[nodiscard]] const std::string& message() const noexcept { return message_; }
  /// Contexts in the order they were added: innermost first.
  [[nodiscard]] const std::vector<std::string>& contexts() const noexcept { return contexts_; }
  /// The failure that led to this one, or null.
  [[nodiscard]] std::exception_ptr cause() const noexcept { return cause_; }

  /// Says what was being done when the error passed through; called once a layer.
  void add_context(std::string context);

 private:
  void rebuild_what();

  ErrorCode code_;
  std::string message_;
  std::vector<std::string> contexts_;
  std::exception_ptr cause_;
  std::string what_;
};

}  // namespace fireclaw
