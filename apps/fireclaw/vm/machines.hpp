#pragma once

#include <string>
#include <vector>

#include "command.hpp"
#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {

/// A machine's info; the name is empty if it has none, the id if it is stopped.
struct NamedVM {
  std::string name;
  VMInfo vm;
};

/// The machines of the home folder for commands. Stops those whose time has passed, and pauses those that nobody
/// uses.
class Machines {
 public:
  explicit Machines(const Context& context) : host_{context.open_host()}, manager_{host_.machines()} {
    manager_.tend();
  }

  [[nodiscard]] const Host& host() const { return host_; }
  [[nodiscard]] const MachineManager& manager() const { return manager_; }

  /// The name or the id that `word` means: itself, or the one id that begins with it. Error(InvalidArgument) if several
  /// do.
  [[nodiscard]] std::string meant_by(const std::string& word) const;
  /// The running machine that `word` means.
  [[nodiscard]] VM attach(const std::string& word) const { return host_.vms().attach(meant_by(word)); }
  /// The name of the machine that `word`, a name or an id, means; empty for an id of one without a name.
  [[nodiscard]] std::string name_of(const std::string& word) const;
  /// All: first those with names, sorted, stopped ones included; then the others, oldest first.
  [[nodiscard]] std::vector<NamedVM> all() const;

 private:
  Host host_;
  MachineManager manager_;
};

/// Each adds commands to the group vm.
void add_vm_create(CLI::App& group, Context& context, Action& action);
void add_vm_list(CLI::App& group, Context& context, Action& action);
void add_vm_life(CLI::App& group, Context& context, Action& action);
void add_vm_exec(CLI::App& group, Context& context, Action& action);
void add_vm_jobs(CLI::App& group, Context& context, Action& action);
void add_vm_stats(CLI::App& group, Context& context, Action& action);
void add_vm_copy(CLI::App& group, Context& context, Action& action);

}  // namespace fireclaw::cli
