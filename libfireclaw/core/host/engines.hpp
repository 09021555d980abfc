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

/// Makes the driver of the engine that `verdict` names.
std::unique_ptr<vmm::Driver> make_driver(const Host::Impl& host, const EngineVerdict& verdict);

/// The best engine that has booted the kernel of `image` here and that the host's options allow; or the preferred one,
/// if it has booted the kernel. Engines whose programs have changed are tried again first, once for all processes that
/// wait; so are all engines for a kernel that none was tried with. Error(InvalidState) says what was tried, why it
/// failed, and the remedy.
EngineVerdict choose_engine(const Host::Impl& host, const image::Entry& image, const std::stop_token& stop = {},
                            std::string_view preferred = {});
/// The same from what is known; tries nothing.
std::optional<EngineVerdict> find_engine(const Host::Impl& host, const image::Entry& image,
                                         std::string_view preferred = {});

/// The engine that a running machine was started with, by its name. Error(NotFound) if it is no longer known here.
EngineVerdict engine_named(const Host::Impl& host, const std::string& name);

/// The kept program of an earlier version that saves and restores snapshots of this identity.
std::optional<EngineVerdict> kept_engine(const Host::Impl& host, const EngineVerdict& verdict,
                                         const std::string& identity);

/// `verdict` with the version that its program has now. Throws if the program cannot be asked.
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

/// The engines here, best first. Engines that cannot be tried are verdicts with a reason.
struct Candidates {
  std::vector<Candidate> to_try;
  std::vector<EngineVerdict> hopeless;
};
Candidates find_candidates(const Host::Impl& host);

/// Starts a machine of `image` with this engine, looks at its process, and ends it. Throws if that fails.
sys::ConfinementSeen see_engine(const Host::Impl& host, const EngineVerdict& verdict, const image::Entry& image,
                                Deadline deadline);

/// Decides whether to wait longer for a booting guest, by looking at it now and then. On a busy host a guest gets
/// little CPU time; a guest that hangs may use all that it gets.
class BootWatch {
 public:
  using Time = std::chrono::steady_clock::time_point;
  BootWatch(std::chrono::nanoseconds limit, Time now) : limit_{limit}, said_{now}, moved_{now} {}

  /// True once its console has said nothing new while its engine used `limit` of CPU time, or has done neither for as
  /// long.
  bool gives_up(Time now, std::string console, std::chrono::nanoseconds cpu_time);
  /// From now on it is also true once the console has said nothing new for as long as this, whatever CPU time was used.
  void hurry(std::chrono::nanoseconds silence) { silence_ = silence; }
  /// The wait that made it give up.
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

/// The longest wait for a guest with a silent console; it can become shorter meanwhile.
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

/// Tries changed programs and new engines again, with each kernel of an image; forgets kernels that no image has. With
/// `all`, everything is tried again with `image`. Returns whether anything was tried. `boot_limit`:
/// SetupOptions::boot_timeout.
bool refresh_engines(const Host::Impl& host, const image::Entry& image, bool all, const std::stop_token& stop,
                     std::chrono::milliseconds boot_limit);

}  // namespace fireclaw::core
