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
  /// What config() says while the host is settled.
  mutable Sync<std::shared_ptr<const state::Config>> settled;

  /// config.json as it is now, or as it was when the host was settled. Error(Corrupt) if it is torn.
  [[nodiscard]] state::Config config() const;
  /// Held from reading config.json to writing it. Error(Timeout) naming who has it after `limit`.
  [[nodiscard]] sys::FileLock lock_config(std::chrono::seconds limit = std::chrono::seconds{30}) const;
  /// What was found of engines has been written to config.json, as `config`: also a settled host is to know it.
  void learn_engines(const state::Config& config) const;
  /// The guestd program for new images. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path guestd() const;
  /// The program that keeps networks and leads ports. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path netd() const;
  /// The folder of what fireclaw puts into images for agents. Error(NotFound) with the remedy if there is none.
  [[nodiscard]] std::filesystem::path agent() const;
  /// Error(InvalidState) "run: fireclaw setup" unless setup was completed here.
  void require_setup() const;
};

namespace core {

/// A host for one operation that asks for its configuration more than once: that stays what it is now for as long as
/// this object lives, whatever becomes of the file, but for what is found of engines. What is made from its `host` may
/// live longer, and reads the file from then on.
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
