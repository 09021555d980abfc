#include <exception>
#include <utility>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "base/text.hpp"
#include "core/host/cgroups.hpp"
#include "core/machines/full_disk.hpp"
#include "core/machines/impl.hpp"
#include "core/machines/run_defaults.hpp"
#include "fireclaw/error.hpp"
#include "sys/process.hpp"

// A machine from its start to its end.

namespace fireclaw {
namespace {

constexpr std::size_t console_lines_bytes = 600;
/// What an orderly stop may take beyond the guest's own grace before the engine is killed.
constexpr std::chrono::seconds stop_margin{5};
constexpr std::chrono::milliseconds exit_margin{500};
/// A guest that is well answers at once; one that is not need not hold up who has just let it continue.
constexpr std::chrono::seconds clock_limit{2};

/// The network refused, while the engine started: nothing that another start of the engine could mend. Not an Error,
/// so that nobody on the way takes it for the engine's.
struct Unconnected {
  std::exception_ptr problem;
};

}  // namespace

VM::Impl::~Impl() {
  if (!made_here.holds()) {
    abandon();
    return;
  }
  open_session.reset();
  const bool leave_running = config.detached && configured && (state == VMState::Running || state == VMState::Paused);
  if (leave_running) return;
  // While the firewall forgets the machine, its engine, which has the same socket, must not speak by it.
  if (!may_end_alone() || (network->lends_socket() && !instance->freeze())) {
    end_engine();
    remove_folder();
    return;
  }
  auto helper = network->leave();
  instance->send_kill();
  remove_folder();
  host->endings.add(std::move(instance), std::move(helper));
}

bool VM::Impl::may_end_alone() const {
  return instance && state != VMState::Stopped && !config.detached && network->tap_ends_with_engine() &&
         record.workspace.empty() && !purpose.disk && record.machine.empty() && record.agent.empty() &&
         record.cgroup.empty();
}

void VM::Impl::require_own_process() const { made_here.require(fmt::format("VM {}", record.id)); }

void VM::Impl::abandon() noexcept {
  // They have the owner's locks and descriptors, and threads that do not run here: kept until this process ends.
  static_cast<void>(new auto{std::move(open_session)});
  static_cast<void>(new auto{std::move(instance)});
  static_cast<void>(new auto{std::move(network)});
  static_cast<void>(new auto{std::move(disks)});
  static_cast<void>(new auto{std::move(purpose)});
  static_cast<void>(new auto{std::move(user)});
  static_cast<void>(new auto{std::move(use)});
}

void VM::Impl::end_engine() noexcept {
  if (instance) instance->kill();
  if (network) network->disconnect();
  core::remove_machine_cgroup(record.cgroup, host->logger);
  state = VMState::Stopped;
}

void VM::Impl::remove_folder() noexcept {
  // It is the owner's to tidy up.
  if (!record.detached && record.owner != sys::current_process() && sys::is_alive(record.owner)) return;
  try {
    host->runs.remove(record.id);
  } catch (const std::exception& problem) {
    host->logger.warning(fmt::format("the folder of VM {} stays behind: {}", record.id, problem.what()));
  }
}

vmm::LaunchSpec VM::Impl::launch_spec() {
  auto spec = core::make_launch_spec(*host, image, shape, record.id, !config.detached, driver->capabilities(),
                                     user ? &*user : nullptr);
  network->add_device(spec);
  disks->attach(*host, host->runs.directory(record.id), spec);
  // One that is only made to be saved runs at full speed: a snapshot can keep what its machine was limited to.
  if (purpose.kind == core::Purpose::Kind::Use) {
    const auto usual = limits.disk_mib_per_second.value_or(0);
    const std::uint64_t rate = config.disk_mib_per_second != 0 ? config.disk_mib_per_second : usual;
    for (auto& drive : spec.drives) drive.bytes_per_second = rate << 20;
  }
  spec.cgroup = record.cgroup;
  return spec;
}

void VM::Impl::boot(const vmm::StartOptions& options) {
  snapshot.reset();
  instance = driver->launch(launch_spec(), options);
}

void VM::Impl::restore_or_boot(const vmm::StartOptions& options) {
  if (!snapshot) {
    if (config.start == StartMode::PreferSnapshot && (!purpose.prepared.empty() || has_disks() || purpose.disk)) {
      host->logger.info(
          fmt::format("no snapshot of image '{}' fits this machine and its disks: booting cold", image.manifest.name));
    } else if (config.start == StartMode::PreferSnapshot) {
      host->logger.warning(fmt::format(
          "no snapshot of image '{}' fits {}, {} CPU(s), {} MiB, network {}: booting cold; make one with: fireclaw "
          "snapshot create --image {} --cpus {} --memory {} --net {}",
          image.manifest.name, record.engine, shape.cpus, shape.memory_mib, to_string(config.network),
          image.manifest.name, shape.cpus, shape.memory_mib, to_string(config.network)));
    }
    boot(options);
    return;
  }
  try {
    const auto files = purpose.continues ? purpose.continues->files : host->snapshots.files(*snapshot);
    instance = driver->restore(launch_spec(), files, options);
    record.snapshot = snapshot->name;
  } catch (Error& problem) {
    const bool may_boot = problem.code() == ErrorCode::Corrupt || problem.code() == ErrorCode::Vmm;
    if (config.start == StartMode::RequireSnapshot || !may_boot) {
      problem.add_context(fmt::format("restore snapshot '{}'", snapshot->name));
      throw;
    }
    host->logger.warning(
        fmt::format("snapshot '{}' cannot be restored ({}): booting cold", snapshot->name, problem.what()));
    boot(options);
  }
}

void VM::Impl::start() {
  require_own_process();
  const std::scoped_lock lock{control};
  if (state != VMState::Created) {
    throw Error{ErrorCode::InvalidState, fmt::format("VM {} has been started already", record.id)};
  }
  const auto note_phase = [this](std::string_view name, std::chrono::nanoseconds duration) {
    phases.push_back({std::string{name}, duration});
  };
  start_engine({Deadline::after(std::chrono::nanoseconds{waiting.timeout}), waiting.stop, note_phase});
  state = VMState::Running;
  if (config.detached) open_now(Deadline::after(std::chrono::nanoseconds{waiting.timeout}), waiting.stop);
}

void VM::Impl::connect_network(const vmm::PhaseCallback& on_phase) {
  const auto began = std::chrono::steady_clock::now();
  network->connect(record, user ? std::optional{user->id} : std::nullopt);
  if (config.network == NetworkMode::Nat) on_phase("network", std::chrono::steady_clock::now() - began);
}

void VM::Impl::start_engine(const vmm::StartOptions& options) {
  // If something fails, nothing is left that nobody would end, also of a machine that is to outlive us.
  ScopeGuard undo{[this] {
    if (instance) instance->kill();
    network->disconnect();
    instance.reset();
    core::remove_machine_cgroup(record.cgroup, host->logger);
  }};
  user = core::claim_user(*host, record.engine);
  auto cgroup_limits = core::machine_limits(record.engine, record.memory_mib, record.cpus);
  cgroup_limits.io_max = limits.io_max;
  record.cgroup = core::make_machine_cgroup(record.id, cgroup_limits);
  network->prepare();
  auto with_taps = options;
  if (driver->capabilities().tap_descriptors) {
    connect_network(options.on_phase);
  } else {
    with_taps.make_taps = [&, is_first = true]() mutable {
      if (!std::exchange(is_first, false)) return;
      try {
        connect_network(options.on_phase);
      } catch (...) {
        throw Unconnected{std::current_exception()};
      }
    };
  }
  try {
    core::naming_full_disk(host->runs.directory(record.id), [&] { restore_or_boot(with_taps); });
  } catch (const Unconnected& engine) {
    std::rethrow_exception(engine.problem);
  }
  const auto engine = instance->record().process;
  if (config.detached && record.cgroup.empty()) core::outlive_service(engine);
  network->hand_over(engine, config.detached);
  note([&](state::RunRecord& now) {
    now.process = engine;
    now.hostname = record.hostname;
    now.snapshot = record.snapshot;
    now.cgroup = record.cgroup;
  });
  disks->hand_over();
  user.reset();
  undo.release();
}

namespace {

Error paused(const state::RunRecord& record) {
  const std::string& name = record.machine.empty() ? record.id : record.machine;
  auto text =
      record.agent.empty()
          ? fmt::format("machine '{}' is paused; resume it with: fireclaw vm resume {}", name, name)
          : fmt::format("agent '{}' is paused; resume it with: fireclaw agent resume {}", record.agent, record.agent);
  return Error{ErrorCode::InvalidState, std::move(text)};
}

}  // namespace

void VM::Impl::require_running() const {
  switch (state) {
    case VMState::Created: throw Error{ErrorCode::InvalidState, fmt::format("VM {} has not been started", record.id)};
    case VMState::Stopped: throw Error{ErrorCode::InvalidState, fmt::format("VM {} has ended", record.id)};
    case VMState::Paused: throw paused(record);
    case VMState::Running: return;
  }
}

bool VM::Impl::is_being_copied() const {
  try {
    const auto now = host->runs.find(record.id);
    return now && now->copier && sys::is_alive(*now->copier);
  } catch (const Error&) {
    return false;
  }
}

Error VM::Impl::explain(const Error& problem) const {
  if (problem.code() != ErrorCode::Guest && problem.code() != ErrorCode::Timeout) return problem;
  std::string text = problem.what();
  // First, because the copy may be finished by the time that the rest is known.
  if (problem.code() == ErrorCode::Guest && is_being_copied()) {
    return Error{
        problem.code(),
        fmt::format("the machine is being copied (snapshot, fork or backup), which ends what is attached to it; "
                    "run it again ({})",
                    text),
        problem.cause()};
  }
  // An engine that dies closes the guest's channel a moment before it is gone.
  if (problem.code() == ErrorCode::Guest) instance->wait_exit(Deadline::after(std::chrono::nanoseconds{exit_margin}));
  if (const auto reason = instance->exit_reason(); !reason.empty()) text += fmt::format("; the engine {}", reason);
  auto said = instance->console_tail(console_lines_bytes);
  std::erase(said, '\r');
  if (const auto console = one_line(said, " | "); !console.empty()) {
    text += fmt::format("; the guest's console ends with: {}", console);
  }
  return Error{problem.code(), text, problem.cause()};
}

std::optional<guest::Identity> VM::Impl::fresh_identity() const {
  if (configured) return std::nullopt;
  auto identity = core::make_identity(record.hostname);
  network->describe(identity);
  if (!prepares()) identity.mounts = disks->mounts();
  return identity;
}

void VM::Impl::prepare_guest(guest::Session& session, Deadline deadline) const {
  purpose.prepare(session);
  for (const auto& mount : disks->mounts()) session.mount(mount, deadline);
}

void VM::Impl::note_configured() {
  if (std::exchange(configured, true)) return;
  const auto change = [](state::RunRecord& now) {
    now.configured = true;
    now.clock_late = false;
  };
  // Nobody else uses a machine that is this process's own, unless it is an agent's.
  if (record.detached || !record.agent.empty()) {
    note(change);
  } else {
    change(record);
  }
}

std::shared_ptr<guest::Session> VM::Impl::open(Deadline deadline, const std::stop_token& stop) {
  auto channel = instance->connect_guest(deadline, stop);
  auto session = std::make_shared<guest::Session>(
      guest::Session::open(std::move(channel.stream), std::move(channel.claim), fresh_identity(), deadline, stop));
  if (!configured && prepares()) prepare_guest(*session, deadline);
  note_configured();
  if (record.clock_late) set_clock(*session, deadline);
  return session;
}

std::shared_ptr<guest::Session> VM::Impl::session(Deadline deadline, const std::stop_token& stop) {
  require_own_process();
  const std::scoped_lock lock{control};
  require_running();
  return open_now(deadline, stop);
}

std::shared_ptr<guest::Session> VM::Impl::open_now(Deadline deadline, const std::stop_token& stop) {
  if (open_session) return open_session;
  const auto began = std::chrono::steady_clock::now();
  try {
    open_session = open(deadline, stop);
  } catch (const Error& problem) {
    throw explain(problem);
  }
  phases.push_back({"guest", std::chrono::steady_clock::now() - began});
  return open_session;
}

void VM::Impl::note_state(VMState now) {
  state = now;
  note([paused = now == VMState::Paused](state::RunRecord& run) {
    run.paused = paused;
    run.clock_late = run.clock_late || paused;
  });
}

void VM::Impl::note(const std::function<void(state::RunRecord&)>& change) {
  change(record);
  auto now = host->runs.change(record.id, change);
  // Its name and its place in the network are changed by others alone.
  record.machine = std::move(now.machine);
  record.nat = std::move(now.nat);
}

void VM::Impl::set_clock(guest::Session& session, Deadline deadline) {
  try {
    session.set_clock(Deadline::after(clock_limit).sooner(deadline));
    note([](state::RunRecord& now) { now.clock_late = false; });
  } catch (const Error& problem) {
    host->logger.info(fmt::format("VM {}: {}", record.id, problem.what()));
  }
}

void VM::Impl::catch_up() noexcept {
  try {
    if (!record.clock_late || !configured) return;
    const auto deadline = Deadline::after(clock_limit);
    const bool was_open = open_session != nullptr;
    const auto current = open_now(deadline, {});
    if (was_open) set_clock(*current, deadline);
  } catch (const std::exception& problem) {
    host->logger.info(fmt::format("VM {}: its clock is late: {}", record.id, problem.what()));
  }
}

void VM::Impl::pause(Deadline deadline) {
  require_own_process();
  const std::scoped_lock lock{control};
  if (state == VMState::Paused) return;
  require_running();
  instance->pause(deadline);
  note_state(VMState::Paused);
}

void VM::Impl::resume(Deadline deadline) {
  require_own_process();
  const std::scoped_lock lock{control};
  if (state == VMState::Running) return;
  if (state != VMState::Paused) require_running();
  instance->resume(deadline);
  if (instance->resume_resets_streams()) open_session.reset();
  note_state(VMState::Running);
  catch_up();
}

guest::Process VM::Impl::start_command(ExecOptions options) {
  require_own_process();
  core::apply_defaults(options, image.manifest.defaults);
  if (record.nat) core::apply_proxy(options, record.nat->http_proxy);
  if (options.argv.empty()) options.argv = image.manifest.defaults.command;
  if (options.argv.empty()) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("no command was given, and the image '{}' has none", image.manifest.name)};
  }
  const auto deadline = Deadline::after(std::chrono::nanoseconds{waiting.timeout});
  const auto stop = options.stop;
  {
    const std::scoped_lock lock{control};
    require_running();
    // A restored guest is up: greeting, identity and command go in one round trip.
    if (!open_session && snapshot && !(configured && record.clock_late))
      return open_with_command(std::move(options), deadline, stop);
  }
  return session(deadline, stop)->start(std::move(options));
}

