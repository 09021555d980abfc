#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "backend.hpp"

namespace fireclaw::mcp {

/// Machines that are none, by the library's rules: names are checked, a snapshot's name is taken once, a machine that
/// has ended runs nothing. What a machine knows is one text, its memory, which snapshots keep. Safe from several
/// threads.
///
/// Its machines keep files by their paths; any folder holds them all.
///
/// Commands (shell lines): "echo TEXT", "set TEXT" (into memory), "get", "fail STATUS", "flood BYTES" (of 'x'), "block"
/// (until it is stopped, its machine is saved or ends).
class FakeBackend final : public Backend {
 public:
  FakeBackend();
  ~FakeBackend() override;

  std::unique_ptr<Machine> start(const VMConfig& config, const std::stop_token& stop) override;
  std::vector<SnapshotInfo> snapshots() override;
  void remove_snapshot(const std::string& name) override;
  std::vector<ImageInfo> images() override;

  /// As somebody else might: a snapshot of the user's own.
  void add_snapshot(const std::string& name);
  /// Machines that have not ended.
  std::size_t running();
  /// How the last machine was asked for.
  VMConfig last_config();
  /// Waits until so many commands block.
  void wait_blocked(std::size_t count);

  struct World;

 private:
  std::shared_ptr<World> world_;
};

}  // namespace fireclaw::mcp
