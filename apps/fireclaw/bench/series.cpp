#include "bench/series.hpp"

#include <algorithm>
#include <cmath>

#include "output.hpp"

namespace fireclaw::cli {

std::chrono::nanoseconds Series::percentile(double share) const {
  auto sorted = samples;
  std::ranges::sort(sorted);
  const auto rank = static_cast<std::size_t>(std::ceil(share * static_cast<double>(sorted.size())));
  return sorted[std::max<std::size_t>(rank, 1) - 1];
}

void print_series(const std::vector<Series>& series, bool json) {
  if (json) {
    Json out = Json::array();
    for (const auto& one : series) {
      out.push_back({{"name", one.name},
                     {"runs", one.samples.size()},
                     {"p50_ms", to_ms(one.percentile(0.50))},
                     {"p90_ms", to_ms(one.percentile(0.90))},
                     {"p99_ms", to_ms(one.percentile(0.99))}});
    }
    print_json(out);
    return;
  }
  Table table{{"WHAT", "RUNS", "P50", "P90", "P99"}};
  for (const auto& one : series) {
    table.add({one.name, std::to_string(one.samples.size()), human_duration(one.percentile(0.50)),
               human_duration(one.percentile(0.90)), human_duration(one.percentile(0.99))});
  }
  table.print();
}

}  // namespace fireclaw::cli
