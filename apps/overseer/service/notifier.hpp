#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "common/files/fd.hpp"

namespace fireclaw::overseer {

/// Tells systemd how we are (sd_notify(3)). Without a service manager it does nothing.
class Notifier {
 public:
  /// As $NOTIFY_SOCKET and $WATCHDOG_USEC say; empty or absent: there is nobody to tell. Error(InvalidArgument) for
  /// what is neither a path nor an abstract name.
  Notifier(const std::string& socket, const std::string& watchdog_usec);

  /// "READY=1", "STATUS=…". It is lost if nobody listens.
  void tell(std::string_view state) const;
  /// How often to tell "WATCHDOG=1"; half of what is allowed.
  [[nodiscard]] std::optional<std::chrono::microseconds> watchdog() const { return watchdog_; }

 private:
  cli::Fd socket_;
  std::optional<std::chrono::microseconds> watchdog_;
};

}  // namespace fireclaw::overseer
