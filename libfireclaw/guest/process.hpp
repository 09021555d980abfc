#pragma once

#include <chrono>
#include <memory>

#include "guest/link.hpp"
#include "guest/session.hpp"

namespace fireclaw::guest {

/// A command and its channel. wait() is for one thread; the rest for any.
struct Process::Impl {
  Impl(std::shared_ptr<Link> link, ExecOptions options);
  ~Impl();

  const std::shared_ptr<Link> link;
  const ExecOptions options;
  const std::chrono::steady_clock::time_point started;
  const Link::ChannelPtr channel;
};

}  // namespace fireclaw::guest
