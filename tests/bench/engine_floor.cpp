// What a restored `fireclaw run true` costs beyond the engine itself.
//
//   engine_floor HOME FIRECLAW [ROUNDS]
//
// Alternates between two ways to the same end, from nothing running to the command's end:
// - bare: the engine of the home folder is started on the snapshot that `fireclaw run` would use and asked to load and
//   resume, the same command (a shell that runs `true`) is asked of the guest in one round trip, and the engine is
//   killed. None of the library's bookkeeping: no home folder, no records, no checks, no sandbox, no identity for the
//   guest, no program to start first.
// - fireclaw: the program FIRECLAW runs `true`, in a machine without network as the bare one is.
// Neither waits for the engine's end. Prints each one's median and the median of the ratios, round by round, and the
// median of each step. Not a test: timing is the machine's business.

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <string>
#include <utility>
#include <vector>

#include "bare.hpp"
#include "fireclaw/fireclaw.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

namespace {

using namespace fireclaw;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

double ms(nanoseconds duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

/// Milliseconds of each step, in the order in which they come.
class Steps {
 public:
  void add(std::string_view name, double value) {
    auto found = std::ranges::find(steps_, name, &std::pair<std::string, std::vector<double>>::first);
    if (found == steps_.end()) found = steps_.insert(found, {std::string{name}, {}});
    found->second.push_back(value);
  }
  void print(std::string_view of) const {
    fmt::print("{}:", of);
    for (const auto& [name, values] : steps_) fmt::print(" {} {:.1f}", name, median(values));
    fmt::print("\n");
  }

 private:
  std::vector<std::pair<std::string, std::vector<double>>> steps_;
};

double run_bare(bench::BareEngine& engine, Steps& steps) {
  const auto began = steady_clock::now();
  auto before = began;
  engine.run([&](std::string_view step) {
    const auto now = steady_clock::now();
    steps.add(step, ms(now - before));
    before = now;
  });
  return ms(before - began);
}

double run_fireclaw(const std::string& program, const std::string& home) {
  const auto began = steady_clock::now();
  sys::SpawnSpec spawn;
  spawn.argv = {program, "--home", home, "run", "--net", "none", "true"};
  spawn.env = {"PATH=/usr/bin:/bin"};
  spawn.fds = {{STDERR_FILENO, STDERR_FILENO}};
  auto child = sys::Child::spawn(spawn);
  const auto status = child.wait(Deadline::never());
  if (!status || !status->success()) throw Error{ErrorCode::Internal, "`fireclaw run true` failed"};
  return ms(steady_clock::now() - began);
}

/// The same in this process, step by step as the library tells them.
void run_library(const HostOptions& options, Steps& steps) {
  auto before = steady_clock::now();
  const auto mark = [&](std::string_view step) {
    const auto now = steady_clock::now();
    steps.add(step, ms(now - std::exchange(before, now)));
  };
  const auto host = Host::open(options);
  mark("open");
  VMConfig config;
  config.network = NetworkMode::None;
  {
    auto vm = host.vms().create(config);
    mark("create");
    vm.start();
    mark("start");
    vm.exec("true");
    mark("command");
    for (const auto& phase : vm.info().phases) steps.add("(" + phase.name + ")", ms(phase.duration));
    for (const auto& phase : vm.guest_phases()) steps.add("[" + phase.name + "]", ms(phase.duration));
    before = steady_clock::now();
  }
  mark("end");
}

void compare(const std::string& home, const std::string& program, int rounds) {
  HostOptions options;
  options.home = std::filesystem::absolute(home);
  const Host::Impl host{options};
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "engine-floor-"};
  const auto engine = bench::make_bare_engine(host, folder.path());
  // Files come into memory, and the programs' pages with them.
  Steps unused;
  run_bare(*engine, unused);
  run_fireclaw(program, options.home.native());
  run_library(options, unused);

  std::vector<double> bare;
  std::vector<double> whole;
  std::vector<double> ratios;
  Steps bare_steps;
  Steps library_steps;
  for (int i = 0; i < rounds; ++i) {
    bare.push_back(run_bare(*engine, bare_steps));
    whole.push_back(run_fireclaw(program, options.home.native()));
    ratios.push_back(whole.back() / bare.back());
    run_library(options, library_steps);
  }
  fmt::print("bare engine: {:.1f} ms, fireclaw run true: {:.1f} ms, ratio {:.2f} (medians of {} rounds)\n",
             median(bare), median(whole), median(ratios), rounds);
  bare_steps.print("bare engine, ms");
  library_steps.print("library in one process, ms; (of the start), [by the guest's clock]");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    fmt::print(stderr, "usage: engine_floor HOME FIRECLAW [ROUNDS]\n");
    return 2;
  }
  try {
    compare(argv[1], argv[2], argc > 3 ? std::max(1, std::atoi(argv[3])) : 21);
    return 0;
  } catch (const std::exception& problem) {
    fmt::print(stderr, "engine_floor: {}\n", problem.what());
    return 1;
  }
}
