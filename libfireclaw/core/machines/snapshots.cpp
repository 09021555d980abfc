#include "core/machines/snapshots.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/scope.hpp"
#include "core/host/engines.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "state/settings/config.hpp"
#include "vmm/brief_pause.hpp"

namespace fireclaw {
namespace core {
namespace {

constexpr std::chrono::minutes save_limit{5};
constexpr std::chrono::seconds warm_up_limit{10};
/// The one engine that needs no KVM.
constexpr std::string_view tcg_engine = "qemu-tcg";

/// Why the engine that is there cannot restore what this one saved with the image's kernel, or empty.
std::string engine_obstacle(const Host::Impl& host, const state::SnapshotRecord& record, const image::Entry& image) {
  const auto config = host.config();
  if (!may_be_used(host, config, record.engine)) return fmt::format("{} must not be used here", record.engine);
  const auto known = std::ranges::find_if(config.engines, [&](const state::Config::Engine& entry) {
    return entry.verdict.engine == record.engine && entry.verdict.kernel_sha256 == image.manifest.kernel.sha256;
  });
  if (known == config.engines.end()) return fmt::format("{} has not been tried with its kernel", record.engine);
  if (record.engine != tcg_engine) {
    if (auto problem = kvm_problem(); !problem.empty()) return problem;
  }
  auto verdict = known->verdict;
  if (!state::is_current(*known)) {
    // A restore has it tried first; its version says whether that can help.
    if (!std::filesystem::exists(verdict.binary)) return fmt::format("{} is gone", verdict.binary.native());
    verdict = as_it_is_now(std::move(verdict));
  } else if (!verdict.works) {
    return fmt::format("{} does not work here: {}", record.engine, verdict.reason);
  }
  const auto now = make_driver(host, verdict)->snapshot_identity();
  if (now == record.key.engine_identity || kept_engine(host, verdict, record.key.engine_identity)) return {};
  return fmt::format("it was saved with another engine, processor or kernel of the host ({}; here is: {})",
                     record.key.engine_identity, now);
}

/// Why the snapshot cannot be restored here and now, or empty.
std::string obstacle(const Host::Impl& host, const state::SnapshotRecord& record) {
  try {
    if (auto problem = misfit(host, record); !problem.empty()) return problem;
    static_cast<void>(host.snapshots.files(record));
  } catch (const Error& problem) {
    return problem.what();
  }
  return {};
}

/// The automatic snapshots of the same kind of machine that were made with the engine or the image as it was before.
std::vector<std::string> outgrown(const Host::Impl& host, const state::SnapshotKey& key, const std::string& image,
                                  const std::string& engine) {
  std::vector<std::string> names;
  for (const auto& name : host.snapshots.names()) {
    try {
      const auto record = host.snapshots.find(name);
      if (!record || !record->automatic || record->image != image || record->engine != engine || record->key == key) {
        continue;
      }
      auto with_ours = record->key;
      with_ours.engine_identity = key.engine_identity;
      with_ours.image_digest = key.image_digest;
      if (!key.prepared.empty() && !with_ours.prepared.empty()) with_ours.prepared = key.prepared;
      if (with_ours == key) names.push_back(name);
    } catch (const Error& problem) {
      host.logger.debug(problem.what());
    }
  }
  return names;
}

}  // namespace

Error snapshot_exists(const std::string& name) {
  return Error{ErrorCode::AlreadyExists,
               fmt::format("there is a snapshot named '{}'; remove it with: fireclaw snapshot remove {}", name, name)};
}

void warm_up(VM::Impl& vm) {
  auto command = ExecOptions::shell("/bin/true");
  command.timeout = warm_up_limit;
  command.stop = vm.waiting.stop;
  try {
    static_cast<void>(vm.start_command(std::move(command)).wait());
  } catch (const Error& problem) {
    vm.host->logger.debug(problem.what());
  }
}

std::string misfit(const Host::Impl& host, const state::SnapshotRecord& record) {
  try {
    if (const auto image = host.images.find_build(record.image, record.key.image_digest)) {
      return engine_obstacle(host, record, *image);
    }
    return fmt::format("image '{}' {}", record.image, host.images.find(record.image) ? "was rebuilt" : "is gone");
  } catch (const Error& problem) {
    return problem.what();
  }
}

SnapshotInfo describe(const Host::Impl& host, const state::SnapshotRecord& record) {
  SnapshotInfo info;
  info.name = record.name;
  info.image = record.image;
  info.engine = record.engine;
  info.cpus = record.key.cpus;
  info.memory_mib = record.key.memory_mib;
  info.network_device = record.key.network == "nic";
  info.bytes = host.snapshots.bytes_on_disk(record.name);
  info.created = record.created;
  info.automatic = record.automatic;
  if (record.agent) info.agent = record.agent->agent.name;
  info.reason = obstacle(host, record);
  info.usable = info.reason.empty();
  info.recoverable = record.automatic || record.booted || record.agent.has_value();
  return info;
}

Snapshot save_snapshot(VM::Impl& vm, const std::string& name, bool replace, AfterSave after) {
  if (vm.image.manifest.digest.empty()) {
    throw Error{ErrorCode::InvalidState, fmt::format("image '{}' is gone or was built again: VM {} cannot be saved",
                                                     vm.record.image, vm.record.id)};
  }
  if (vm.purpose.kind == Purpose::Kind::Use && vm.has_disks()) {
    if (!vm.record.agent.empty()) {
      throw Error{ErrorCode::InvalidState,
                  fmt::format("VM {} is agent '{}', whose disks belong to its state; save it with: fireclaw agent "
                              "snapshot {} {}",
                              vm.record.id, vm.record.agent, vm.record.agent, name)};
    }
    throw Error{
        ErrorCode::InvalidState,
        fmt::format("VM {} has a workspace or a scratch disk, whose content a snapshot does not hold: it cannot "
                    "be saved",
                    vm.record.id)};
  }
  const auto deadline = Deadline::after(std::chrono::nanoseconds{save_limit});
  state::SnapshotRecord record;
  record.key = vm.snapshot_key();
  record.automatic = name.empty();
  record.name = record.automatic ? automatic_name(record.key) : name;
  record.booted = vm.purpose.kind == Purpose::Kind::Save && !record.automatic;
  record.engine = vm.record.engine;
  record.image = vm.image.manifest.name;
  record.created = std::chrono::system_clock::now();

  auto draft = vm.host->snapshots.begin(record.name, deadline);
  if (const auto existing = vm.host->snapshots.find(record.name); existing && !replace) {
    if (record.automatic) return Access::snapshot(vm.host, core::describe(*vm.host, *existing));
    throw snapshot_exists(name);
  }
  {
    const ScopeGuard resume_after{[&] {
      if (after == AfterSave::End) return vm.kill();
      try {
        vm.resume(Deadline::after(vmm::resume_limit));
      } catch (const Error& problem) {
        vm.host->logger.error(fmt::format("VM {} stays paused: {}", vm.record.id, problem.what()));
      }
    }};
    vm.save(draft.files(), deadline);
  }
  const auto published = vm.host->snapshots.publish(std::move(draft), std::move(record), replace);
  if (published.automatic) {
    for (const auto& old : outgrown(*vm.host, published.key, published.image, published.engine)) {
      vm.host->logger.info(
          fmt::format("snapshot '{}' takes the place of '{}', which no longer fits", published.name, old));
      vm.host->snapshots.remove(old);
    }
  }
  return Access::snapshot(vm.host, core::describe(*vm.host, published));
}

Snapshot make_snapshot(const std::shared_ptr<Host::Impl>& host, const VMConfig& config, const std::string& name,
                       bool replace, Purpose purpose, StartOptions waiting) {
  if (!name.empty()) image::check_name(name, "a snapshot");
  auto cold = config;
  cold.start = StartMode::Cold;
  cold.snapshot.clear();
  cold.detached = false;
  VM::Impl vm{host, cold, std::move(purpose), std::move(waiting)};
  vm.network->unplug();
  if (name.empty() && !replace) {
    if (const auto existing = vm.host->snapshots.find(state::automatic_name(vm.snapshot_key()))) {
      auto info = core::describe(*vm.host, *existing);
      if (info.usable) return Access::snapshot(vm.host, std::move(info));
      replace = true;
    }
  }
  if (!name.empty() && !replace && vm.host->snapshots.find(name)) throw snapshot_exists(name);
  vm.start();
  if (!vm.purpose.prepare) warm_up(vm);
  return save_snapshot(vm, name, replace, AfterSave::End);
}

state::SnapshotRecord make_again(const std::shared_ptr<Host::Impl>& host, const VMConfig& config,
                                 const state::SnapshotRecord& record, const std::string& reason, StartOptions waiting) {
  if (!record.booted) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("snapshot '{0}' cannot be restored: {1}; it was saved from a running machine, so it "
                            "cannot be made again; remove it with: fireclaw snapshot remove {0}",
                            record.name, reason)};
  }
  host->logger.warning(fmt::format("snapshot '{}' no longer fits: {}; making it again", record.name, reason));
  auto same = config;
  same.image = record.image;
  same.cpus = record.key.cpus;
  same.memory_mib = record.key.memory_mib;
  same.network = record.key.network == "nic" ? config.network : NetworkMode::None;
  Purpose purpose;
  purpose.kind = Purpose::Kind::Save;
  purpose.with_device = record.key.network == "nic";
  return *host->snapshots.find(
      make_snapshot(host, same, record.name, true, std::move(purpose), std::move(waiting)).name());
}

