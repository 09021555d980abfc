#pragma once

#include <chrono>
#include <memory>

#include "guest/link.hpp"
#include "guest/session.hpp"

namespace fireclaw::guest {

/// A command and its channel. wait() is for one thread; the rest for any.
struct Process::Impl {
  Impl(std::shared_ptr<Link> link, ExecOptions options);
  /// For another request that is answered like a command. Uses only the options that wait() uses.
  Impl(std::shared_ptr<Link> link, wire::Type type, std::string_view request, std::string_view what,
       ExecOptions options);
  ~Impl();

  const std::shared_ptr<Link> link;
  const ExecOptions options;
  const std::chrono::steady_clock::time_point started;
  const Link::ChannelPtr channel;
};

}  // namespace fireclaw::guest
