#pragma once

#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/deadline.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/engine.hpp"
#include "image/store/store.hpp"
#include "sys/sandbox/sandbox.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::core {

/// The driver that `verdict` speaks of.
std::unique_ptr<vmm::Driver> make_driver(const Host::Impl& host, const EngineVerdict& verdict);

/// The best engine that has been seen to boot the kernel of `image` here and that the host's options allow.
/// Error(InvalidState) saying what was tried and why it failed, with the remedy.
EngineVerdict choose_engine(const Host::Impl& host, const image::Entry& image);
std::optional<EngineVerdict> find_engine(const Host::Impl& host, const image::Entry& image);

/// The engine that a running machine was started with, by its name. Error(NotFound) if it is no longer known here.
EngineVerdict engine_named(const Host::Impl& host, const std::string& name);

/// An engine that might work here: its program is there. Not asked yet whether it boots anything.
struct Candidate {
  EngineVerdict verdict;
  /// CPU models to try in turn; one empty entry where there is no choice.
  std::vector<std::string> cpu_models;
  std::chrono::milliseconds boot_limit;
};

/// The engines there are, best first. Those that cannot even be tried come as verdicts with a reason.
struct Candidates {
  std::vector<Candidate> to_try;
  std::vector<EngineVerdict> hopeless;
};
Candidates find_candidates(const Host::Impl& host);

/// Starts a machine of `image` with this engine, looks at its process, and ends it. Throws what went wrong.
sys::ConfinementSeen see_engine(const Host::Impl& host, const EngineVerdict& verdict, const image::Entry& image,
                                Deadline deadline);

/// Boots `image` with one candidate and returns what was seen. Throws only Error(Cancelled).
EngineVerdict probe_engine(const Host::Impl& host, const Candidate& candidate, const image::Entry& image,
                           const std::stop_token& stop);

}  // namespace fireclaw::core