guest::Process VM::Impl::open_with_command(ExecOptions options, Deadline deadline, const std::stop_token& stop) {
  const auto began = std::chrono::steady_clock::now();
  try {
    auto channel = instance->connect_guest(deadline, stop);
    auto opened = guest::Session::open_and_start(std::move(channel.stream), std::move(channel.claim), fresh_identity(),
                                                 std::move(options), deadline, stop);
    note_configured();
    open_session = std::make_shared<guest::Session>(std::move(opened.session));
    phases.push_back({"guest", std::chrono::steady_clock::now() - began});
    return std::move(opened.process);
  } catch (const Error& problem) {
    throw explain(problem);
  }
}

void VM::Impl::stop(std::chrono::milliseconds grace) {
  require_own_process();
  const auto deadline = Deadline::after(std::chrono::nanoseconds{grace} + stop_margin);
  resume(deadline);
  try {
    session(deadline, {})->shutdown(grace, deadline);
  } catch (const Error& problem) {
    if (problem.code() == ErrorCode::InvalidState) throw;
    host->logger.warning(
        fmt::format("VM {} cannot be stopped in order ({}): ending its engine", record.id, problem.what()));
  }
  const std::scoped_lock lock{control};
  open_session.reset();
  if (!instance->wait_exit(deadline)) {
    host->logger.warning(
        fmt::format("VM {} did not end within {} ms: ending its engine", record.id, (grace + stop_margin).count()));
  }
  end_engine();
  remove_folder();
}

void VM::Impl::kill() {
  require_own_process();
  const std::scoped_lock lock{control};
  open_session.reset();
  end_engine();
  remove_folder();
}

}  // namespace fireclaw
