#include <chrono>

#include "core/host/engine_store.hpp"
#include "core/host/image_build.hpp"
#include "core/host/impl.hpp"
#include "core/machines/end_run.hpp"
#include "core/machines/named.hpp"
#include "core/machines/resume_abandoned.hpp"
#include "core/networks/nat.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/machine.hpp"
#include "sys/unfinished_file.hpp"

namespace fireclaw {
namespace {

/// A file that was not finished in this time never will be.
constexpr std::chrono::hours longest_write{1};

void append(std::vector<std::filesystem::path>& to, std::vector<std::filesystem::path> from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

/// Automatic snapshots of images that are gone or were rebuilt: nothing will ever look for them again.
std::vector<std::filesystem::path> remove_orphaned_snapshots(const Host::Impl& host) {
  std::vector<std::filesystem::path> removed;
  for (const auto& name : host.snapshots.names()) {
    try {
      const auto record = host.snapshots.find(name);
      if (!record || !record->automatic) continue;
      const auto image = host.images.find(record->image);
      if (image && image->manifest.digest == record->key.image_digest) continue;
      host.snapshots.remove(name);
      removed.push_back(host.layout.snapshots() / name);
    } catch (const Error& problem) {
      host.logger.warning(problem.what());
    }
  }
  return removed;
}

}  // namespace

GarbageReport Host::collect_garbage() {
  GarbageReport report;
  core::resume_all_abandoned(impl_);
  machines().tend();
  for (const auto& record : impl_->runs.list()) {
    if (!state::is_garbage(record)) continue;
    if (core::end_run(*impl_, record)) report.ended.push_back(record.id);
    report.removed.push_back(impl_->runs.directory(record.id));
    if (record.nat) report.addresses.push_back(record.nat->address);
  }
  // Those that no machine's record tells of.
  for (const auto& lease : core::reclaim_leases(*impl_)) report.addresses.push_back(lease.address.to_string());
  append(report.removed, impl_->runs.remove_unfinished());
  append(report.removed, impl_->runs.remove_broken());
  append(report.removed, impl_->snapshots.remove_unfinished());
  append(report.removed, impl_->workspaces.remove_unfinished());
  append(report.removed, core::machine_store(*impl_).remove_unused_disks());
  append(report.removed, remove_orphaned_snapshots(*impl_));
  append(report.removed, impl_->images.collect_garbage(impl_->options.search_path));
  append(report.removed, core::remove_unneeded_engines(*impl_));
  append(report.removed, sys::remove_unfinished_files(impl_->layout.home(), longest_write));
  append(report.removed,
         impl_->images.remove_kept([&](const std::string& digest) { return core::needs_build(*impl_, digest); }));
  return report;
}

}  // namespace fireclaw
