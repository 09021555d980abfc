#pragma once

#include <sys/stat.h>

#include <deque>
#include <string>
#include <vector>

#include "sys/fd.hpp"
#include "sys/sandbox/devices.hpp"
#include "sys/sandbox/enter.hpp"
#include "sys/sandbox/sandbox.hpp"

namespace fireclaw::sys {

/// What a process has open, as /proc tells it. Bound by the child, so it is the child's; it may show nothing else
/// there.
inline constexpr const char* own_descriptors = "/proc/self/fd";

/// A plan made ready for the child: what it does step by step, and the texts that these steps point to.
/// Error(InvalidArgument) for a path that is not absolute, Error(NotFound) for one that is not there.
class SandboxLayout {
 public:
  explicit SandboxLayout(const Sandbox& plan);
  SandboxLayout(const SandboxLayout&) = delete;
  SandboxLayout& operator=(const SandboxLayout&) = delete;

  /// For the child. Borrowed: it points into this object.
  [[nodiscard]] child::Entry& entry() { return entry_; }
  /// For the namespaces of the child `pid`, which waits.
  void map_ids(pid_t pid, const std::vector<std::filesystem::path>& search_path) const;
  /// The descriptor to write "0" to, to join the plan's cgroup; negative: none.
  [[nodiscard]] int cgroup() const { return cgroup_ ? cgroup_->get() : -1; }

 private:
  void add(const SandboxEntry& entry);
  void add_parents(const std::filesystem::path& path);
  const char* keep(std::string text) { return texts_.emplace_back(std::move(text)).c_str(); }
  /// False: the device has a node of its own now, and is not to be bound.
  bool add_device(const std::filesystem::path& path, const struct stat& status);
  void add_groups();

  const Sandbox& plan_;
  std::deque<std::string> texts_;
  std::vector<std::string> folders_;
  std::vector<child::Operation> operations_;
  std::vector<child::Limit> limits_;
  /// Groups of the devices that not everybody may open; numbers outside.
  std::vector<gid_t> device_groups_;
  std::vector<gid_t> inner_groups_;
  std::vector<DeviceNode> nodes_;
  std::optional<Fd> root_;
  std::optional<Fd> ruleset_;
  std::optional<Fd> cgroup_;
  child::Entry entry_{};
};

/// Whether this kernel has Landlock.
bool has_landlock() noexcept;

/// A Landlock ruleset that allows what the plan's entries say. Error(Unsupported) where the kernel has none.
Fd make_ruleset(const Sandbox& plan);

}  // namespace fireclaw::sys
