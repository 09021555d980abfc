#include <algorithm>
#include <charconv>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/machines/end_run.hpp"
#include "core/machines/impl.hpp"
#include "core/machines/machine_use.hpp"
#include "core/machines/named.hpp"
#include "core/machines/resume_abandoned.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/machine.hpp"
#include "sys/file.hpp"
#include "sys/random.hpp"
#include "sys/usage.hpp"

namespace fireclaw {
namespace {

constexpr std::size_t key_bytes = 8;
constexpr std::chrono::seconds control_limit{60};
constexpr std::chrono::minutes copy_limit{10};
/// What an idle machine's guest may take to say whether a command runs in it.
constexpr std::chrono::seconds answer_limit{10};

Error name_taken(const std::string& name) {
  return Error{
      ErrorCode::AlreadyExists,
      fmt::format("there is a machine named '{0}'; choose another name, or remove it: fireclaw vm rm {0}", name)};
}

/// What the bridge's end of a machine's device has counted: "rx" is what the machine sent.
std::uint64_t count_of(const std::string& tap, std::string_view counter) {
  std::string text;
  try {
    text = sys::read_file(fmt::format("/sys/class/net/{}/statistics/{}", tap, counter));
  } catch (const Error&) {
    return 0;
  }
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

void check_times(const MachineConfig& config) {
  if (config.ttl.count() < 0 || config.idle.count() < 0) {
    throw Error{ErrorCode::InvalidArgument, "a machine's ttl and idle time cannot be negative"};
  }
}

}  // namespace

namespace core {

state::MachineRecord record_of_machine(const MachineConfig& config) {
  const auto& machine = config.machine;
  state::MachineRecord record;
  record.name = config.name;
  record.key = sys::random_hex(key_bytes);
  record.created = std::chrono::system_clock::now();
  record.image = machine.image;
  record.cpus = machine.cpus;
  record.memory_mib = machine.memory_mib;
  record.network = to_string(machine.network);
  record.egress = to_string(machine.nat.egress);
  record.allow = machine.nat.allow;
  record.allow_http = machine.nat.allow_http;
  record.publish = machine.nat.publish;
  record.services = to_string(machine.nat.services);
  record.snapshot = machine.snapshot;
  record.cold = machine.start == StartMode::Cold;
  record.hostname = machine.hostname.empty() ? config.name : machine.hostname;
  record.workspace = machine.workspace;
  record.scratch_mib = machine.scratch_mib;
  record.scratch_target = machine.scratch_target;
  record.disk_mib_per_second = machine.disk_mib_per_second;
  record.network_mib_per_second = machine.nat.mib_per_second;
  record.ttl = config.ttl;
  record.idle = config.idle;
  return record;
}

VMConfig config_of_machine(const state::MachineRecord& record) {
  VMConfig config;
  config.image = record.image;
  config.cpus = record.cpus;
  config.memory_mib = record.memory_mib;
  config.network = network_mode_from_string(record.network);
  config.nat.egress = egress_from_string(record.egress);
  config.nat.allow = record.allow;
  config.nat.allow_http = record.allow_http;
  config.nat.publish = record.publish;
  config.nat.services = gateway_services_from_string(record.services);
  config.snapshot = record.snapshot;
  if (record.cold) config.start = StartMode::Cold;
  config.hostname = record.hostname;
  config.workspace = record.workspace;
  config.scratch_mib = record.scratch_mib;
  config.scratch_target = record.scratch_target;
  config.disk_mib_per_second = record.disk_mib_per_second;
  config.nat.mib_per_second = record.network_mib_per_second;
  config.detached = true;
  return config;
}

}  // namespace core

struct MachineManager::Impl {
  explicit Impl(std::shared_ptr<Host::Impl> of) : host{std::move(of)}, machines{core::machine_store(*host)} {}

  std::shared_ptr<Host::Impl> host;
  state::MachineStore machines;

