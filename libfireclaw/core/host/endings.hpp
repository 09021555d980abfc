#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <optional>

#include "sys/inside.hpp"
#include "vmm/driver.hpp"

namespace fireclaw::core {

/// Engines that have been killed and whose end nobody waits for: the kernel takes a machine down more slowly than it is
/// restored. One thread reaps them, while there are any; one that this process does not live to see end is left to the
/// system. The last one is noted in a file of the home folder, for processes that come later. Safe from any thread.
class Endings {
 public:
  /// More than this end at once: add() waits.
  static constexpr std::size_t most = 64;

  explicit Endings(std::filesystem::path note);

  /// Takes over a machine that nothing on disk tells of any more, and whose engine has been killed. Returns at once. If
  /// nobody reaps here what processes leave behind (process 1 of some containers does not), it waits for the end.
  /// `helper`: a child that undid the machine's network.
  void add(std::unique_ptr<vmm::Instance> machine, std::optional<sys::EndingChild> helper = std::nullopt) noexcept;
  /// Waits until the engine has ended that was noted last, ten seconds at most. False if it has already.
  bool await_last() const;

 private:
  struct Queue;
  [[nodiscard]] bool leaves_zombies() const;

  std::filesystem::path note_;
  std::shared_ptr<Queue> queue_;
};

}  // namespace fireclaw::core
