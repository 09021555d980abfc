#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "sys/inside.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::core {

/// Engines that have been killed and whose end nobody waits for: the kernel takes a machine down more slowly than it is
/// restored. One thread reaps them, while there are any; if this process ends first, the system reaps the rest. The
/// last one is noted in a file of the home folder, for later processes. Safe from any thread.
class Endings {
 public:
  /// More than this end at once: add() waits.
  static constexpr std::size_t most = 64;

  explicit Endings(std::filesystem::path note);

  /// Takes over a machine whose records are gone and whose engine has been killed. Returns at once. If nobody reaps
  /// orphans here (process 1 of some containers does not), it waits for the end.
  /// `helper`: a child that undid the machine's network.
  void add(std::unique_ptr<vmm::Instance> machine, std::optional<sys::EndingChild> helper = std::nullopt) noexcept;
  /// Waits until the engine that was noted last has ended, ten seconds at most. False if it has already.
  bool await_last() const;

 private:
  struct Queue;
  [[nodiscard]] bool leaves_zombies() const;

  std::filesystem::path note_;
  std::shared_ptr<Queue> queue_;
};

}  // namespace fireclaw::core