  [[nodiscard]] MachineInfo describe(const state::MachineRecord& record) const;
  /// The machine, which runs. The caller holds its lock.
  [[nodiscard]] std::shared_ptr<VM::Impl> running(const std::string& name) const;
  /// Ends what a start that was interrupted, or a machine that ended by itself, has left.
  void clean_up(const std::string& name) const;
  MachineInfo launch(state::MachineRecord record, VMConfig config, core::Purpose purpose,
                     const StartOptions& options) const;
  void stop(const std::string& name, std::chrono::milliseconds grace) const;
  void pause(state::MachineRecord record, bool resumes_on_use) const;
  void resume(const std::string& name) const;
  [[nodiscard]] bool is_over(const state::MachineRecord& record) const;
  /// Pauses it if nobody has used it for long enough. The caller holds its lock.
  [[nodiscard]] bool pause_if_idle(const state::MachineRecord& record) const;
  [[nodiscard]] bool runs_commands(const std::string& name) const;
  void require_free(const std::string& name) const {
    if (machines.find(name)) throw name_taken(name);
  }
};

MachineInfo MachineManager::Impl::describe(const state::MachineRecord& record) const {
  MachineInfo info;
  info.name = record.name;
  info.image = record.image;
  info.cpus = record.cpus;
  info.memory_mib = record.memory_mib;
  info.network = network_mode_from_string(record.network);
  info.publish = record.publish;
  info.hostname = record.hostname;
  info.workspace = record.workspace;
  info.scratch_mib = record.scratch_mib;
  if (record.scratch_mib != 0) info.scratch_target = record.scratch_target;
  info.snapshot = record.snapshot;
  info.created = record.created;
  info.started = record.started;
  info.ttl = record.ttl;
  info.idle = record.idle;
  if (const auto disk = machines.scratch_disk(record.key); std::filesystem::exists(disk)) {
    info.scratch_bytes = sys::allocated_bytes(disk);
  }
  const auto run = core::run_of_machine(*host, record.name);
  if (!run) return info;
  info.state = run->paused ? VMState::Paused : VMState::Running;
  info.id = run->id;
  info.cpus = run->cpus;
  info.memory_mib = run->memory_mib;
  info.engine = run->engine;
  info.engine_pid = run->process->pid;
  if (run->nat) {
    info.address = run->nat->address;
    info.received_bytes = count_of(run->nat->tap, "tx_bytes");
    info.sent_bytes = count_of(run->nat->tap, "rx_bytes");
  }
  if (const auto usage = sys::usage_of(*run->process)) {
    info.memory_bytes = usage->resident_bytes;
    info.cpu_time = std::chrono::duration_cast<std::chrono::milliseconds>(usage->cpu_time);
  }
  return info;
}

std::shared_ptr<VM::Impl> MachineManager::Impl::running(const std::string& name) const {
  static_cast<void>(core::require_machine(*host, name));
  auto run = core::run_of_machine(*host, name);
  if (!run) throw core::machine_stopped(name);
  core::resume_abandoned(host, *run);
  return std::make_shared<VM::Impl>(host, core::require_run(*host, run->id));
}

void MachineManager::Impl::clean_up(const std::string& name) const {
  for (const auto& run : host->runs.list()) {
    if (run.machine == name) core::end_run(*host, run);
  }
}

MachineInfo MachineManager::Impl::launch(state::MachineRecord record, VMConfig config, core::Purpose purpose,
                                         const StartOptions& options) const {
  clean_up(record.name);
  purpose.machine = record.name;
  if (record.scratch_mib != 0) purpose.kept_scratch = machines.scratch_disk(record.key);
  auto machine = std::make_shared<VM::Impl>(host, std::move(config), std::move(purpose), options);
  ScopeGuard undo{[&] { machine->kill(); }};
  machine->start();
  record.started = std::chrono::system_clock::now();
  record.resumes_on_use = false;
  machines.put(record);
  core::note_use(*host, record.key);
  undo.release();
  auto info = describe(record);
  info.phases = machine->phases;
  return info;
}

void MachineManager::Impl::stop(const std::string& name, std::chrono::milliseconds grace) const {
  if (core::run_of_machine(*host, name)) running(name)->stop(grace);
  clean_up(name);
}

void MachineManager::Impl::pause(state::MachineRecord record, bool resumes_on_use) const {
  const auto machine = running(record.name);
  // Written first: a machine that is paused without it would stay so.
  record.resumes_on_use = resumes_on_use;
  machines.put(record);
  machine->pause(Deadline::after(std::chrono::nanoseconds{control_limit}));
}

void MachineManager::Impl::resume(const std::string& name) const {
  running(name)->resume(Deadline::after(std::chrono::nanoseconds{control_limit}));
  auto record = core::require_machine(*host, name);
  if (std::exchange(record.resumes_on_use, false)) machines.put(record);
  core::note_use(*host, record.key);
}

bool MachineManager::Impl::is_over(const state::MachineRecord& record) const {
  return record.ttl.count() > 0 && std::chrono::system_clock::now() >= record.started + record.ttl &&
         core::run_of_machine(*host, record.name);
}

bool MachineManager::Impl::runs_commands(const std::string& name) const {
  try {
    const auto deadline = Deadline::after(std::chrono::nanoseconds{answer_limit});
    const auto services = running(name)->session(deadline, {})->services(deadline);
    return std::ranges::any_of(services, [](const auto& one) { return one.state == ServiceState::Running; });
  } catch (const Error& problem) {
    host->logger.info(fmt::format("machine '{}' is not asked what runs in it: {}", name, problem.what()));
    return true;
  }
}

bool MachineManager::Impl::pause_if_idle(const state::MachineRecord& record) const {
  if (record.idle.count() == 0) return false;
  const auto since = std::max(core::last_use(*host, record.key), record.started);
  if (std::chrono::system_clock::now() < since + record.idle) return false;
  const auto run = core::run_of_machine(*host, record.name);
  if (!run || run->paused || !run->configured) return false;
  const auto unused = core::try_keep_unused(*host, record.key);
  if (!unused) return false;
  if (runs_commands(record.name)) {
    core::note_use(*host, record.key);
    return false;
  }
  pause(record, true);
  return true;
}

MachineManager::MachineManager(const Host& host) : impl_{std::make_shared<Impl>(Access::impl(host))} {}

MachineInfo MachineManager::create(const MachineConfig& config, const StartOptions& options) const {
  impl_->require_free(config.name);
  check_times(config);
  const auto turn = core::lock_machine(*impl_->host, config.name);
  impl_->require_free(config.name);
  const auto record = core::record_of_machine(config);
  // Before its disk, which else would belong to nobody.
  impl_->machines.put(record);
  ScopeGuard undo{[&] {
    impl_->clean_up(record.name);
    impl_->machines.remove(record);
    core::forget_use(*impl_->host, record.key);
  }};
  auto machine = core::config_of_machine(record);
  machine.start = config.machine.start;
  machine.scratch_uid = config.machine.scratch_uid;
  machine.scratch_gid = config.machine.scratch_gid;
  auto info = impl_->launch(record, std::move(machine), {}, options);
  undo.release();
  return info;
}

MachineInfo MachineManager::start(const std::string& name, const StartOptions& options) const {
  static_cast<void>(core::require_machine(*impl_->host, name));
  const auto turn = core::lock_machine(*impl_->host, name);
  if (const auto run = core::run_of_machine(*impl_->host, name); run && run->configured) {
    impl_->resume(name);
    return impl_->describe(core::require_machine(*impl_->host, name));
  }
  const auto record = core::require_machine(*impl_->host, name);
  return impl_->launch(record, core::config_of_machine(record), {}, options);
}

void MachineManager::stop(const std::string& name, std::chrono::milliseconds grace) const {
  static_cast<void>(core::require_machine(*impl_->host, name));
  const auto turn = core::lock_machine(*impl_->host, name);
  impl_->stop(name, grace);
}

void MachineManager::pause(const std::string& name) const {
  static_cast<void>(core::require_machine(*impl_->host, name));
  const auto turn = core::lock_machine(*impl_->host, name);
  impl_->pause(core::require_machine(*impl_->host, name), false);
}

void MachineManager::resume(const std::string& name) const {
  static_cast<void>(core::require_machine(*impl_->host, name));
  const auto turn = core::lock_machine(*impl_->host, name);
  impl_->resume(name);
}

void MachineManager::remove(const std::string& name, bool force) const {
  static_cast<void>(core::require_machine(*impl_->host, name));
  const auto turn = core::lock_machine(*impl_->host, name);
  const auto record = core::require_machine(*impl_->host, name);
  if (!force && core::run_of_machine(*impl_->host, name)) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("machine '{0}' runs; stop it with: fireclaw vm stop {0}, or use --force", name)};
  }
  impl_->clean_up(name);
  impl_->machines.remove(record);
  core::forget_use(*impl_->host, record.key);
}

