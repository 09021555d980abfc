#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/logger.hpp"
#include "gateway/limits.hpp"
#include "gateway/llm/service.hpp"
#include "gateway/proxy/rules.hpp"
#include "gateway/records/sources.hpp"
#include "sys/fd.hpp"

namespace fireclaw::gateway {

/// Something that works within the same event loop: `run` is called whenever `fd` is readable.
struct Attendant {
  int fd = -1;
  std::function<void()> run;
};

struct HttpListener {
  sys::Fd socket;
  HttpRules rules;
};

/// Sockets that listen.
struct Listeners {
  /// TCP: agents ask LLMs here, and find IRC here.
  std::optional<sys::Fd> llm = std::nullopt;
  std::optional<sys::Fd> irc = std::nullopt;
  /// At most one in all.
  std::optional<HttpListener> http = std::nullopt;
  std::vector<Attendant> attendants = {};
};

/// The owner's work in the same loop.
struct Upkeep {
  /// Called at the beginning, now and then, and at the end. The listeners that it returns are served from then on.
  std::function<Listeners()> work = [] { return Listeners{}; };
  /// Services that are missing, and why.
  std::function<std::vector<std::string>()> problems = [] { return std::vector<std::string>{}; };
};

/// Serves until the stop, on this thread. `status`: a Unix socket that answers /metrics and /status to every
/// client.
void serve(Sources& sources, LlmService& service, sys::Fd status, Listeners listeners, const ServerLimits& limits,
           const Logger& logger, const Upkeep& upkeep, const std::stop_token& stop);

}  // namespace fireclaw::gateway
