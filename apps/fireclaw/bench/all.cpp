#include <stdlib.h>
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "bench/contestants.hpp"
#include "bench/gateway.hpp"
#include "bench/many.hpp"
#include "bench/series.hpp"
#include "command.hpp"
#include "common/command_line/host_arguments.hpp"
#include "fireclaw/gateway.hpp"
#include "output.hpp"

// fireclaw bench all: one page of tables about this machine.

namespace fireclaw::cli {
namespace {

using std::chrono::nanoseconds;
using std::chrono::steady_clock;

constexpr std::uint64_t mib = std::uint64_t{1} << 20;
constexpr std::uint64_t copied_bytes = 32 * mib;
constexpr unsigned copies = 3;
constexpr unsigned crowds[] = {1, 10, 50, 100};
constexpr unsigned memory_sizes[] = {128, 512, 1024, 4096};

struct AllOptions {
  std::string report;
  std::string image = "busybox";
  unsigned runs = 11;
  unsigned most = 50;
  unsigned most_memory_mib = 1024;
};

std::string ms(nanoseconds duration) { return fmt::format("{:.1f} ms", to_ms(duration)); }

nanoseconds measure(const std::function<void()>& work) {
  const auto began = steady_clock::now();
  work();
  return steady_clock::now() - began;
}

/// A table, and what is to be known of it.
struct Section {
  std::string title;
  std::string note;
  std::vector<std::string> headings;
  std::vector<std::vector<std::string>> rows;
};

std::string to_markdown(const Section& section) {
  const auto line = [](const std::vector<std::string>& cells) {
    return fmt::format("| {} |\n", fmt::join(cells, " | "));
  };
  auto text = fmt::format("## {}\n\n", section.title);
  if (!section.note.empty()) text += section.note + "\n\n";
  text += line(section.headings) + line(std::vector<std::string>(section.headings.size(), "---"));
  for (const auto& row : section.rows) text += line(row);
  return text;
}

Json to_json(const Section& section) {
  Json rows = Json::array();
  for (const auto& row : section.rows) {
    Json one;
    for (std::size_t i = 0; i < row.size(); ++i) one[section.headings[i]] = row[i];
    rows.push_back(std::move(one));
  }
  return {{"title", section.title}, {"note", section.note}, {"rows", std::move(rows)}};
}

std::string processor() {
  std::ifstream file{"/proc/cpuinfo"};
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("model name")) return line.substr(std::min(line.find(": ") + 2, line.size()));
  }
  return "unknown processor";
}

/// Removed with all in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    auto name = (std::filesystem::temp_directory_path() / "fireclaw-bench-XXXXXX").native();
    if (::mkdtemp(name.data()) == nullptr) throw Error{ErrorCode::Io, fmt::format("cannot make a folder '{}'", name)};
    path_ = name;
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

class Report {
 public:
  Report(const Host& host, const AllOptions& options, const Context& context)
      : host_{host}, options_{options}, context_{context} {
    machine_.start = StartMode::RequireSnapshot;
  }

  [[nodiscard]] std::string describe_host() const {
    utsname system{};
    ::uname(&system);
    auto engine = host_.vms().run(machine_, {.stop = context_.stop}).info().engine;
    for (const auto& verdict : host_.engines()) {
      if (verdict.engine == engine) {
        engine += " " + verdict.version;
        break;
      }
    }
    return fmt::format("{} CPUs ({}), Linux {}, {}, fireclaw {}.", std::thread::hardware_concurrency(), processor(),
                       system.release, engine, version());
  }

  [[nodiscard]] std::vector<Section> measure_all() const {
    return {whole_programs(), one_machine(), where_time_goes(), many_machines(), copying(), memory(), gateway()};
  }

 private:
  void check_stop() const {
    if (context_.stop.stop_requested()) throw Error{ErrorCode::Cancelled, "the benchmark was interrupted"};
  }

  /// By turns, so that all have the same share of what else the machine does.
  [[nodiscard]] Section whole_programs() const {
    auto found = find_contestants(options_.image);
    auto own = to_argv(context_.host);
    own.insert(own.begin(), "/proc/self/exe");
    own.insert(own.end(), {"run", "--net", "none", "true"});
    found.present.insert(found.present.begin(), {"fireclaw run", std::move(own)});
    std::vector<Series> series;
    for (const auto& one : found.present) series.push_back({one.name, {}});
    for (unsigned round = 0; round < options_.runs; ++round) {
      for (std::size_t i = 0; i < series.size(); ++i) {
        check_stop();
        const auto took = run_program(found.present[i].argv);
        if (!took) throw Error{ErrorCode::Internal, fmt::format("{} has failed", series[i].name)};
        series[i].samples.push_back(*took);
      }
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& one : series) rows.push_back({one.name, ms(one.percentile(0.5)), ms(one.percentile(0))});
    auto note =
        fmt::format("By turns, {} rounds. Containers and namespaces share this host's kernel; a machine has its own.",
                    options_.runs);
    for (const auto& missing : found.notes) note += " " + missing;
    return {"`true`, as a whole program", std::move(note), {"program", "median", "least"}, std::move(rows)};
  }

