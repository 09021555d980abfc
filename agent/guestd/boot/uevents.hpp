#pragma once

#include <cstdint>

#include "guest/tree/tree.hpp"

namespace fireclaw::guestd {

/// The kernel's announcements of devices. Open it before looking for existing devices: then none is missed.
class Uevents {
 public:
  Uevents();
  [[nodiscard]] int fd() const { return socket_.get(); }
  /// Reads all that is there; true if there was any.
  bool drain();
  /// Waits until `path` exists; false after `limit_ms`.
  bool wait_for(const char* path, std::int64_t limit_ms);

 private:
  guest::OwnedFd socket_;
};

}  // namespace fireclaw::guestd
