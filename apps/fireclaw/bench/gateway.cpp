#include "bench/gateway.hpp"

#include <memory>

#include <fmt/format.h>

#include "bench/series.hpp"
#include "command.hpp"
#include "common/json_of.hpp"
#include "fireclaw/gateway.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

constexpr unsigned usual_rounds = 200;

std::string speed(std::uint64_t bytes_per_second) {
  return fmt::format("{:.0f} MB/s", static_cast<double>(bytes_per_second) / 1e6);
}

std::string ms(std::chrono::nanoseconds duration) { return fmt::format("{:.2f} ms", to_ms(duration)); }

int bench_gateway(unsigned rounds, const Context& context) {
  const auto cost = Gateway::measure(rounds, context.stop);
  if (context.json) return print_json(to_json(cost));
  Table table{{"WHAT", "DIRECTLY", "THROUGH THE GATEWAY"}};
  for (const auto& row : gateway_rows(cost)) table.add(row);
  table.print();
  return 0;
}

}  // namespace

std::vector<std::vector<std::string>> gateway_rows(const GatewayCost& cost) {
  return {{"an LLM's first token", ms(cost.direct), ms(cost.through)},
          {"with a prompt of 100 KB", ms(cost.long_direct), ms(cost.long_through)},
          {"an answer of 1 GiB", speed(cost.direct_bytes_per_second), speed(cost.through_bytes_per_second)},
          {"memory with nobody", "", human_bytes(cost.idle_bytes)},
          {"memory, 100 agents answered", "", human_bytes(cost.busy_bytes)}};
}

void add_gateway_bench(CLI::App& bench, Context& context, Action& action) {
  auto rounds = std::make_shared<unsigned>(usual_rounds);
  auto* command = bench.add_subcommand("gateway", "Measure what the gateway costs");
  command->footer(
      "Runs an LLM server that follows a script, a gateway and clients, as processes on loopback. Times to the first "
      "token are medians: requests go directly and through the gateway by turns, each on a new connection.\n\n"
      "Examples:\n"
      "  fireclaw bench gateway\n"
      "  fireclaw bench gateway --runs 1000 --json");
  command->add_option("--runs", *rounds, "Requests of each kind")->type_name("NUMBER")->capture_default_str();
  add_json(*command, context);
  set_action(*command, context, action, bench_gateway, rounds);
}

}  // namespace fireclaw::cli
