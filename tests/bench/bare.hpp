#pragma once

#include <chrono>
#include <functional>
#include <string_view>

#include "core/host/impl.hpp"

namespace fireclaw::bench {

/// Says that a step of a round is done.
using Mark = std::function<void(std::string_view step)>;

/// A round with an engine alone: it restores the snapshot that `fireclaw run` would use, asks the guest for the same
/// command (a shell that runs `true`), and is killed. Its end is waited for after the last mark.
class BareEngine {
 public:
  virtual ~BareEngine() = default;
  virtual void run(const Mark& mark) = 0;
};

/// With all found out beforehand, so that rounds only do what the engine makes them do. `folder` is the engine's.
/// Error(NotFound) if there is no snapshot.
std::unique_ptr<BareEngine> make_bare_engine(const Host::Impl& host, const std::filesystem::path& folder);

}  // namespace fireclaw::bench
