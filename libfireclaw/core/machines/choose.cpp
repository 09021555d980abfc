#include <utility>

#include <fmt/format.h>

#include "core/host/admission.hpp"
#include "core/host/engines.hpp"
#include "core/machines/impl.hpp"
#include "core/machines/snapshots.hpp"
#include "fireclaw/error.hpp"
#include "state/settings/config.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

// What a machine is made from: image, engine, snapshot, disks and network, before anything runs.

namespace fireclaw {
namespace {

std::string default_hostname(const std::string& id) { return "fc-" + id.substr(0, 8); }

/// The snapshot that goes by a name that was asked for. Error(NotFound).
state::SnapshotRecord named_snapshot(const Host::Impl& host, const VMConfig& config) {
  image::check_name(config.snapshot, "a snapshot");
  if (config.start == StartMode::Cold) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("snapshot '{}' and a cold start exclude each other", config.snapshot)};
  }
  auto named = host.snapshots.find(config.snapshot);
  if (!named) {
    throw Error{ErrorCode::NotFound,
                fmt::format("no snapshot named '{}'; see: fireclaw snapshot list", config.snapshot)};
  }
  if (named->agent) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("snapshot '{0}' is of agent '{1}' and its disks; make an agent of it with: fireclaw agent "
                            "start --from {0} --name NAME",
                            config.snapshot, named->agent->agent.name)};
  }
  return std::move(*named);
}

/// The snapshot that `config` asks for by name, or by what the machine is.
std::optional<state::SnapshotRecord> find_snapshot(const Host::Impl& host, const VMConfig& config,
                                                   const state::SnapshotKey& key) {
  if (config.start == StartMode::Cold) return std::nullopt;
  const auto name = config.snapshot.empty() ? state::automatic_name(key) : config.snapshot;
  return host.snapshots.find(name);
}

/// Error(InvalidState) unless a machine with this key can continue from it.
void require_fit(const state::SnapshotRecord& snapshot, const state::SnapshotKey& key) {
  core::check_disks(snapshot.key, key, snapshot.name);
  if (snapshot.key == key) return;
  const auto remedy = snapshot.agent
                          ? std::string{}
                          : fmt::format("; make it again with: fireclaw snapshot create --replace {}", snapshot.name);
  throw Error{ErrorCode::InvalidState, fmt::format("snapshot '{}' no longer fits: {} or image '{}' has changed since "
                                                   "it was made{}",
                                                   snapshot.name, snapshot.engine, snapshot.image, remedy)};
}

}  // namespace

