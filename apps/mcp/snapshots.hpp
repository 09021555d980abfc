#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <stop_token>
#include <string>
#include <vector>

#include "machines.hpp"

namespace fireclaw::mcp {

/// The states of machines that clients have saved. They are kept in the home folder, where they outlive the client, as
/// "mcp.NAME"; other snapshots do not exist for it. Members may be called from several threads.
class Snapshots {
 public:
  Snapshots(Backend& backend, Machines& machines, const Policy& policy)
      : backend_{backend}, machines_{machines}, policy_{policy} {}

  /// Names are the client's.
  std::vector<SnapshotInfo> list();
  /// Error(AlreadyExists); Error(InvalidState) if there are as many as there may be.
  SnapshotInfo save(const std::string& machine, const std::string& name);
  /// Error(NotFound).
  void remove(const std::string& name);
  /// A machine as it was when it was saved. Error(NotFound); Error(PermissionDenied) for one that is of an image or a
  /// size that the policy does not allow.
  NamedMachine restore(const std::string& name, const std::string& machine, const std::stop_token& stop);
  /// Machines that continue from where `machine` is now, and it continues too; all of them or none.
  std::vector<NamedMachine> fork(const std::string& machine, const std::vector<std::string>& names,
                                 const std::stop_token& stop);

  /// Removes what forks of servers that were killed have left behind.
  void remove_leftovers();

 private:
  SnapshotInfo find(const std::string& name);

  Backend& backend_;
  Machines& machines_;
  const Policy& policy_;
  std::mutex saving_;
  std::atomic<unsigned> forks_{0};
};

}  // namespace fireclaw::mcp
