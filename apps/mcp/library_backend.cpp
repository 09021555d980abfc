#include "library_backend.hpp"

#include <utility>

#include "fireclaw/collections.hpp"

namespace fireclaw::mcp {
namespace {

class LibraryMachine final : public Machine {
 public:
  explicit LibraryMachine(VM vm) : vm_{std::move(vm)} {}

  ExecResult exec(ExecOptions options) override { return vm_.exec(std::move(options)); }
  std::string read_file(const std::string& path, const FileOptions& options) override {
    return vm_.read_file(path, options);
  }
  FileInfo write_file(const std::string& path, const std::string& content, const FileOptions& options) override {
    return vm_.write_file(path, content, options);
  }
  std::vector<FileInfo> list_directory(const std::string& path, const FileOptions& options) override {
    return vm_.list_directory(path, options);
  }
  FileInfo stat(const std::string& path, const FileOptions& options) override { return vm_.stat(path, options); }
  void save(const std::string& snapshot) override { vm_.snapshot(snapshot); }
  [[nodiscard]] std::string console(std::size_t max_bytes) const override { return vm_.console_log(max_bytes); }
  [[nodiscard]] VMInfo info() const override { return vm_.info(); }
  void kill() override { vm_.kill(); }

 private:
  VM vm_;
};

class LibraryBackend final : public Backend {
 public:
  explicit LibraryBackend(const Host& host) : host_{host} {}

  std::unique_ptr<Machine> start(const VMConfig& config, const std::stop_token& stop) override {
    return std::make_unique<LibraryMachine>(host_.vms().run(config, {.stop = stop}));
  }
  std::vector<SnapshotInfo> snapshots() override { return host_.snapshots().list(); }
  void remove_snapshot(const std::string& name) override { host_.snapshots().remove(name); }
  std::vector<ImageInfo> images() override { return host_.images().list(); }

 private:
  Host host_;
};

}  // namespace

std::unique_ptr<Backend> library_backend(const Host& host) { return std::make_unique<LibraryBackend>(host); }

}  // namespace fireclaw::mcp