bool renew_automatic(const std::shared_ptr<Host::Impl>& host, const VMConfig& config, const state::SnapshotKey& key,
                     const std::string& engine, StartOptions waiting) {
  if (outgrown(*host, key, config.image, engine).empty()) return false;
  host->logger.info(fmt::format("the engine or image '{}' has changed: making its snapshot again", config.image));
  try {
    Purpose purpose;
    purpose.kind = Purpose::Kind::Save;
    make_snapshot(host, config, {}, false, std::move(purpose), std::move(waiting));
    return true;
  } catch (const Error& problem) {
    if (problem.code() == ErrorCode::Cancelled) throw;
    host->logger.warning(fmt::format("no snapshot of image '{}' could be made: {}", config.image, problem.what()));
    return false;
  }
}

}  // namespace core

Snapshot::Snapshot(std::shared_ptr<const Impl> impl) : impl_{std::move(impl)} {}

Snapshot Access::snapshot(std::shared_ptr<Host::Impl> host, SnapshotInfo info) {
  return Snapshot{std::make_shared<const Snapshot::Impl>(Snapshot::Impl{std::move(host), std::move(info)})};
}

Snapshot Snapshots::create(const VMConfig& config, const std::string& name, bool replace, StartOptions options) const {
  core::Purpose purpose;
  purpose.kind = core::Purpose::Kind::Save;
  return core::make_snapshot(Access::impl(host_), config, name, replace, std::move(purpose), std::move(options));
}