void MachineManager::rename(const std::string& name, const std::string& new_name) const {
  static_cast<void>(core::require_machine(*impl_->host, name));
  impl_->require_free(new_name);
  // Always in the same order: two renames the other way round must not wait for each other.
  const auto one = core::lock_machine(*impl_->host, std::min(name, new_name));
  const auto other = core::lock_machine(*impl_->host, std::max(name, new_name));
  impl_->require_free(new_name);
  const auto record = core::require_machine(*impl_->host, name);
  impl_->machines.rename(record, new_name);
  for (const auto& run : impl_->host->runs.list()) {
    if (run.machine != name) continue;
    impl_->host->runs.change(run.id, [&](state::RunRecord& now) { now.machine = new_name; });
  }
}

MachineInfo MachineManager::fork(const std::string& name, const std::string& new_name,
                                 const StartOptions& options) const {
  static_cast<void>(core::require_machine(*impl_->host, name));
  impl_->require_free(new_name);
  const auto one = core::lock_machine(*impl_->host, std::min(name, new_name));
  const auto other = core::lock_machine(*impl_->host, std::max(name, new_name));
  impl_->require_free(new_name);
  auto record = core::require_machine(*impl_->host, name);
  if (!record.workspace.empty()) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("machine '{}' cannot be forked: only one machine can have its workspace '{}'", name,
                            record.workspace)};
  }
  const auto source = impl_->running(name);
  const auto disk = impl_->machines.scratch_disk(record.key);
  record.name = record.hostname = new_name;
  record.key = sys::random_hex(key_bytes);
  record.created = std::chrono::system_clock::now();
  record.started = {};
  record.publish.clear();
  record.resumes_on_use = false;
  impl_->machines.put(record);
  ScopeGuard undo{[&] {
    impl_->clean_up(record.name);
    impl_->machines.remove(record);
    core::forget_use(*impl_->host, record.key);
  }};
  const auto deadline = Deadline::after(std::chrono::nanoseconds{copy_limit});
  const auto began = std::chrono::steady_clock::now();
  const auto draft = impl_->host->snapshots.begin("fork-" + new_name, deadline);
  const auto copy = impl_->machines.scratch_disk(record.key);
  core::Purpose::Continuation from;
  from.record.key = source->snapshot_key();
  from.record.name = draft.files().memory.parent_path().filename();
  from.record.engine = source->record.engine;
  from.record.image = source->record.image;
  from.files = draft.files();
  const auto paused_for = source->save_running(
      from.files,
      [&] {
        if (record.scratch_mib != 0) sys::clone_file(disk, copy, 0600, {deadline, options.stop});
      },
      deadline, options.stop);
  if (record.scratch_mib != 0) from.scratch = copy;
  auto config = core::config_of_machine(record);
  config.snapshot.clear();
  core::Purpose purpose;
  purpose.continues = std::move(from);
  const auto copied = std::chrono::steady_clock::now() - began;
  auto info = impl_->launch(record, std::move(config), std::move(purpose), options);
  undo.release();
  info.phases.insert(info.phases.begin(), {{"copy", copied}, {"pause", paused_for}});
  return info;
}

