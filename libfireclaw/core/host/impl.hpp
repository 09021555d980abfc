#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

#include "base/logger.hpp"
#include "core/host/endings.hpp"
#include "fireclaw/host.hpp"
#include "fireclaw/snapshot.hpp"
#include "image/store/store.hpp"
#include "state/layout.hpp"
#include "state/runs.hpp"
#include "state/snapshots.hpp"
#include "state/workspaces.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw {

/// The image that setup builds and that machines run from unless they are told otherwise.
inline constexpr std::string_view built_in_image = "busybox";

/// The image that agents run in.
inline constexpr std::string_view agent_image = "debian-agent";

/// What a Host and everything made from it share. Safe from any thread: all but what is found once does not change.
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

  /// The guestd program for new images. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path guestd() const;
  /// The program that keeps networks and leads ports. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path netd() const;
  /// The folder of what fireclaw puts into images for agents. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path agent() const;
  /// Error(InvalidState) "run: fireclaw setup" unless setup was completed here.
  void require_setup() const;
};

/// The way from a Host to its insides, for the other public classes, and to snapshots from what is known of them.
struct Access {
  static const std::shared_ptr<Host::Impl>& impl(const Host& host) { return host.impl_; }
  static Snapshot snapshot(SnapshotInfo info) { return Snapshot{std::move(info)}; }
  static VM vm(std::shared_ptr<VM::Impl> impl) { return VM{std::move(impl)}; }
};

}  // namespace fireclaw