VM::Impl::Impl(std::shared_ptr<Host::Impl> host_impl, VMConfig with, core::Purpose the_purpose, StartOptions options)
    : host{std::move(host_impl)},
      config{std::move(with)},
      waiting{std::move(options)},
      purpose{std::move(the_purpose)} {
  if (!config.hostname.empty()) core::check_hostname(config.hostname);
  std::optional<state::SnapshotRecord> named;
  if (purpose.continues || !config.snapshot.empty()) {
    named = purpose.continues ? purpose.continues->record : named_snapshot(*host, config);
    config.image = named->image;
    shape = {named->key.cpus, named->key.memory_mib, named->key.network == "nic"};
    if (!shape.nic && config.network != NetworkMode::None) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("snapshot '{}' is of a machine without network device: it can have no network (use --net "
                              "none)",
                              config.snapshot)};
    }
    config.start = StartMode::RequireSnapshot;
  } else {
    shape = {config.cpus, config.memory_mib, config.network != NetworkMode::None || purpose.with_device};
  }
  disks.emplace(*host, config, purpose);
  if (named && !purpose.continues) {
    state::SnapshotKey with_disks;
    with_disks.drives = core::to_text(disks->sizes());
    core::check_disks(named->key, with_disks, named->name);
    if (const auto reason = core::misfit(*host, *named); !reason.empty()) {
      named = core::make_again(host, config, *named, reason, waiting);
    }
  }
  if (disks->scratch_is_root() && !purpose.continues) {
    if (config.start == StartMode::RequireSnapshot) {
      throw Error{ErrorCode::InvalidArgument,
                  "a machine whose root file system is on a scratch disk boots; it cannot be restored from a snapshot"};
    }
    config.start = StartMode::Cold;
  }
  if (!host->images.find(config.image)) host->require_setup();
  // What was saved needs the build that it ran, which is kept for it.
  std::optional<image::Entry> build;
  if (named) build = host->images.find_build(config.image, named->key.image_digest);
  image = build ? std::move(*build) : host->images.open(config.image);
  auto verdict = core::choose_engine(*host, image, waiting.stop, named ? named->engine : std::string{});
  core::require_confinement(*host);
  driver = core::make_driver(*host, verdict);
  if (named && driver->snapshot_identity() != named->key.engine_identity) {
    if (auto kept = core::kept_engine(*host, verdict, named->key.engine_identity)) {
      verdict = std::move(*kept);
      driver = core::make_driver(*host, verdict);
    }
  }
  core::check_shape(shape, driver->capabilities(), verdict.engine);
  limits = host->config().limits;
  if (config.disk_mib_per_second > state::most_mib_per_second) {
    throw Error{ErrorCode::InvalidArgument, fmt::format("the rate of disks must be 1 to {} MiB a second, not {}",
                                                        state::most_mib_per_second, config.disk_mib_per_second)};
  }
  if (config.nat.mib_per_second == 0) config.nat.mib_per_second = limits.network_mib_per_second.value_or(0);
  network.emplace(*host, shape.nic, config.network, config.nat, driver->capabilities(), verdict.engine);

  const auto key = snapshot_key();
  try {
    auto found = purpose.continues ? purpose.continues->record : find_snapshot(*host, config, key);
    if (!found && renews() && core::renew_automatic(host, config, key, verdict.engine, waiting)) {
      found = find_snapshot(*host, config, key);
    }
    if (found) require_fit(*found, key);
    snapshot = std::move(found);
  } catch (const Error& problem) {
    if (config.start == StartMode::RequireSnapshot) throw;
    host->logger.warning(fmt::format("{}; booting cold", problem.what()));
  }
  if (!snapshot && config.start == StartMode::RequireSnapshot) {
    throw Error{ErrorCode::NotFound,
                fmt::format("no snapshot of image '{}' for {}, {} CPU(s), {} MiB, network {}; make it with: "
                            "fireclaw snapshot create",
                            config.image, verdict.engine, shape.cpus, shape.memory_mib, to_string(config.network))};
  }

  record.owner = sys::current_process();
  record.detached = config.detached;
  record.image = config.image;
  record.image_digest = image.manifest.digest;
  record.hostname = config.hostname;
  record.cpus = shape.cpus;
  record.memory_mib = shape.memory_mib;
  record.nic = shape.nic;
  record.network = to_string(config.network);
  if (purpose.kind == core::Purpose::Kind::Use) record.workspace = config.workspace;
  record.scratch_mib = config.scratch_mib;
  record.agent = purpose.agent;
  record.machine = purpose.machine;
  record.created = std::chrono::system_clock::now();
  record.engine = verdict.engine;
  record.engine_identity = key.engine_identity;
  {
    const bool kept = !purpose.kept_scratch.empty() && std::filesystem::exists(purpose.kept_scratch);
    const auto present = kept ? sys::allocated_bytes(purpose.kept_scratch) >> 20 : 0;
    const auto turn = core::admit(*host, limits, {1, record.memory_mib, record.scratch_mib}, present);
    record = host->runs.create(std::move(record));
  }
  if (record.hostname.empty()) record.hostname = default_hostname(record.id);
}

VM::Impl::Impl(std::shared_ptr<Host::Impl> host_impl, state::RunRecord of)
    : host{std::move(host_impl)}, record{std::move(of)}, configured{true} {
  config.image = record.image;
  config.hostname = record.hostname;
  config.snapshot = record.snapshot;
  config.detached = true;
  config.workspace = record.workspace;
  config.network = network_mode_from_string(record.network);
  shape = {record.cpus, record.memory_mib, record.nic};
  network.emplace(*host, record);
  // Without its image, or with another build of it, a machine can do all but be saved.
  auto found = record.image_digest.empty() ? host->images.find(record.image)
                                           : host->images.find_build(record.image, record.image_digest);
  if (found) image = std::move(*found);
  driver = core::make_driver(*host, core::engine_named(*host, record.engine));
  // An earlier version's engines have no folder of their own.
  auto folder = host->runs.engine_directory(record.id);
  if (!std::filesystem::exists(folder)) folder = host->runs.directory(record.id);
  instance = driver->adopt({record.engine, *record.process, folder});
  if (!instance) throw Error{ErrorCode::NotFound, fmt::format("VM {} has ended; see: fireclaw vm list", record.id)};
  state = record.paused ? VMState::Paused : VMState::Running;
}

bool VM::Impl::renews() const {
  // A caller that gives a machine its own disk makes its snapshot, too.
  return purpose.kind == core::Purpose::Kind::Use && purpose.prepared.empty() && !purpose.disk &&
         config.start != StartMode::Cold;
}

state::SnapshotKey VM::Impl::snapshot_key() const {
  auto key = core::make_key(*driver, image, shape);
  // The engine's program may have changed since.
  if (!record.engine_identity.empty()) key.engine_identity = record.engine_identity;
  key.drives = core::to_text(disks ? disks->sizes() : core::disk_sizes(*host, record));
  key.prepared = purpose.prepared;
  return key;
}

}  // namespace fireclaw
