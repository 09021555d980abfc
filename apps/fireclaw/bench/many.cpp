#include "bench/many.hpp"

#include <sys/resource.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include "bench/plot.hpp"
#include "bench/series.hpp"
#include "command.hpp"
#include "machine_options.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t sector_bytes = 512;
constexpr double mib = 1024.0 * 1024.0;

/// Calls `work(i)` for each i below `count`, on `threads` threads.
template <typename Work>
void side_by_side(unsigned count, unsigned threads, const Work& work) {
  std::atomic<unsigned> next{0};
  std::vector<std::jthread> workers;
  for (unsigned i = 0; i < std::min(count, threads); ++i) {
    workers.emplace_back([&] {
      for (unsigned at = next++; at < count; at = next++) work(at);
    });
  }
}

/// CPU time of this process and of the children that it has waited for.
nanoseconds cpu_time() {
  nanoseconds sum{0};
  for (const int who : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage usage{};
    ::getrusage(who, &usage);
    for (const timeval& time : {usage.ru_utime, usage.ru_stime}) {
      sum += std::chrono::seconds{time.tv_sec} + std::chrono::microseconds{time.tv_usec};
    }
  }
  return sum;
}

/// What it has written to. Clean pages are a file's, and shared as soon as there are two.
std::uint64_t private_memory(std::int64_t pid) {
  std::ifstream file{fmt::format("/proc/{}/smaps_rollup", pid)};
  std::uint64_t kib = 0;
  for (std::string key; file >> key;) {
    std::uint64_t value = 0;
    if (key == "Private_Dirty:" && file >> value) kib += value;
  }
  return kib * 1024;
}

std::uint64_t disk_use(const std::filesystem::path& folder) {
  std::uint64_t bytes = 0;
  std::error_code gone;
  for (const auto& entry : std::filesystem::recursive_directory_iterator{folder, gone}) {
    struct stat status {};
    if (::lstat(entry.path().c_str(), &status) == 0)
      bytes += static_cast<std::uint64_t>(status.st_blocks) * sector_bytes;
  }
  return bytes;
}

struct ManyOptions {
  VMConfig machine;
  std::string network = "none";
  unsigned count = 0;
  unsigned at_once = 0;
  std::string plot;
};

void write_plot(const std::string& file, const Crowd& crowd) {
  Curve times{"ready after", "ms", {}};
  Curve memory{"memory of the engines alone", "MiB", {}};
  double sum = 0;
  for (std::size_t i = 0; i < crowd.ready.size(); ++i) {
    times.values.push_back(to_ms(crowd.ready[i]));
    memory.values.push_back(sum += static_cast<double>(crowd.private_bytes[i]) / mib);
  }
  std::ofstream out{file, std::ios::trunc};
  out << plot_svg("machines", {times, memory});
  if (!out.flush()) throw Error{ErrorCode::Io, fmt::format("cannot write '{}'", file)};
}

int bench_many(ManyOptions options, const Context& context) {
  if (options.count == 0) throw Error{ErrorCode::InvalidArgument, "0 machines cannot be measured"};
  if (options.at_once == 0) options.at_once = default_at_once();
  const auto host = context.open_host();
  options.machine.network = network_mode_from_string(options.network);
  options.machine.start = StartMode::RequireSnapshot;
  // What only the first run pays (files that are not in memory yet) is not measured.
  static_cast<void>(start_crowd(host, options.machine, 1, 1, context.stop));
  const auto crowd = start_crowd(host, options.machine, options.count, options.at_once, context.stop);
  if (crowd.ready.empty()) throw Error{ErrorCode::Guest, fmt::format("all have failed: {}", crowd.first_failure)};

  const auto ready = static_cast<unsigned>(crowd.ready.size());
  const auto memory = crowd.private_each();
  const Series times{"ready", crowd.ready};
  if (!options.plot.empty()) write_plot(options.plot, crowd);
  if (context.json) {
    print_json({{"machines", options.count},
                {"failed", crowd.failed},
                {"first_failure", crowd.first_failure},
                {"ready_p50_ms", to_ms(times.percentile(0.5))},
                {"ready_all_ms", to_ms(crowd.ready.back())},
                {"cpu_each_ms", to_ms(crowd.cpu_time / options.count)},
                {"private_bytes_each", memory},
                {"disk_bytes_each", crowd.disk_bytes / ready}});
  } else {
    Table table{{"WHAT", "VALUE"}};
    table.add({"machines", std::to_string(options.count)});
    table.add({"failed", std::to_string(crowd.failed)});
    table.add({"half of them ready after", human_duration(times.percentile(0.5))});
    table.add({"all ready after", human_duration(crowd.ready.back())});
    table.add({"CPU time each, start to end", human_duration(crowd.cpu_time / options.count)});
    table.add({"memory each, of the engine alone", fmt::format("{:.1f} MiB", static_cast<double>(memory) / mib)});
    table.add({"disk each", human_bytes(crowd.disk_bytes / ready)});
    table.print();
  }
  if (crowd.failed == 0) return 0;
  throw Error{ErrorCode::Guest,
              fmt::format("{} of {} have failed: {}", crowd.failed, options.count, crowd.first_failure)};
}

}  // namespace

