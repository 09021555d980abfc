#include "core/host/engines.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <functional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/host/confinement.hpp"
#include "core/host/engine_store.hpp"
#include "core/host/launch_plan.hpp"
#include "fireclaw/error.hpp"
#include "state/settings/config.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/usage.hpp"
#include "vmm/firecracker/driver.hpp"
#include "vmm/qemu/driver.hpp"
#include "vmm/qemu/known_holes.hpp"

namespace fireclaw::core {
namespace {

constexpr std::string_view firecracker_name = "firecracker";
constexpr std::string_view qemu_kvm_name = "qemu-kvm";
/// Best first.
constexpr std::array engine_order = {firecracker_name, qemu_kvm_name, qemu_tcg_name};

/// A kernel that boots under KVM is up in about a second; that one hangs must be found out within 15 s in all.
constexpr std::chrono::milliseconds kvm_boot_limit{12'000};
constexpr std::chrono::milliseconds tcg_boot_limit{90'000};
constexpr std::chrono::milliseconds version_limit{10'000};
/// A guest that makes progress is waited for so many times the limit at most.
constexpr int most_patience = 10;
/// Less CPU time than that between two looks is what an idle engine takes.
constexpr std::chrono::milliseconds least_move{50};

bool allows(Engine choice, std::string_view engine) {
  switch (choice) {
    case Engine::Auto: return true;
    case Engine::Firecracker: return engine == firecracker_name;
    case Engine::Qemu: return engine == qemu_kvm_name || engine == qemu_tcg_name;
    case Engine::QemuKvm: return engine == qemu_kvm_name;
    case Engine::QemuTcg: return engine == qemu_tcg_name;
  }
  return false;
}

/// Emulation is for trying things out: config.json may say that nothing falls back to it.
bool refuses(const state::Config& config, Engine choice, std::string_view engine) {
  return config.refuse_emulation && engine == qemu_tcg_name && choice != Engine::QemuTcg;
}

constexpr std::string_view emulation_refused =
    "config.json refuses emulation, which is not a security boundary; ask for it with --engine qemu-tcg";

/// The program that config.json names for an engine, if it is still there: one that has worked, or any.
std::optional<std::filesystem::path> recorded_program(const Host::Impl& host, std::string_view prefix, bool worked) {
  for (const auto& entry : host.config().engines) {
    const auto& verdict = entry.verdict;
    if (verdict.engine.starts_with(prefix) && (verdict.works || !worked) && !verdict.binary.empty() &&
        std::filesystem::exists(verdict.binary)) {
      return verdict.binary;
    }
  }
  return std::nullopt;
}

/// An engine's program: the one that was named, else the one that has worked here, else the one that is found.
std::optional<std::filesystem::path> program_of(const Host::Impl& host, std::string_view prefix,
                                                const std::filesystem::path& named, std::string_view program) {
  if (!named.empty()) return named;
  if (auto recorded = recorded_program(host, prefix, true)) return recorded;
  if (auto found = sys::find_program(std::string{program}, host.options.search_path)) return found;
  return recorded_program(host, prefix, false);
}

std::optional<std::filesystem::path> qemu_program(const Host::Impl& host) {
  return program_of(host, "qemu", host.options.qemu, "qemu-system-x86_64");
}

std::optional<std::filesystem::path> firecracker_program(const Host::Impl& host) {
  return program_of(host, firecracker_name, host.options.firecracker, "firecracker");
}

/// Whether there is a program to try for what `entry` speaks of: its own, or another one.
bool has_program(const Host::Impl& host, const state::Config::Engine& entry) {
  if (std::filesystem::exists(entry.verdict.binary)) return true;
  return (entry.verdict.engine == firecracker_name ? firecracker_program(host) : qemu_program(host)).has_value();
}

/// The engines in the order in which they are asked for: the preferred one first.
std::vector<std::string_view> in_order(std::string_view preferred) {
  std::vector<std::string_view> engines;
  if (!preferred.empty()) engines.push_back(preferred);
  for (const auto engine : engine_order) {
    if (engine != preferred) engines.push_back(engine);
  }
  return engines;
}

const state::Config::Engine* entry_for(const state::Config& config, std::string_view engine,
                                       const std::string& kernel_sha256) {
  const auto found = std::ranges::find_if(config.engines, [&](const state::Config::Engine& entry) {
    return entry.verdict.engine == engine && entry.verdict.kernel_sha256 == kernel_sha256;
  });
  return found == config.engines.end() ? nullptr : &*found;
}

EngineVerdict hopeless(std::string_view engine, std::string reason) {
  EngineVerdict verdict;
  verdict.engine = engine;
  verdict.reason = std::move(reason);
  return verdict;
}

void add_qemu(const Host::Impl& host, const std::string& no_kvm, Candidates& found) {
  const auto program = qemu_program(host);
  if (!program) {
    const std::string reason = "qemu-system-x86_64 is not installed; run: apt-get install qemu-system-x86";
    if (allows(host.options.engine, qemu_kvm_name)) found.hopeless.push_back(hopeless(qemu_kvm_name, reason));
    if (allows(host.options.engine, qemu_tcg_name)) found.hopeless.push_back(hopeless(qemu_tcg_name, reason));
    return;
  }
  EngineVerdict verdict;
  verdict.binary = *program;
  try {
    verdict.version = vmm::qemu::binary_version(*program, Deadline::after(version_limit));
    const auto hole =
        vmm::qemu::known_hole(verdict.version, vmm::qemu::binary_package(*program, Deadline::after(version_limit)));
    if (!hole.empty()) throw Error{ErrorCode::Unsupported, fmt::format("QEMU {}: {}", verdict.version, hole)};
  } catch (const Error& problem) {
    if (allows(host.options.engine, qemu_kvm_name)) found.hopeless.push_back(hopeless(qemu_kvm_name, problem.what()));
    if (allows(host.options.engine, qemu_tcg_name)) found.hopeless.push_back(hopeless(qemu_tcg_name, problem.what()));
    return;
  }
  verdict.engine = qemu_kvm_name;
  if (allows(host.options.engine, qemu_kvm_name)) {
    if (no_kvm.empty()) {
      found.to_try.push_back({verdict, vmm::qemu::candidate_cpu_models(vmm::Accelerator::Kvm), kvm_boot_limit});
    } else {
      found.hopeless.push_back(hopeless(qemu_kvm_name, no_kvm));
    }
  }
  verdict.engine = qemu_tcg_name;
  if (refuses(host.config(), host.options.engine, qemu_tcg_name)) {
    found.hopeless.push_back(hopeless(qemu_tcg_name, std::string{emulation_refused}));
  } else if (allows(host.options.engine, qemu_tcg_name)) {
    found.to_try.push_back({verdict, vmm::qemu::candidate_cpu_models(vmm::Accelerator::Tcg), tcg_boot_limit});
  }
}

void add_firecracker(const Host::Impl& host, const std::string& no_kvm, Candidates& found) {
  if (!allows(host.options.engine, firecracker_name)) return;
  if (!no_kvm.empty()) {
    found.hopeless.push_back(hopeless(firecracker_name, no_kvm));
    return;
  }
  const auto program = firecracker_program(host);
  if (!program) {
    found.hopeless.push_back(hopeless(firecracker_name,
                                      "no firecracker program was found; name it with --firecracker, or have a release "
                                      "fetched by: fireclaw setup --firecracker URL --firecracker-sha256 HEX"));
    return;
  }
  EngineVerdict verdict;
  verdict.engine = firecracker_name;
  verdict.binary = *program;
  try {
    verdict.version = vmm::firecracker::binary_version(*program, Deadline::after(version_limit));
  } catch (const Error& problem) {
    found.hopeless.push_back(hopeless(firecracker_name, problem.what()));
    return;
  }
  found.to_try.push_back({verdict, {std::string{}}, kvm_boot_limit});
}

/// Starts a machine to be looked at, has `use(instance)` do that, and ends it.
template <typename Use>
auto try_engine(const Host::Impl& host, const EngineVerdict& verdict, const image::Entry& image,
                const vmm::StartOptions& options, Use use) {
  require_confinement(host);
  const auto driver = make_driver(host, verdict);
  const auto user = claim_user(host, verdict.engine);
  const Shape shape;
  check_shape(shape, driver->capabilities(), verdict.engine);
  state::RunRecord record;
  record.owner = sys::current_process();
  record.image = image.manifest.name;
  record.hostname = "probe";
  record.memory_mib = shape.memory_mib;
  record.network = to_string(NetworkMode::None);
  record.created = std::chrono::system_clock::now();
  record.engine = verdict.engine;
  record = host.runs.create(record);
  const ScopeGuard remove{[&] {
    try {
      host.runs.remove(record.id);
    } catch (const Error& problem) {
      host.logger.warning(problem.what());
    }
  }};
  const auto spec =
      make_launch_spec(host, image, shape, record.id, true, driver->capabilities(), user ? &*user : nullptr);
  const auto instance = driver->launch(spec, options);
  return use(*instance);
}

/// Looks at a machine that boots, and asks its caller to stop waiting when that is no longer worth it.
class Patience {
 public:
  Patience(const vmm::Instance& instance, std::chrono::nanoseconds limit, const LongestWait& longest,
           const std::stop_token& stop)
      : forward_{stop, [this] { waiting_.request_stop(); }},
        watcher_{[this, &instance, limit, &longest, process = instance.record().process](const std::stop_token& ends) {
          BootWatch watch{limit, std::chrono::steady_clock::now()};
          constexpr int no_fd = -1;
          while (sys::wait_fd(no_fd, 0, Deadline::after(look_interval), ends) != sys::WaitResult::Stopped) {
            const auto usage = sys::usage_of(process);
            // An engine that has ended is noticed by who waits.
            if (!usage) return;
            watch.hurry(longest.load());
            if (!watch.gives_up(std::chrono::steady_clock::now(), instance.console_tail(looked_at_bytes),
                                usage->cpu_time)) {
              continue;
            }
            exhausted_after_ = std::chrono::duration_cast<std::chrono::milliseconds>(watch.waited());
            waiting_.request_stop();
            return;
          }
        }} {}

  [[nodiscard]] std::stop_token token() const { return waiting_.get_token(); }
  /// What it was waited for in vain; 0: it still is.
  [[nodiscard]] std::chrono::milliseconds exhausted_after() const { return exhausted_after_; }

 private:
  static constexpr std::chrono::milliseconds look_interval{500};
  static constexpr std::size_t looked_at_bytes = 4096;

  std::stop_source waiting_;
  std::atomic<std::chrono::milliseconds> exhausted_after_{};
  std::stop_callback<std::function<void()>> forward_;
  std::jthread watcher_;
};

/// One boot, from the engine's start to the guest's greeting. Throws what went wrong.
std::chrono::milliseconds boot_once(const Host::Impl& host, const EngineVerdict& verdict, const image::Entry& image,
                                    std::chrono::milliseconds limit, const LongestWait& longest,
                                    const std::stop_token& stop) {
  const auto started = std::chrono::steady_clock::now();
  const auto start_deadline = Deadline::after(std::chrono::nanoseconds{limit});
  return try_engine(host, verdict, image, {start_deadline, stop, {}}, [&](vmm::Instance& instance) {
    const auto deadline = Deadline::after(most_patience * std::chrono::nanoseconds{limit});
    const Patience patience{instance, limit, longest, stop};
    try {
      auto channel = instance.connect_guest(deadline, patience.token());
      const auto session = guest::Session::open(std::move(channel.stream), std::move(channel.claim),
                                                make_identity("probe"), deadline, patience.token());
      return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - started);
    } catch (const Error& problem) {
      const auto waited = patience.exhausted_after();
      if (problem.code() == ErrorCode::Timeout || waited.count() != 0) {
        throw Error{
            ErrorCode::Timeout,
            fmt::format("the kernel did not come up within {} s without progress; to wait longer: fireclaw setup "
                        "--boot-timeout TIME",
                        std::chrono::ceil<std::chrono::seconds>(waited.count() != 0 ? waited : limit).count())};
      }
      if (problem.code() == ErrorCode::Cancelled) throw;
      if (const auto reason = instance.exit_reason(); !reason.empty()) throw Error{ErrorCode::Vmm, reason};
      throw;
    }
  });
}

}  // namespace

std::unique_ptr<vmm::Driver> make_driver(const Host::Impl& host, const EngineVerdict& verdict) {
  const auto level = confinement(host).level;
  if (verdict.engine == firecracker_name) {
    return vmm::firecracker::make_driver({verdict.binary, verdict.version, host.logger, level});
  }
  if (verdict.engine == qemu_kvm_name || verdict.engine == qemu_tcg_name) {
    const auto accelerator = verdict.engine == qemu_kvm_name ? vmm::Accelerator::Kvm : vmm::Accelerator::Tcg;
    return vmm::qemu::make_driver(
        {verdict.binary, verdict.version, accelerator, verdict.cpu_model, host.logger, level});
  }
  throw Error{ErrorCode::Corrupt, fmt::format("unknown engine '{}' in config.json", verdict.engine)};
}

sys::ConfinementSeen see_engine(const Host::Impl& host, const EngineVerdict& verdict, const image::Entry& image,
                                Deadline deadline) {
  return try_engine(host, verdict, image, {deadline, {}, {}},
                    [](const vmm::Instance& instance) { return sys::see_confinement(instance.record().process.pid); });
}

bool BootWatch::gives_up(Time now, std::string console, std::chrono::nanoseconds cpu_time) {
  const bool has_output = console != console_;
  if (has_output) {
    console_ = std::move(console);
    cpu_at_output_ = cpu_time;
    said_ = now;
  }
  if (has_output || cpu_time - cpu_at_move_ >= least_move) {
    moved_ = now;
    cpu_at_move_ = cpu_time;
  }
  return cpu_time - cpu_at_output_ >= limit_ || now - moved_ >= limit_ || now - said_ >= silence_;
}

std::optional<EngineVerdict> kept_engine(const Host::Impl& host, const EngineVerdict& verdict,
                                         const std::string& identity) {
  if (verdict.engine != firecracker_name) return std::nullopt;
  for (const auto& version : kept_firecrackers(host)) {
    auto earlier = verdict;
    earlier.version = version;
    earlier.binary = kept_firecracker(host, version).value_or(std::filesystem::path{});
    if (!earlier.binary.empty() && make_driver(host, earlier)->snapshot_identity() == identity) return earlier;
  }
  return std::nullopt;
}

Candidates find_candidates(const Host::Impl& host) {
  Candidates found;
  const auto no_kvm = kvm_problem();
  add_firecracker(host, no_kvm, found);
  add_qemu(host, no_kvm, found);
  return found;
}

EngineVerdict probe_engine(const Host::Impl& host, const Candidate& candidate, const image::Entry& image,
                           const std::stop_token& stop, const LongestWait& longest) {
  auto verdict = candidate.verdict;
  verdict.kernel_release = image.manifest.kernel.release;
  verdict.kernel_sha256 = image.manifest.kernel.sha256;
  for (const auto& cpu_model : candidate.cpu_models) {
    verdict.cpu_model = cpu_model;
    try {
      verdict.boot_time = boot_once(host, verdict, image, candidate.boot_limit, longest, stop);
      verdict.works = true;
      verdict.reason.clear();
      return verdict;
    } catch (const Error& problem) {
      if (problem.code() == ErrorCode::Cancelled) throw;
      verdict.reason = problem.what();
      // Another CPU model may mend an engine that refuses to start; a kernel that hangs, it does not.
      if (problem.code() == ErrorCode::Timeout) break;
    }
  }
  return verdict;
}

std::vector<std::string> all_engines() { return {engine_order.begin(), engine_order.end()}; }

bool may_be_used(const Host::Impl& host, const state::Config& config, std::string_view engine) {
  return allows(host.options.engine, engine) && !refuses(config, host.options.engine, engine);
}

std::string kvm_problem() {
  const int fd = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    const sys::Fd close_it{fd};
    return {};
  }
  if (errno == ENOENT) return "there is no /dev/kvm: no hardware virtualization here";
  if (errno == EACCES) return "/dev/kvm is not yours to open; run: sudo usermod -aG kvm $USER, and log in again";
  return fmt::format("/dev/kvm: {}", std::strerror(errno));
}

std::optional<EngineVerdict> find_engine(const Host::Impl& host, const image::Entry& image,
                                         std::string_view preferred) {
  const auto config = host.config();
  for (const auto engine : in_order(preferred)) {
    if (!may_be_used(host, config, engine)) continue;
    const auto* entry = entry_for(config, engine, image.manifest.kernel.sha256);
    if (entry != nullptr && entry->verdict.works && state::is_current(*entry)) return entry->verdict;
  }
  return std::nullopt;
}

std::vector<std::string> engines_to_try(const Host::Impl& host, const image::Entry& image, std::string_view preferred) {
  const auto config = host.config();
  const auto& kernel = image.manifest.kernel.sha256;
  std::vector<std::string> allowed;
  bool none_tried = true;
  for (const auto engine : in_order(preferred)) {
    if (!may_be_used(host, config, engine)) continue;
    allowed.emplace_back(engine);
    none_tried = none_tried && entry_for(config, engine, kernel) == nullptr;
  }
  if (none_tried) return config.set_up_by.empty() ? std::vector<std::string>{} : allowed;
  std::vector<std::string> changed;
  for (const auto& engine : allowed) {
    const auto* entry = entry_for(config, engine, kernel);
    if (entry == nullptr) continue;
    if (!entry->verdict.works) {
      // It could not even be tried for want of KVM, which there is now.
      const bool lacked_kvm =
          entry->verdict.binary.empty() && entry->verdict.reason.find("/dev/kvm") != std::string::npos;
      if (lacked_kvm && kvm_problem().empty() && has_program(host, *entry)) changed.push_back(engine);
      continue;
    }
    if (state::is_current(*entry)) break;
    if (has_program(host, *entry)) changed.push_back(engine);
  }
  return changed;
}

EngineVerdict as_it_is_now(EngineVerdict verdict) {
  verdict.version = verdict.engine == firecracker_name
                        ? vmm::firecracker::binary_version(verdict.binary, Deadline::after(version_limit))
                        : vmm::qemu::binary_version(verdict.binary, Deadline::after(version_limit));
  return verdict;
}

EngineVerdict engine_named(const Host::Impl& host, const std::string& name) {
  const auto config = host.config();
  // One that no longer works with its new program may still be running as it was.
  for (const bool must_work : {true, false}) {
    for (const auto& entry : config.engines) {
      const auto& verdict = entry.verdict;
      if (verdict.engine == name && !verdict.version.empty() && (verdict.works || !must_work)) return verdict;
    }
  }
  throw Error{ErrorCode::NotFound, fmt::format("engine '{}' is not known here; run: fireclaw setup", name)};
}

EngineVerdict choose_engine(const Host::Impl& host, const image::Entry& image, const std::stop_token& stop,
                            std::string_view preferred) {
  const auto wanted = [&] { return engines_to_try(host, image, preferred); };
  if (!wanted().empty()) try_engines(host, image, wanted, stop);
  if (auto found = find_engine(host, image, preferred)) return *found;
  std::string tried;
  const auto config = host.config();
  for (const auto& entry : config.engines) {
    if (entry.verdict.kernel_sha256 != image.manifest.kernel.sha256 ||
        !allows(host.options.engine, entry.verdict.engine))
      continue;
    if (refuses(config, host.options.engine, entry.verdict.engine)) {
      tried += fmt::format("; {}: {}", entry.verdict.engine, emulation_refused);
    } else if (!state::is_current(entry) && entry.verdict.works) {
      tried += fmt::format("; {}: {} has changed since", entry.verdict.engine, entry.verdict.binary.native());
    } else {
      tried += fmt::format("; {}: {}", entry.verdict.engine, entry.verdict.reason);
    }
  }
  throw Error{ErrorCode::InvalidState,
              fmt::format("no engine ({}) has been seen to boot kernel {} of image '{}' here{}; run: fireclaw setup",
                          to_string(host.options.engine), image.manifest.kernel.release, image.manifest.name, tried)};
}

}  // namespace fireclaw::core