  [[nodiscard]] Section one_machine() const {
    auto cold_machine = machine_;
    cold_machine.start = StartMode::Cold;
    Series cold{"booted, to the end of its first command", {}};
    Series warm{"a command in a machine that runs", {}};
    for (unsigned i = 0; i < std::min(options_.runs, 3U); ++i) {
      check_stop();
      cold.samples.push_back(measure([&] { run_true(cold_machine); }));
    }
    auto vm = host_.vms().run(machine_, {.stop = context_.stop});
    exec_true(vm);
    for (unsigned i = 0; i < options_.runs; ++i) warm.samples.push_back(measure([&] { exec_true(vm); }));
    std::vector<std::vector<std::string>> rows;
    for (const auto& one : {cold, warm}) rows.push_back({one.name, ms(one.percentile(0.5)), ms(one.percentile(0))});
    return {"One machine", "", {"what", "median", "least"}, std::move(rows)};
  }

  [[nodiscard]] Section where_time_goes() const {
    std::vector<Series> series;
    const auto add = [&](std::string name, nanoseconds duration) {
      auto found = std::ranges::find(series, name, &Series::name);
      if (found == series.end()) found = series.insert(found, {std::move(name), {}});
      found->samples.push_back(duration);
    };
    for (unsigned i = 0; i < options_.runs; ++i) {
      check_stop();
      auto vm = host_.vms().run(machine_, {.stop = context_.stop});
      const auto command = measure([&] { exec_true(vm); });
      for (const auto& phase : vm.info().phases) add(phase.name, phase.duration);
      add("command, with the guest's greeting", command);
      for (const auto& phase : vm.guest_phases()) add("in the guest: " + phase.name, phase.duration);
      add("end", measure([&] { const auto ended = std::move(vm); }));
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& one : series) rows.push_back({one.name, ms(one.percentile(0.5)), ms(one.percentile(0))});
    return {"Where the time of a run goes",
            "Times in the guest are by the guest's clock, and part of what the host waits for.",
            {"step", "median", "least"},
            std::move(rows)};
  }

  [[nodiscard]] Section many_machines() const {
    std::vector<std::vector<std::string>> rows;
    for (const unsigned count : crowds) {
      if (count > options_.most) break;
      const auto crowd = start_crowd(host_, machine_, count, default_at_once(), context_.stop);
      if (crowd.failed != 0)
        throw Error{ErrorCode::Guest, fmt::format("a machine has failed: {}", crowd.first_failure)};
      rows.push_back({std::to_string(count), ms(crowd.ready.back()), ms(crowd.cpu_time / count),
                      fmt::format("{:.1f} MiB", static_cast<double>(crowd.private_each()) / static_cast<double>(mib)),
                      human_bytes(crowd.disk_bytes / count)});
    }
    return {"Machines at once",
            "Memory is what belongs to the engine alone.",
            {"machines", "all ready after", "CPU time each", "memory each", "disk each"},
            std::move(rows)};
  }

  [[nodiscard]] Section copying() const {
    const TemporaryFolder folder;
    const auto file = folder.path() / "bytes";
    {
      std::ofstream out{file, std::ios::binary};
      std::mt19937_64 random{1};
      for (std::uint64_t i = 0; i < copied_bytes; i += sizeof(std::uint64_t)) {
        const auto word = random();
        out.write(reinterpret_cast<const char*>(&word), sizeof word);
      }
      if (!out.flush()) throw Error{ErrorCode::Io, fmt::format("cannot write '{}'", file.native())};
    }
    auto config = machine_;
    // Files in memory take half of it at most, and a file is replaced only once the new one is whole.
    config.memory_mib = 256;
    config.start = StartMode::Cold;
    auto vm = host_.vms().run(config, {.stop = context_.stop});
    Series in{"in", {}};
    Series out{"out", {}};
    for (unsigned i = 0; i < copies; ++i) {
      check_stop();
      in.samples.push_back(measure([&] { vm.copy_in(file, "/tmp/bytes"); }));
      out.samples.push_back(measure([&] { vm.copy_out("/tmp/bytes", folder.path() / "back"); }));
    }
    std::vector<std::vector<std::string>> rows;
    for (const auto& one : {in, out}) {
      const auto seconds = std::chrono::duration<double>{one.percentile(0)}.count();
      rows.push_back({one.name, fmt::format("{:.0f} MB/s", static_cast<double>(copied_bytes) / seconds / 1e6)});
    }
    return {"Copies",
            fmt::format("One file of {} that does not compress; the best of {}.", human_bytes(copied_bytes), copies),
            {"copied", "throughput"},
            std::move(rows)};
  }

