#include "fireclaw/collections.hpp"

#include <utility>

#include <fmt/format.h>

#include "core/machines/end_run.hpp"
#include "core/machines/impl.hpp"
#include "core/machines/machine_use.hpp"
#include "core/machines/named.hpp"
#include "core/machines/prepared.hpp"
#include "core/machines/resume_abandoned.hpp"
#include "core/machines/snapshots.hpp"
#include "fireclaw/error.hpp"
#include "sys/process.hpp"

namespace fireclaw {
namespace {

constexpr std::chrono::seconds control_limit{60};

Deadline control_deadline() { return Deadline::after(std::chrono::nanoseconds{control_limit}); }

VMInfo to_info(const state::RunRecord& record, VMState state) {
  VMInfo info;
  info.id = record.id;
  info.state = state;
  info.image = record.image;
  info.engine = record.engine;
  info.cpus = record.cpus;
  info.memory_mib = record.memory_mib;
  info.network = network_mode_from_string(record.network);
  if (record.nat) info.address = record.nat->address;
  info.hostname = record.hostname;
  info.snapshot = record.snapshot;
  info.detached = record.detached;
  info.workspace = record.workspace;
  info.agent = record.agent;
  info.engine_pid = record.process ? record.process->pid : 0;
  info.created = record.created;
  return info;
}

/// A machine that was paused because nobody used it resumes. The caller uses it.
void resume_idle(const std::shared_ptr<Host::Impl>& host, state::RunRecord& run) {
  const auto turn = core::lock_machine(*host, run.machine);
  run = core::require_run(*host, run.id);
  auto record = core::require_machine(*host, run.machine);
  if (!run.paused || !record.resumes_on_use) return;
  VM::Impl{host, run}.resume(control_deadline());
  record.resumes_on_use = false;
  core::machine_store(*host).put(record);
  run = core::require_run(*host, run.id);
}

}  // namespace

std::shared_ptr<VM::Impl> core::attach_machine(const std::shared_ptr<Host::Impl>& host, const std::string& id,
                                               Owned owned) {
  auto record = require_run(*host, id);
  if (!record.detached && owned == Owned::Refuse) {
    throw Error{ErrorCode::InvalidState, fmt::format("VM {} belongs to process {}", id, record.owner.pid)};
  }
  if (!record.configured) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("VM {} is still being started by process {}", id, record.owner.pid)};
  }
  if (record.machine.empty()) return std::make_shared<VM::Impl>(host, record);
  auto use = MachineUse::begin(*host, require_machine(*host, record.machine).key);
  if (is_abandoned(record)) {
    try_resume_abandoned(host, record);
    record = require_run(*host, id);
  }
  if (record.paused) resume_idle(host, record);
  auto machine = std::make_shared<VM::Impl>(host, record);
  machine->use.emplace(std::move(use));
  return machine;
}

struct Process::Impl {
  guest::Process process;
  /// Keeps the machine's session alive for as long as the command runs.
  std::shared_ptr<VM::Impl> vm;
};

Process::Process(std::unique_ptr<Impl> impl) : impl_{std::move(impl)} {}
Process::Process(Process&&) noexcept = default;
Process& Process::operator=(Process&&) noexcept = default;
Process::~Process() = default;

ExecResult Process::wait() {
  try {
    return impl_->process.wait();
  } catch (const Error& problem) {
    throw impl_->vm->explain(problem);
  }
}
void Process::send_signal(int number) { impl_->process.send_signal(number); }
void Process::resize(WindowSize size) { impl_->process.resize(size); }

VM::VM(std::shared_ptr<Impl> impl) : impl_{std::move(impl)} {}
VM::VM(VM&&) noexcept = default;
VM& VM::operator=(VM&&) noexcept = default;
VM::~VM() = default;

VM VMs::create(VMConfig config, StartOptions options) const {
  return Access::vm(
      std::make_shared<VM::Impl>(Access::impl(host_), std::move(config), core::Purpose{}, std::move(options)));
}

VM VMs::run(VMConfig config, StartOptions options) const {
  auto vm = create(std::move(config), std::move(options));
  vm.start();
  return vm;
}

VM VMs::attach(const std::string& id) const {
  return Access::vm(core::attach_machine(Access::impl(host_), id, core::Owned::Refuse));
}

std::vector<VMInfo> VMs::list() const {
  std::vector<VMInfo> infos;
  for (const auto& record : Access::impl(host_)->runs.list()) {
    if (state::is_running(record)) infos.push_back(to_info(record, record.paused ? VMState::Paused : VMState::Running));
  }
  return infos;
}

void VMs::kill(const std::string& id) const {
  const auto& impl = Access::impl(host_);
  const auto record = core::require_run(*impl, id);
  core::end_engine(*record.process, id);
  // A machine that belongs to a living process is tidied up by that process.
  if (record.detached || !sys::is_alive(record.owner)) core::end_run(*impl, record);
}

void VM::start() { impl_->start(); }

void VM::wait_ready(std::chrono::milliseconds timeout) {
  impl_->session(Deadline::after(std::chrono::nanoseconds{timeout}), impl_->waiting.stop)
      ->ping(Deadline::after(std::chrono::nanoseconds{timeout}));
}

ExecResult VM::exec(ExecOptions options) { return spawn(std::move(options)).wait(); }

ExecResult VM::exec(std::string line) { return exec(ExecOptions::shell(std::move(line))); }

Process VM::spawn(ExecOptions options) {
  auto impl = std::make_unique<Process::Impl>(Process::Impl{impl_->start_command(std::move(options)), impl_});
  return Process{std::move(impl)};
}

CopyResult VM::copy_in(const std::filesystem::path& source, const std::string& target, std::stop_token stop) {
  CopyOptions options;
  options.stop = std::move(stop);
  return copy_in(source, target, options);
}

CopyResult VM::copy_in(const std::filesystem::path& source, const std::string& target, const CopyOptions& options) {
  const auto session = impl_->session(control_deadline(), options.stop);
  auto completed = options;
  if (completed.owner.empty()) completed.owner = impl_->image.manifest.defaults.user;
  return session->copy_in(source, target, Deadline::after(options.timeout), completed);
}

CopyResult VM::copy_out(const std::string& source, const std::filesystem::path& target, std::stop_token stop) {
  CopyOptions options;
  options.stop = std::move(stop);
  return copy_out(source, target, options);
}

CopyResult VM::copy_out(const std::string& source, const std::filesystem::path& target, const CopyOptions& options) {
  const auto session = impl_->session(control_deadline(), options.stop);
  return session->copy_out(source, target, Deadline::after(options.timeout), options);
}

void VM::pause() { impl_->pause(control_deadline()); }
void VM::resume() { impl_->resume(control_deadline()); }
void VM::stop(std::chrono::milliseconds grace) { impl_->stop(grace); }
void VM::kill() { impl_->kill(); }

Snapshot VM::snapshot(const std::string& name) {
  image::check_name(name, "a snapshot");
  return core::save_snapshot(*impl_, name, false, core::AfterSave::Resume);
}

std::string VM::console_log(std::size_t max_bytes) const {
  impl_->require_own_process();
  const std::scoped_lock lock{impl_->control};
  return impl_->instance ? impl_->instance->console_tail(max_bytes) : std::string{};
}

VMInfo VM::info() const {
  impl_->require_own_process();
  const std::scoped_lock lock{impl_->control};
  auto info = to_info(impl_->record, impl_->state);
  info.phases = impl_->phases;
  return info;
}

}  // namespace fireclaw