Snapshot Snapshots::open(const std::string& name) const {
  image::check_name(name, "a snapshot");
  const auto& impl = Access::impl(host_);
  const auto record = impl->snapshots.find(name);
  if (!record) {
    throw Error{ErrorCode::NotFound, fmt::format("no snapshot named '{}'; see: fireclaw snapshot list", name)};
  }
  return Access::snapshot(impl, core::describe(*impl, *record));
}

std::vector<SnapshotInfo> Snapshots::list() const {
  const auto& impl = Access::impl(host_);
  std::vector<SnapshotInfo> infos;
  for (const auto& name : impl->snapshots.names()) {
    try {
      if (const auto record = impl->snapshots.find(name)) infos.push_back(core::describe(*impl, *record));
    } catch (const Error& problem) {
      SnapshotInfo broken;
      broken.name = name;
      broken.bytes = impl->snapshots.bytes_on_disk(name);
      broken.usable = false;
      broken.reason = problem.what();
      infos.push_back(std::move(broken));
    }
  }
  return infos;
}

void Snapshots::remove(const std::string& name) const {
  image::check_name(name, "a snapshot");
  Access::impl(host_)->snapshots.remove(name);
}

const std::string& Snapshot::name() const { return impl_->info.name; }
const SnapshotInfo& Snapshot::info() const { return impl_->info; }

VM Snapshot::restore(VMConfig config, StartOptions options) const {
  config.snapshot = name();
  config.start = StartMode::RequireSnapshot;
  return Access::host(impl_->host).vms().run(std::move(config), std::move(options));
}

}  // namespace fireclaw
