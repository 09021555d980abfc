#include <memory>
#include <utility>

#include <fmt/format.h>

#include "bench/series.hpp"
#include "command.hpp"

namespace fireclaw::cli {
namespace {

struct AgentBenchOptions {
  AgentConfig agent;
  std::string network;
  unsigned runs = 5;
  unsigned cold_runs = 2;
};

/// Starts and stops the agent `runs` times.
class AgentBench {
 public:
  AgentBench(const AgentManager& agents, AgentConfig config, std::stop_token stop)
      : agents_{agents}, config_{std::move(config)}, start_{.stop = std::move(stop)} {}

  void measure(std::string_view how, StartMode mode, unsigned runs) {
    if (runs == 0) return;
    config_.start = mode;
    Series start{fmt::format("{}: configured", how), {}};
    Series join{fmt::format("{}: on IRC", how), {}};
    Series stop{fmt::format("{}: stopped", how), {}};
    for (unsigned i = 0; i < runs; ++i) {
      const auto began = Clock::now();
      const auto agent = agents_.start(config_, start_);
      const auto joined = Clock::now();
      agent.stop();
      const auto info = agent.start_info();
      if (!info.online) {
        throw Error{ErrorCode::Timeout,
                    fmt::format("the agent did not get on IRC: {}; is there a server? see: fireclaw "
                                "agent logs {}",
                                info.last_error, config_.name)};
      }
      join.samples.push_back(joined - began);
      stop.samples.push_back(Clock::now() - joined);
      for (const auto& phase : info.phases) {
        if (phase.name == "start") start.samples.push_back(phase.duration);
      }
    }
    for (auto* one : {&start, &join, &stop}) series_.push_back(std::move(*one));
  }

  [[nodiscard]] const std::vector<Series>& series() const { return series_; }

 private:
  using Clock = std::chrono::steady_clock;
  const AgentManager& agents_;
  AgentConfig config_;
  AgentStartOptions start_;
  std::vector<Series> series_;
};

int bench_agent(AgentBenchOptions options, const Context& context) {
  if (!options.network.empty()) options.agent.network = network_mode_from_string(options.network);
  const auto agents = context.open_host().agents();
  AgentBench bench{agents, options.agent, context.stop};
  // The first start may have to make the snapshot that the others are restored from.
  AgentBench{agents, options.agent, context.stop}.measure("first", StartMode::PreferSnapshot, 1);
  bench.measure("restored", StartMode::PreferSnapshot, options.runs);
  bench.measure("cold", StartMode::Cold, options.cold_runs);
  agents.open(options.agent.name).remove();
  print_series(bench.series(), context.json);
  return 0;
}

}  // namespace

void add_agent_bench(CLI::App& bench, Context& context, Action& action) {
  auto options = std::make_shared<AgentBenchOptions>();
  options->agent.template_name = "quick";
  options->agent.name = "bench";
  auto* command = bench.add_subcommand("agent", "Measure how long agents take to start, join IRC, and stop");
  command->footer(
      "All times count from the start of the call. The agents need an IRC server to join.\n\n"
      "Examples:\n"
      "  fireclaw bench agent --runs 10 --cold-runs 0");
  command->add_option("--template", options->agent.template_name, "Template of the agents")
      ->type_name("TEMPLATE")
      ->capture_default_str();
  command->add_option("--name", options->agent.name, "Name of the agent that is started for this, and removed again")
      ->type_name("NAME")
      ->capture_default_str();
  command->add_option("--net", options->network, "Network; default: nat where it can be used")->type_name("nat|user");
  command->add_option("--runs", options->runs, "Starts from the snapshot")->type_name("NUMBER")->capture_default_str();
  command->add_option("--cold-runs", options->cold_runs, "Starts by booting")
      ->type_name("NUMBER")
      ->capture_default_str();
  add_json(*command, context);
  set_action(*command, context, action, bench_agent, options);
}

}  // namespace fireclaw::cli
