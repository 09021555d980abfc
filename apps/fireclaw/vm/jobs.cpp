#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "common/json_of.hpp"
#include "common/text/quantities.hpp"
#include "common/text/style.hpp"
#include "guest_command.hpp"
#include "guest_text.hpp"
#include "output.hpp"
#include "vm/machines.hpp"

// fireclaw vm ps, logs, attach: commands that run detached, which are services of the guest.

namespace fireclaw::cli {
namespace {

struct JobOptions {
  std::string machine;
  std::string job;
  std::size_t lines = 0;
  bool follow = false;
};

/// Error(NotFound).
ServiceInfo find_job(VM& vm, const JobOptions& options) {
  const auto jobs = vm.services();
  const auto found = std::ranges::find(jobs, options.job, &ServiceInfo::name);
  if (found != jobs.end()) return *found;
  throw Error{ErrorCode::NotFound, fmt::format("no command '{}' in '{}'; see: fireclaw vm ps {}", options.job,
                                               options.machine, options.machine)};
}

/// The one that is meant where there is only one. Error(NotFound), Error(InvalidArgument).
std::string only_job(VM& vm, const std::string& machine) {
  const auto jobs = vm.services();
  if (jobs.size() == 1) return jobs.front().name;
  if (jobs.empty()) {
    throw Error{ErrorCode::NotFound,
                fmt::format("no detached command in '{}'; its console: fireclaw vm logs {}", machine, machine)};
  }
  throw Error{ErrorCode::InvalidArgument, fmt::format("'{}' has {} detached commands; name one as well, see: fireclaw "
                                                      "vm ps {}",
                                                      machine, jobs.size(), machine)};
}

/// A guest that answers at all does so at once; the console is for those that do not.
constexpr std::chrono::seconds hint_patience{2};

/// For those who look for what a command has written.
void tell_of_jobs(VM& vm, const std::string& machine) {
  try {
    vm.wait_ready(hint_patience);
    for (const auto& job : vm.services()) {
      print_message("fireclaw", fmt::format("this is the console; what {} has written: fireclaw vm logs {} {}",
                                            job.name, machine, job.name));
    }
  } catch (const Error&) {
    // The console can be read of a guest that does not answer.
  }
}

std::string log_of(const std::string& job) { return fmt::format("/var/log/fireclaw/{}.log", job); }

std::string ending_of(const ServiceInfo& job) {
  if (job.state == ServiceState::Running) return {};
  return job.signal != 0 ? fmt::format("signal {}", job.signal) : std::to_string(job.exit_code);
}

int list_jobs(JobOptions options, const Context& context) {
  const Machines machines{context};
  auto jobs = machines.attach(options.machine).services();
  // job-2 before job-10.
  std::ranges::sort(
      jobs, [](const auto& one, const auto& other) { return ::strverscmp(one.name.c_str(), other.name.c_str()) < 0; });
  if (context.json) return print_json(to_json(jobs));
  Table table{{"JOB", "STATE", "PID", "STATUS", "RUNS FOR"}};
  for (const auto& job : jobs) {
    const bool runs = job.state == ServiceState::Running;
    table.add({job.name, std::string{to_string(job.state)}, runs ? std::to_string(job.pid) : "", ending_of(job),
               runs ? human_duration(job.uptime) : ""});
  }
  table.print();
  return 0;
}

constexpr std::size_t most_said = 64;

/// `script` with "$1" the log and then `words`; its output is ours, and what it says beside that goes into `said` if
/// that is given.
ExecResult run_on_log(VM& vm, const std::string& job, const std::string& script, const std::vector<std::string>& words,
                      const Context& context, std::string* said = nullptr) {
  GuestCommand command;
  command.timeout = "0";
  command.no_stdin = true;
  auto exec = make_exec(command, context);
  exec.argv = {"/bin/sh", "-c", script, "sh", log_of(job)};
  exec.argv.insert(exec.argv.end(), words.begin(), words.end());
  exec.user = "0";
  exec.cwd = "/";
  if (said != nullptr) {
    exec.on_stderr = [said](std::string_view bytes) {
      // A guest may send more than the line that is expected.
      said->append(bytes.substr(0, most_said - std::min(most_said, said->size())));
    };
  }
  return vm.exec(std::move(exec));
}

/// A log that is too long goes on as a new file, and the old one is LOG.1. Shows what LOG.1 has of the last "$2" lines,
/// or all of it for "+1".
constexpr const char* older_lines = R"(
if [ -e "$1.1" ]; then
  if [ "$2" = +1 ]; then cat "$1.1"; else
    more=$(($2 - $(wc -l < "$1")))
    [ "$more" -le 0 ] || tail -n "$more" "$1.1"
  fi
fi
)";

int logs(JobOptions options, const Context& context) {
  if (options.follow && context.json) throw Error{ErrorCode::InvalidArgument, "--follow does not go with --json"};
  const Machines machines{context};
  auto vm = machines.attach(options.machine);
  if (options.job.empty() && (options.follow || options.lines != 0)) options.job = only_job(vm, options.machine);
  if (options.job.empty()) {
    const auto text = vm.console_log();
    if (context.json) {
      print_json({{"name", options.machine}, {"console", text}});
    } else {
      GuestText{}.print(text);
      std::fflush(stdout);
      tell_of_jobs(vm, options.machine);
    }
    return 0;
  }
  static_cast<void>(find_job(vm, options));
  const auto from = options.lines == 0 ? std::string{"+1"} : std::to_string(options.lines);
  const auto script = fmt::format(R"({}exec tail -n "$2" {} "$1")", older_lines, options.follow ? "-F" : "");
  const auto result = run_on_log(vm, options.job, script, {from}, context);
  if (context.json) print_json({{"name", options.machine}, {"job", options.job}, {"log", result.out}});
  return status_of(result, context);
}

/// show LOG writes what has come since the last time; $at is how far that was.
constexpr const char* show = R"(
show() {
  size=$(wc -c < "$1") || return
  if [ "$size" -lt "$at" ]; then tail -c +$((at + 1)) "$1.1"; at=0; fi
  if [ "$size" -gt "$at" ]; then tail -c +$((at + 1)) "$1" | head -c $((size - at)); at=$size; fi
}
)";

