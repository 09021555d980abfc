#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.hpp"
#include "core/host/impl.hpp"
#include "fireclaw/engine.hpp"
#include "image/store/store.hpp"
#include "state/settings/config.hpp"
#include "sys/sandbox/sandbox.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::core {

/// The engine that emulates the guest's processor.
inline constexpr std::string_view qemu_tcg_name = "qemu-tcg";

/// The driver that `verdict` speaks of.
std::unique_ptr<vmm::Driver> make_driver(const Host::Impl& host, const EngineVerdict& verdict);

/// The best engine that has been seen to boot the kernel of `image` here and that the host's options allow, or the one
/// that is preferred by its name, if that has been seen to. Engines whose programs have changed since are tried again
/// first, once for all who wait, and so are all for a kernel that none was tried with. Error(InvalidState) saying what
/// was tried and why it failed, with the remedy.
EngineVerdict choose_engine(const Host::Impl& host, const image::Entry& image, const std::stop_token& stop = {},
                            std::string_view preferred = {});
/// The same of what is known; tries nothing.
std::optional<EngineVerdict> find_engine(const Host::Impl& host, const image::Entry& image,
                                         std::string_view preferred = {});

/// The engine that a running machine was started with, by its name. Error(NotFound) if it is no longer known here.
EngineVerdict engine_named(const Host::Impl& host, const std::string& name);

/// The program of an earlier version that is kept and saves and restores what has this identity.
std::optional<EngineVerdict> kept_engine(const Host::Impl& host, const EngineVerdict& verdict,
                                         const std::string& identity);

/// What `verdict`'s program would be recorded as if it were tried now: its version as it is. Throws if it cannot be
/// asked.
EngineVerdict as_it_is_now(EngineVerdict verdict);

/// Why machines cannot have KVM here, with the remedy, or empty.
std::string kvm_problem();

/// The names of all engines, best first.
std::vector<std::string> all_engines();
/// Whether the host's options and config.json let machines run on this one.
bool may_be_used(const Host::Impl& host, const state::Config& config, std::string_view engine);

/// The engines that must be tried before one can be chosen for `image`, best first.
std::vector<std::string> engines_to_try(const Host::Impl& host, const image::Entry& image,
                                        std::string_view preferred = {});

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

/// Whether a guest that boots is still worth waiting for, by what is seen of it now and then. On a busy host it gets
/// little CPU time, and one that hangs may use all that it gets.
class BootWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;
  BootWatch(std::chrono::nanoseconds limit, Time now) : limit_{limit}, said_{now}, moved_{now} {}

  /// True once its console has said nothing new while its engine used `limit` of CPU time, or has done neither for as
  /// long.
  bool gives_up(Time now, std::string console, std::chrono::nanoseconds cpu_time);
  /// From now on it is also true once the console has said nothing new for as long as this, whatever CPU time was used.
  void hurry(std::chrono::nanoseconds silence) { silence_ = silence; }
  /// What made it give up.
  [[nodiscard]] std::chrono::nanoseconds waited() const { return std::min(limit_, silence_); }

 private:
  std::chrono::nanoseconds limit_;
  std::chrono::nanoseconds silence_ = std::chrono::nanoseconds::max();
  Time said_;
  std::string console_;
  std::chrono::nanoseconds cpu_at_output_{0};
  std::chrono::nanoseconds cpu_at_move_{0};
  Time moved_;
};

/// The longest that a guest whose console is silent is waited for, which can become shorter meanwhile.
using LongestWait = std::atomic<std::chrono::nanoseconds>;

/// Boots `image` with one candidate and returns what was seen. Throws only Error(Cancelled).
EngineVerdict probe_engine(const Host::Impl& host, const Candidate& candidate, const image::Entry& image,
                           const std::stop_token& stop, const LongestWait& longest);

/// Tries those of `wanted()` with `image` and records what was seen, with the candidates' own limits unless one is
/// given. One process at a time does it: `wanted` is asked
/// when it is this one's turn.
std::vector<EngineVerdict> try_engines(const Host::Impl& host, const image::Entry& image,
                                       const std::function<std::vector<std::string>()>& wanted,
                                       const std::stop_token& stop, std::chrono::milliseconds boot_limit = {});

/// Tries again what is known of programs that have changed and of engines that have come, with each kernel that an
/// image has; forgets kernels that none has. With `all`, everything is tried again with `image`. Returns whether
/// anything was tried. `boot_limit`: SetupOptions::boot_timeout.
bool refresh_engines(const Host::Impl& host, const image::Entry& image, bool all, const std::stop_token& stop,
                     std::chrono::milliseconds boot_limit);

}  // namespace fireclaw::core
