#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>

#include "backend.hpp"

namespace fireclaw::mcp {

/// A machine whose commands tell which of the client's own calls ended them. Owns the machine.
/// Members can be called from several threads.
class ExplainedMachine final : public Machine {
 public:
  explicit ExplainedMachine(std::unique_ptr<Machine> machine) : machine_{std::move(machine)} {}

  // Error(Cancelled) naming the call for what one of interrupt()'s has ended.
  ExecResult exec(ExecOptions options) override;
  std::string read_file(const std::string& path, const FileOptions& options) override;
  FileInfo write_file(const std::string& path, const std::string& content, const FileOptions& options) override;
  std::vector<FileInfo> list_directory(const std::string& path, const FileOptions& options) override;
  FileInfo stat(const std::string& path, const FileOptions& options) override;
  void save(const std::string& snapshot) override { machine_->save(snapshot); }
  [[nodiscard]] std::string console(std::size_t max_bytes) const override { return machine_->console(max_bytes); }
  [[nodiscard]] VMInfo info() const override { return machine_->info(); }
  void kill() override { machine_->kill(); }

  /// Does something that ends running commands; `call` names it: "save_snapshot 'x'".
  void interrupt(const std::string& call, const std::function<void(Machine&)>& action);

 private:
  /// `act`, which is given what throws if it was ended by another call.
  template <class Act>
  auto explained(const std::stop_token& stop, const Act& act);

  std::unique_ptr<Machine> machine_;
  std::mutex mutex_;
  unsigned interruptions_ = 0;
  std::string call_;
};

}  // namespace fireclaw::mcp