/// Shows what comes until the process "$2" has ended, and says how far that was.
constexpr const char* follow = R"(
at=0
while kill -0 "$2" 2>/dev/null; do
  show "$1" 2>/dev/null
  sleep 0.2
done
echo "$at" >&2
)";

/// Shows what has come since "$2".
constexpr const char* show_rest = R"(
at=$2
show "$1"
)";

int attach(JobOptions options, const Context& context) {
  const Machines machines{context};
  auto vm = machines.attach(options.machine);
  auto job = find_job(vm, options);
  std::string at = "0";
  std::string log;
  if (job.state == ServiceState::Running) {
    at.clear();
    const auto shown = run_on_log(vm, options.job, std::string{show} + follow, {std::to_string(job.pid)}, context, &at);
    if (shown.cancelled) return status_of(shown, context);
    log = shown.out;
    // guestd, which has waited for the process, has put all that it has written into the log since.
    job = find_job(vm, options);
  }
  const auto rest = run_on_log(vm, options.job, std::string{show} + show_rest, {at.substr(0, at.find('\n'))}, context);
  if (rest.cancelled) return status_of(rest, context);
  const int status = job.signal != 0 ? 128 + job.signal : job.exit_code;
  if (context.json) print_json({{"job", to_json(job)}, {"log", log + rest.out}, {"status", status}});
  return status;
}

CLI::App* add_one(CLI::App& group, const char* word, const char* help, const char* footer,
                  int (*act)(JobOptions, const Context&), const std::shared_ptr<JobOptions>& options, Context& context,
                  Action& action) {
  auto* command = group.add_subcommand(word, help);
  command->footer(footer);
  command->add_option("name", options->machine, "Machine name or id")->required()->type_name("VM");
  add_json(*command, context);
  set_action(*command, context, action, act, options);
  return command;
}

}  // namespace

void add_vm_jobs(CLI::App& group, Context& context, Action& action) {
  auto options = std::make_shared<JobOptions>();
  add_one(group, "ps", "List the detached commands of a machine, ended ones included",
          "They are started by 'fireclaw vm exec -d', and ended by 'fireclaw vm kill NAME --job JOB'.\n\n"
          "Examples:\n"
          "  fireclaw vm ps dev",
          list_jobs, options, context, action);
  auto* log = add_one(group, "logs", "Show what a detached command has written, or a machine's console",
                      "With --lines or --follow JOB can be left out where there is only one.\n\n"
                      "Examples:\n"
                      "  fireclaw vm logs dev\n"
                      "  fireclaw vm logs dev job-1 -n 100\n"
                      "  fireclaw vm logs -f dev job-1",
                      logs, options, context, action);
  log->add_option("job", options->job, "Command name (see: fireclaw vm ps); default: the console")->type_name("JOB");
  log->add_option("-n,--lines,--tail", options->lines, "Only the last lines")->type_name("NUMBER");
  log->add_flag("-f,--follow", options->follow, "Continue with what it writes");
  add_one(group, "attach", "Show what a detached command writes until it ends",
          "Ctrl-C leaves it running. The exit status is the command's.\n\n"
          "Examples:\n"
          "  fireclaw vm attach dev job-1",
          attach, options, context, action)
      ->add_option("job", options->job, "Command name (see: fireclaw vm ps)")
      ->required()
      ->type_name("JOB");
}

}  // namespace fireclaw::cli
