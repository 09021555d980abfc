#pragma once

#include <string>
#include <string_view>

namespace fireclaw::gateway {

/// The beginning of a TLS connection, as far as it has arrived.
struct TlsHello {
  enum class State {
    Partial,  ///< more must come before it can be read
    Whole,
    Unfit,  ///< it is not TLS, or what it asks for can be read in two ways
  };
  State state = State::Partial;
  /// The server that it asks for, in lower case; empty: it names none.
  std::string server_name = {};

  bool operator==(const TlsHello&) const = default;
};

/// `bytes`: all that the client has sent so far. The hello may be split over any number of packets and records; one of
/// more than 64 KiB is unfit.
TlsHello read_tls_hello(std::string_view bytes);

}  // namespace fireclaw::gateway
