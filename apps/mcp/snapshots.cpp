#include "snapshots.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {
namespace {

constexpr std::string_view prefix = "mcp.";
/// What a fork is made from, for as long as that takes: "mcp-fork.PID.NUMBER".
constexpr std::string_view fork_prefix = "mcp-fork.";

std::string stored_name(const std::string& name) { return std::string{prefix} + name; }

/// Removes a snapshot when it ends. One that cannot be removed is left for remove_leftovers().
class Temporary {
 public:
  Temporary(Backend& backend, std::string name) : backend_{backend}, name_{std::move(name)} {}
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    try {
      backend_.remove_snapshot(name_);
    } catch (const Error&) {
      return;
    }
  }

 private:
  Backend& backend_;
  std::string name_;
};

/// A snapshot can be of a server that had other limits.
void refuse_beyond(const Policy& policy, const SnapshotInfo& snapshot) {
  const auto refuse = [&](const std::string& why) {
    throw Error{ErrorCode::PermissionDenied,
                fmt::format("snapshot '{}' {}; this server was started with other limits", snapshot.name, why)};
  };
  if (!policy.images.empty() && std::ranges::find(policy.images, snapshot.image) == policy.images.end()) {
    refuse(fmt::format("is of image '{}', which must not be used here", snapshot.image));
  }
  if (snapshot.cpus > policy.most_cpus) {
    refuse(fmt::format("has {} virtual CPUs, and {} are allowed", snapshot.cpus, policy.most_cpus));
  }
  if (snapshot.memory_mib > policy.most_memory_mib) {
    refuse(fmt::format("has {} MiB of memory, and {} are allowed", snapshot.memory_mib, policy.most_memory_mib));
  }
}

}  // namespace

std::vector<SnapshotInfo> Snapshots::list() {
  std::vector<SnapshotInfo> ours;
  for (auto& snapshot : backend_.snapshots()) {
    if (!snapshot.name.starts_with(prefix)) continue;
    snapshot.name.erase(0, prefix.size());
    ours.push_back(std::move(snapshot));
  }
  return ours;
}

SnapshotInfo Snapshots::find(const std::string& name) {
  for (auto& snapshot : list()) {
    if (snapshot.name == name) return snapshot;
  }
  throw Error{ErrorCode::NotFound, fmt::format("no snapshot named '{}'; see list_snapshots", name)};
}

SnapshotInfo Snapshots::save(const std::string& machine, const std::string& name) {
  static_cast<void>(machines_.find(machine));
  // One at a time: two at once must not become one more than may be.
  const std::scoped_lock lock{saving_};
  const auto there = list();
  if (std::ranges::any_of(there, [&](const auto& other) { return other.name == name; })) {
    throw Error{ErrorCode::AlreadyExists,
                fmt::format("there is a snapshot named '{}'; remove it with delete_snapshot", name)};
  }
  if (there.size() >= policy_.snapshots) {
    throw Error{
        ErrorCode::InvalidState,
        fmt::format("there are {} snapshots, which is the limit; remove one with delete_snapshot", there.size())};
  }
  machines_.save(machine, stored_name(name), fmt::format("save_snapshot '{}'", name));
  return find(name);
}

void Snapshots::remove(const std::string& name) {
  static_cast<void>(find(name));
  backend_.remove_snapshot(stored_name(name));
}

NamedMachine Snapshots::restore(const std::string& name, const std::string& machine, const std::stop_token& stop) {
  const auto snapshot = find(name);
  refuse_beyond(policy_, snapshot);
  auto config = policy_.machine();
  config.hostname = machine;
  config.snapshot = stored_name(name);
  if (!snapshot.network_device) config.network = NetworkMode::None;
  return machines_.create(std::move(config), stop);
}

std::vector<NamedMachine> Snapshots::fork(const std::string& machine, const std::vector<std::string>& names,
                                          const std::stop_token& stop) {
  const auto of = machines_.find(machine);
  auto config = policy_.machine();
  config.snapshot = fmt::format("{}{}.{}", fork_prefix, ::getpid(), ++forks_);
  if (of->info().network == NetworkMode::None) config.network = NetworkMode::None;
  machines_.save(machine, config.snapshot, "fork_machine");
  const Temporary temporary{backend_, config.snapshot};
  std::vector<NamedMachine> made;
  try {
    for (const auto& name : names) {
      config.hostname = name;
      made.push_back(machines_.create(config, stop));
    }
  } catch (...) {
    for (const auto& copy : made) machines_.remove(copy.name);
    throw;
  }
  return made;
}

void Snapshots::remove_leftovers() {
  for (const auto& snapshot : backend_.snapshots()) {
    if (!snapshot.name.starts_with(fork_prefix)) continue;
    const auto number = std::string_view{snapshot.name}.substr(fork_prefix.size());
    pid_t pid = 0;
    std::from_chars(number.data(), number.data() + number.size(), pid);
    if (pid > 0 && ::kill(pid, 0) != 0 && errno == ESRCH) backend_.remove_snapshot(snapshot.name);
  }
}

}  // namespace fireclaw::mcp
