#pragma once

#include <memory>

#include "guest/link.hpp"
#include "guest/session.hpp"

namespace fireclaw::guest {

struct Session::Impl {
  Impl(sys::Fd stream, std::optional<sys::Fd> claim)
      : link{std::make_shared<Link>(std::move(stream), std::move(claim))} {}
  /// Commands may outlive the session as objects; their stream does not.
  ~Impl() { link->close(); }

  /// Sends a request and waits for its answer.
  void ask(wire::Type type, std::string_view payload, Deadline deadline, std::string_view what);

  /// Sends a request that is answered as a command is, and waits for its end as `options` say.
  ExecResult call(wire::Type type, std::string_view request, std::string_view what, ExecOptions options);

  const std::shared_ptr<Link> link;
  GuestInfo info;
};

}  // namespace fireclaw::guest