std::vector<MachineInfo> MachineManager::list() const {
  std::vector<MachineInfo> all;
  for (const auto& record : impl_->machines.list()) all.push_back(impl_->describe(record));
  return all;
}

MachineInfo MachineManager::info(const std::string& name) const {
  return impl_->describe(core::require_machine(*impl_->host, name));
}

TendReport MachineManager::tend() const {
  TendReport report;
  for (const auto& seen : impl_->machines.list()) {
    if (seen.ttl.count() == 0 && seen.idle.count() == 0) continue;
    // Somebody who changes it now looks after it.
    const auto turn =
        sys::FileLock::try_acquire(impl_->host->layout.lock("machine-" + seen.name), sys::FileLock::Mode::Exclusive);
    if (!turn) continue;
    try {
      const auto record = impl_->machines.find(seen.name);
      if (!record) continue;
      if (impl_->is_over(*record)) {
        impl_->stop(seen.name, std::chrono::seconds{2});
        report.stopped.push_back(seen.name);
      } else if (impl_->pause_if_idle(*record)) {
        report.paused.push_back(seen.name);
      }
    } catch (const Error& problem) {
      impl_->host->logger.warning(fmt::format("machine '{}': {}", seen.name, problem.what()));
    }
  }
  return report;
}

}  // namespace fireclaw