  [[nodiscard]] Section memory() const {
    std::vector<std::vector<std::string>> rows;
    for (const unsigned size : memory_sizes) {
      if (size > options_.most_memory_mib) break;
      check_stop();
      rows.push_back(memory_row(size));
    }
    return {"Memory size",
            "Saved while it runs: the time of the call; the machine continues.",
            {"memory", "saved while it runs", "on disk", "restored, with `true`"},
            std::move(rows)};
  }

  [[nodiscard]] Section gateway() const {
    const auto cost = Gateway::measure(options_.runs, context_.stop);
    return {"Gateway", "An LLM server that follows a script, on loopback; new connections.", gateway_headings,
            gateway_rows(cost)};
  }

  [[nodiscard]] std::vector<std::string> memory_row(unsigned size) const {
    auto config = machine_;
    config.memory_mib = size;
    config.start = StartMode::Cold;
    const auto name = fmt::format("bench-{:08x}", std::random_device{}());
    Series restored{"", {}};
    nanoseconds saved{0};
    std::uint64_t bytes = 0;
    {
      auto vm = host_.vms().run(config, {.stop = context_.stop});
      exec_true(vm);
      saved = measure([&] { bytes = vm.snapshot(name).info().bytes; });
    }
    try {
      config.start = StartMode::RequireSnapshot;
      config.snapshot = name;
      for (unsigned i = 0; i < options_.runs; ++i) restored.samples.push_back(measure([&] { run_true(config); }));
    } catch (...) {
      host_.snapshots().remove(name);
      throw;
    }
    host_.snapshots().remove(name);
    return {fmt::format("{} MiB", size), ms(saved), human_bytes(bytes), ms(restored.percentile(0.5))};
  }

  static void exec_true(VM& vm) {
    ExecOptions command;
    command.argv = {"true"};
    if (const auto status = vm.exec(std::move(command)).exit_code; status != 0) {
      throw Error{ErrorCode::Guest, fmt::format("`true` ended with status {}", status)};
    }
  }
  void run_true(const VMConfig& config) const {
    auto vm = host_.vms().run(config, {.stop = context_.stop});
    exec_true(vm);
  }

  const Host& host_;
  const AllOptions& options_;
  const Context& context_;
  VMConfig machine_;
};

int bench_all(const AllOptions& options, const Context& context) {
  if (options.runs == 0) throw Error{ErrorCode::InvalidArgument, "--runs 0 measures nothing"};
  const auto host = context.open_host();
  const Report report{host, options, context};
  const auto machine = report.describe_host();
  const auto sections = report.measure_all();
  auto page = fmt::format("# fireclaw on this machine\n\n{} Made by `fireclaw bench all`.\n", machine);
  for (const auto& section : sections) page += "\n" + to_markdown(section);
  if (!options.report.empty()) {
    std::ofstream out{options.report, std::ios::trunc};
    out << page;
    if (!out.flush()) throw Error{ErrorCode::Io, fmt::format("cannot write '{}'", options.report)};
  }
  if (context.json) {
    Json all = Json::array();
    for (const auto& section : sections) all.push_back(to_json(section));
    print_json({{"machine", machine}, {"sections", std::move(all)}});
  } else if (options.report.empty()) {
    std::fputs(page.c_str(), stdout);
  }
  return 0;
}

}  // namespace

void add_all_bench(CLI::App& bench, Context& context, Action& action) {
  auto options = std::make_shared<AllOptions>();
  auto* command = bench.add_subcommand("all", "Measure everything, beside other programs, and write a page");
  command->footer(
      "The page is Markdown: `true` with fireclaw, podman, docker, bubblewrap and QEMU without a machine, as far as\n"
      "they are installed; machines one by one and at once, their memory and disk; copies; snapshots against the size "
      "of\n"
      "memory; the gateway. The containers' image must be there: nothing is fetched.\n\n"
      "Examples:\n"
      "  fireclaw bench all --report speed.md\n"
      "  fireclaw bench all --most 100 --most-memory 4096 --container-image docker.io/library/busybox");
  command->add_option("--report", options->report, "Write the page to this file; default: print it")->type_name("FILE");
  command->add_option("--runs", options->runs, "Rounds of each repeated measurement")
      ->type_name("NUMBER")
      ->capture_default_str();
  command->add_option("--most", options->most, "The most machines at once: 1, 10, 50, 100 as far as this allows")
      ->type_name("NUMBER")
      ->capture_default_str();
  command
      ->add_option("--most-memory", options->most_memory_mib,
                   "The largest memory in MiB: 128, 512, 1024, 4096 as far as this allows")
      ->type_name("NUMBER")
      ->capture_default_str();
  command->add_option("--container-image", options->image, "Image in which podman and docker run `true`")
      ->type_name("NAME")
      ->capture_default_str();
  add_json(*command, context);
  set_action(*command, context, action, bench_all, options);
}

}  // namespace fireclaw::cli
