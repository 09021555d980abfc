#pragma once

#include <cstddef>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "fireclaw/exec.hpp"
#include "fireclaw/file.hpp"
#include "fireclaw/image.hpp"
#include "fireclaw/snapshot.hpp"
#include "fireclaw/vm.hpp"

namespace fireclaw::mcp {

/// A running machine. Members may be called from several threads. Destruction ends it.
class Machine {
 public:
  virtual ~Machine() = default;
  virtual ExecResult exec(ExecOptions options) = 0;
  virtual std::string read_file(const std::string& path, const FileOptions& options) = 0;
  virtual FileInfo write_file(const std::string& path, const std::string& content, const FileOptions& options) = 0;
  virtual std::vector<FileInfo> list_directory(const std::string& path, const FileOptions& options) = 0;
  virtual FileInfo stat(const std::string& path, const FileOptions& options) = 0;
  /// Ends its commands, saves it and lets it continue. Error(AlreadyExists) if the name is taken.
  virtual void save(const std::string& snapshot) = 0;
  [[nodiscard]] virtual std::string console(std::size_t max_bytes) const = 0;
  [[nodiscard]] virtual VMInfo info() const = 0;
  /// Ends it at once; its commands fail.
  virtual void kill() = 0;
};

/// The interface by which the server uses the library. Members can be called from several threads.
class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::unique_ptr<Machine> start(const VMConfig& config, const std::stop_token& stop) = 0;
  virtual std::vector<SnapshotInfo> snapshots() = 0;
  virtual void remove_snapshot(const std::string& name) = 0;
  virtual std::vector<ImageInfo> images() = 0;
};

}  // namespace fireclaw::mcp
