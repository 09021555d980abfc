#include <future>
#include <memory>
#include <optional>

#include <fmt/format.h>

#include "bench/series.hpp"
#include "command.hpp"
#include "machine_options.hpp"

namespace fireclaw::cli {
namespace {

using std::chrono::nanoseconds;

struct BenchOptions {
  VMConfig machine;
  std::string network = "none";
  unsigned runs = 20;
  unsigned cold_runs = 3;
  unsigned concurrent = 10;
};

template <typename Work>
nanoseconds measure(const Work& work) {
  const auto began = std::chrono::steady_clock::now();
  work();
  return std::chrono::steady_clock::now() - began;
}

void require_success(const ExecResult& result) {
  if (result.exit_code != 0) {
    throw Error{ErrorCode::Guest, fmt::format("`true` ended with status {}", result.exit_code)};
  }
}

ExecOptions true_command() {
  ExecOptions options;
  options.argv = {"true"};
  return options;
}

/// From nothing to nothing: machine started, `true` run in it, machine ended.
nanoseconds run_once(const Host& host, const VMConfig& machine, const std::stop_token& stop) {
  return measure([&] {
    auto vm = host.vms().run(machine, {.stop = stop});
    require_success(vm.exec(true_command()));
    vm.kill();
  });
}

class Bench {
 public:
  Bench(const Host& host, const BenchOptions& options, const std::stop_token& stop)
      : host_{host}, options_{options}, stop_{stop} {}

  std::vector<Series> run() {
    auto restored = options_.machine;
    restored.start = StartMode::RequireSnapshot;
    auto cold = options_.machine;
    cold.start = StartMode::Cold;
    // What only the first run pays (files that are not in memory yet) is not measured.
    run_once(host_, restored, stop_);
    repeat("restore-run", options_.runs, [&] { return run_once(host_, restored, stop_); });
    repeat("cold-run", options_.cold_runs, [&] { return run_once(host_, cold, stop_); });
    warm_exec(restored);
    concurrent(restored);
    return std::move(series_);
  }

 private:
  template <typename Work>
  void repeat(std::string name, unsigned count, const Work& work) {
    if (count == 0) return;
    Series series{std::move(name), {}};
    for (unsigned i = 0; i < count; ++i) {
      if (stop_.stop_requested()) throw Error{ErrorCode::Cancelled, "the benchmark was interrupted"};
      series.samples.push_back(work());
    }
    series_.push_back(std::move(series));
  }

  void warm_exec(const VMConfig& machine) {
    if (options_.runs == 0) return;
    auto vm = host_.vms().run(machine, {.stop = stop_});
    require_success(vm.exec(true_command()));
    repeat("warm-exec", options_.runs, [&] { return measure([&] { require_success(vm.exec(true_command())); }); });
  }

  /// Each of the machines, and all of them together.
  void concurrent(const VMConfig& machine) {
    if (options_.concurrent == 0) return;
    Series each{fmt::format("{} at once, each", options_.concurrent), {}};
    const auto all = measure([&] {
      std::vector<std::future<nanoseconds>> runs;
      for (unsigned i = 0; i < options_.concurrent; ++i) {
        runs.push_back(std::async(std::launch::async, [&] { return run_once(host_, machine, stop_); }));
      }
      for (auto& run : runs) each.samples.push_back(run.get());
    });
    series_.push_back(std::move(each));
    series_.push_back({fmt::format("{} at once, all", options_.concurrent), {all}});
  }

  const Host& host_;
  const BenchOptions& options_;
  std::stop_token stop_;
  std::vector<Series> series_;
};

int bench(BenchOptions options, const Context& context) {
  const auto host = context.open_host();
  options.machine.network = network_mode_from_string(options.network);
  const auto series = Bench{host, options, context.stop}.run();
  print_series(series, context.json);
  return 0;
}

}  // namespace

void add_bench(CLI::App& app, Context& context, Action& action) {
  auto options = std::make_shared<BenchOptions>();
  auto* command = app.add_subcommand("bench", "Measure starts and commands on this machine");
  command->footer(
      "restore-run and cold-run: a machine is started, runs `true` and is ended. warm-exec: `true` in a machine "
      "that\n"
      "runs. Everything runs in this process; its own start is not counted.\n\n"
      "Examples:\n"
      "  fireclaw bench\n"
      "  fireclaw bench --runs 100 --cold-runs 0 --memory 512");
  add_all_bench(*command, context, action);
  add_many_bench(*command, context, action);
  add_agent_bench(*command, context, action);
  add_gateway_bench(*command, context, action);
  command->add_option("--runs", options->runs, "Runs of restore-run and warm-exec")
      ->type_name("NUMBER")
      ->capture_default_str();
  command->add_option("--cold-runs", options->cold_runs, "Runs of cold-run")
      ->type_name("NUMBER")
      ->capture_default_str();
  command->add_option("--concurrent", options->concurrent, "Machines started at once")
      ->type_name("NUMBER")
      ->capture_default_str();
  add_machine_options(*command, options->machine);
  command->add_option("--net", options->network, "Network")->type_name("none|user|nat")->capture_default_str();
  add_json(*command, context);
  command->callback([command, options, &context, &action] {
    if (command->get_subcommands().empty()) action = [options, &context] { return bench(*options, context); };
  });
}

}  // namespace fireclaw::cli
