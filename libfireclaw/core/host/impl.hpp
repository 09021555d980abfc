#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/logger.hpp"
#include "base/sync.hpp"
#include "core/host/endings.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/snapshot.hpp"
#include "image/store/store.hpp"
#include "state/layout.hpp"
#include "state/records/runs.hpp"
#include "state/records/snapshots.hpp"
#include "state/records/workspaces.hpp"
#include "sys/file.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw {

namespace state {
struct Config;
}  // namespace state

/// The image that setup builds and that machines run from by default.
inline constexpr std::string_view built_in_image = "busybox";

/// The image that agents run in.
inline constexpr std::string_view agent_image = "debian-agent";

/// The part that a Host and everything made from it share. Safe from any thread: only values that are found once
/// change.
struct Host::Impl {
  explicit Impl(HostOptions with);

  HostOptions options;
  Logger logger;
  state::Layout layout;
  image::Store images;
  state::RunStore runs;
  state::SnapshotStore snapshots;
  state::WorkspaceStore workspaces;
  core::Endings endings;
  /// core::confinement()
  mutable std::once_flag confinement_once;
  mutable sys::Confinable confinement;
  /// The value of config() while the host is settled.
  mutable Sync<std::shared_ptr<const state::Config>> settled;

  /// config.json as it is now, or as it was when the host was settled. Error(Corrupt) if it is torn.
  [[nodiscard]] state::Config config() const;
  /// Hold it from reading config.json to writing it. Error(Timeout) naming the holder after `limit`.
  [[nodiscard]] sys::FileLock lock_config(std::chrono::seconds limit = std::chrono::seconds{30}) const;
  /// Gives a settled host the findings about engines that were written to config.json as `config`.
  void learn_engines(const state::Config& config) const;
  /// The guestd program for new images. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path guestd() const;
  /// The program that keeps networks and connects published ports. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path netd() const;
  /// The folder of the files that fireclaw puts into images for agents. Error(NotFound) with the remedy if there is
  /// none.
  [[nodiscard]] std::filesystem::path agent() const;
  /// Error(InvalidState) "run: fireclaw setup" unless setup was completed here.
  void require_setup() const;
};

namespace core {

/// A host for one operation that reads the configuration more than once: while this object exists, the configuration
/// stays as it is now, even if the file changes, except for findings about engines. Objects made from its `host` can
/// live longer, and then read the file.
class SettledHost {
 public:
  explicit SettledHost(const Host::Impl& of);
  SettledHost(const SettledHost&) = delete;
  SettledHost& operator=(const SettledHost&) = delete;
  ~SettledHost();

  const std::shared_ptr<Host::Impl> host;
};

}  // namespace core

/// The way from a Host to its insides, for the other public classes, and from insides to handles.
struct Access {
  static const std::shared_ptr<Host::Impl>& impl(const Host& host) { return host.impl_; }
  static Host host(std::shared_ptr<Host::Impl> impl) { return Host{std::move(impl)}; }
  static Snapshot snapshot(std::shared_ptr<Host::Impl> host, SnapshotInfo info);
  static VM vm(std::shared_ptr<VM::Impl> impl) { return VM{std::move(impl)}; }
};

}  // namespace fireclaw
