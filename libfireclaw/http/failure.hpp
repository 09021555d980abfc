#pragma once

namespace fireclaw::http {

/// Why a server was not reached, or its answer is not whole.
enum class Failure {
  Unreachable,  ///< unknown name, connection refused
  Untrusted,    ///< TLS could not be agreed on, or the certificate is wrong
  TimedOut,
  BrokenOff,  ///< not what the protocol wants, or not whole
};

}  // namespace fireclaw::http