std::uint64_t Crowd::private_each() const {
  const auto sum = std::accumulate(private_bytes.begin(), private_bytes.end(), std::uint64_t{0});
  return private_bytes.empty() ? 0 : sum / private_bytes.size();
}

unsigned default_at_once() { return 2 * std::max(1U, std::thread::hardware_concurrency()); }

Crowd start_crowd(const Host& host, const VMConfig& machine, unsigned count, unsigned at_once,
                  const std::stop_token& stop) {
  struct Member {
    std::optional<VM> vm;
    nanoseconds ready{0};
  };
  std::vector<Member> members(count);
  Crowd crowd;
  std::mutex mutex;
  const auto cpu_before = cpu_time();
  const auto began = steady_clock::now();
  side_by_side(count, at_once, [&](unsigned i) {
    if (stop.stop_requested()) return;
    try {
      members[i].vm.emplace(host.vms().run(machine, {.stop = stop}));
      ExecOptions command;
      command.argv = {"true"};
      const auto status = members[i].vm->exec(std::move(command)).exit_code;
      if (status != 0) throw Error{ErrorCode::Guest, fmt::format("`true` ended with status {}", status)};
      members[i].ready = steady_clock::now() - began;
    } catch (const Error& problem) {
      const std::scoped_lock lock{mutex};
      if (crowd.failed++ == 0) crowd.first_failure = problem.what();
    }
  });
  if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "the benchmark was interrupted"};
  std::ranges::sort(members, {}, &Member::ready);
  for (const auto& member : members) {
    if (member.ready == nanoseconds{0}) continue;
    const auto info = member.vm->info();
    crowd.ready.push_back(member.ready);
    crowd.private_bytes.push_back(private_memory(info.engine_pid));
    crowd.disk_bytes += disk_use(host.home() / "runs" / info.id);
  }
  side_by_side(count, at_once, [&](unsigned i) {
    // Waited for: the time that it takes counts too.
    if (members[i].vm) members[i].vm->kill();
  });
  crowd.cpu_time = cpu_time() - cpu_before;
  return crowd;
}

void add_many_bench(CLI::App& bench, Context& context, Action& action) {
  auto options = std::make_shared<ManyOptions>();
  auto* command = bench.add_subcommand("many", "Measure machines that run at the same time");
  command->footer(
      "All are restored from one snapshot and run `true`; none is ended before the last is ready. Memory is what\n"
      "belongs to each engine alone, without what machines share. A machine that fails is counted, and the exit "
      "status\n"
      "says so.\n\n"
      "Examples:\n"
      "  fireclaw bench many 100\n"
      "  fireclaw bench many 200 --plot many.svg");
  command->add_option("count", options->count, "How many machines")->type_name("NUMBER")->required();
  command->add_option("--at-once", options->at_once, "How many start side by side; default: two a CPU")
      ->type_name("NUMBER");
  command->add_option("--plot", options->plot, "Draw times and memory over the number of machines, as SVG")
      ->type_name("FILE");
  add_machine_options(*command, options->machine);
  command->add_option("--net", options->network, "Network")->type_name("none|user|nat")->capture_default_str();
  add_json(*command, context);
  set_action(*command, context, action, bench_many, options);
}

}  // namespace fireclaw::cli
