#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "command.hpp"

namespace fireclaw::cli {

/// Repeated measurements of one thing.
struct Series {
  std::string name;
  std::vector<std::chrono::nanoseconds> samples;

  /// Nearest rank: the smallest sample that at least `share` of all do not exceed.
  [[nodiscard]] std::chrono::nanoseconds percentile(double share) const;
};

void print_series(const std::vector<Series>& series, bool json);

/// `bench all`.
void add_all_bench(CLI::App& bench, Context& context, Action& action);
/// `bench many`.
void add_many_bench(CLI::App& bench, Context& context, Action& action);
/// `bench gateway`.
void add_gateway_bench(CLI::App& bench, Context& context, Action& action);
/// `bench agent`.
void add_agent_bench(CLI::App& bench, Context& context, Action& action);

}  // namespace fireclaw::cli
