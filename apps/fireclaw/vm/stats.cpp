#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "output.hpp"
#include "vm/machines.hpp"

// fireclaw vm stats.

namespace fireclaw::cli {
namespace {

constexpr std::chrono::seconds between{2};
/// What CPU is measured over where it is shown once.
constexpr std::chrono::milliseconds sample{500};

struct StatsOptions {
  std::vector<std::string> names;
  bool once = false;
};

std::vector<MachineInfo> look(Machines& machines, const StatsOptions& options) {
  auto all = machines.manager().list();
  if (options.names.empty()) return all;
  std::vector<MachineInfo> wanted;
  for (const auto& word : options.names) wanted.push_back(machines.manager().info(machines.name_of(word)));
  return wanted;
}

/// How much of one CPU it has used since the last look.
std::string cpu_share(const MachineInfo& now, const MachineInfo* before, std::chrono::duration<double> passed) {
  if (now.id.empty()) return {};
  if (before == nullptr || before->id != now.id || passed.count() <= 0) return "-";
  return fmt::format("{:.1f}%", 100 * std::chrono::duration<double>{now.cpu_time - before->cpu_time} / passed);
}

/// What was seen of machines, the last time and now.
class Looks {
 public:
  void see(std::vector<MachineInfo> machines) {
    before_.clear();
    for (auto& machine : now_) before_.emplace(machine.name, std::move(machine));
    now_ = std::move(machines);
    const auto at = std::chrono::steady_clock::now();
    passed_ = at - at_;
    at_ = at;
  }

  void show() const {
    Table table{{"NAME", "STATE", "CPU", "MEMORY", "OF", "DISK", "RECEIVED", "SENT"}};
    for (const auto& machine : now_) {
      const auto before = before_.find(machine.name);
      const bool runs = !machine.id.empty();
      const bool counted = !machine.address.empty();
      table.add({machine.name, std::string{to_string(machine.state)},
                 cpu_share(machine, before == before_.end() ? nullptr : &before->second, passed_),
                 runs ? human_bytes(machine.memory_bytes) : "", fmt::format("{} MiB", machine.memory_mib),
                 machine.scratch_mib == 0 ? "" : human_bytes(machine.scratch_bytes),
                 counted ? human_bytes(machine.received_bytes) : "", counted ? human_bytes(machine.sent_bytes) : ""});
    }
    table.print();
    std::fflush(stdout);
  }

 private:
  std::map<std::string, MachineInfo> before_;
  std::vector<MachineInfo> now_;
  std::chrono::steady_clock::time_point at_;
  std::chrono::duration<double> passed_{0};
};

int stats(const StatsOptions& options, const Context& context) {
  Machines machines{context};
  if (context.json) return print_json(to_json(look(machines, options)));
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock{mutex};
  const auto wait = [&](std::chrono::milliseconds time) {
    never.wait_for(lock, context.stop, time, [] { return false; });
    return !context.stop.stop_requested();
  };
  Looks looks;
  looks.see(look(machines, options));
  if (options.once || ::isatty(STDOUT_FILENO) != 1) {
    if (!wait(sample)) return 0;
    looks.see(look(machines, options));
    looks.show();
    return 0;
  }
  for (;;) {
    std::fputs("\033[H\033[J", stdout);
    looks.show();
    if (!wait(between)) return 0;
    looks.see(look(machines, options));
  }
}

}  // namespace

void add_vm_stats(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<StatsOptions>();
  auto* command = group.add_subcommand("stats", "Show what machines use: CPU, memory, disk, network");
  command->footer(
      "CPU is the share of one CPU since the last look, or in half a second if shown once. Memory is what the engine "
      "has in RAM, disk what the scratch disk takes on this host. Network counts bytes on the bridge (--net nat). On "
      "a terminal the table is renewed until Ctrl-C.\n\n"
      "Examples:\n"
      "  fireclaw vm stats\n"
      "  fireclaw vm stats dev --once");
  command->add_option("name", options->names, "Machine names; default: all that have names")->type_name("MACHINE");
  command->add_flag("--once", options->once, "Show it once");
  add_json(*command, context);
  set_action(*command, context, action, stats, options);
}

}  // namespace fireclaw::cli
