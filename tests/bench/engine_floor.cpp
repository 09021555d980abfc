// What a restored `fireclaw run true` costs beyond the engine itself.
//
//   engine_floor HOME FIRECLAW [ROUNDS]
//
// Alternates between two ways to the same end, from nothing running to nothing running:
// - bare: QEMU is started on the snapshot that `fireclaw run` would use, with the same command line, told over QMP to
//   load and continue, the same command (a shell that runs `true`) is asked of the guest in one round trip, and QEMU is
//   killed. None of the library's bookkeeping: no home folder, no records, no checks, no identity for the guest, no
//   program to start first.
// - fireclaw: the program FIRECLAW runs `true`, in a machine without network as the bare one is.
// Prints each one's median and the median of the ratios, round by round. Not a test: timing is the machine's business.

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <optional>
#include <string>
#include <vector>

#include "core/host/engines.hpp"
#include "core/host/impl.hpp"
#include "core/host/launch_plan.hpp"
#include "fireclaw/fireclaw.hpp"
#include "guest/session.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"
#include "sys/socket.hpp"
#include "vmm/qemu/argv.hpp"

namespace {

using namespace fireclaw;
using std::chrono::nanoseconds;
using std::chrono::steady_clock;

/// All that a round of the bare engine needs, found out beforehand.
struct Prepared {
  vmm::LaunchSpec spec;
  std::vector<std::string> argv;
  vmm::SnapshotFiles files;
};

Prepared prepare(const Host::Impl& host, const std::filesystem::path& run_dir) {
  const auto image = host.images.open(std::string{built_in_image});
  const auto verdict = core::choose_engine(host, image);
  if (!verdict.engine.starts_with("qemu-")) {
    throw Error{ErrorCode::Unsupported, fmt::format("the floor is measured for QEMU, not for {}", verdict.engine)};
  }
  const auto driver = core::make_driver(host, verdict);
  const core::Shape shape;
  const auto record = host.snapshots.find(state::automatic_name(core::make_key(*driver, image, shape)));
  if (!record) throw Error{ErrorCode::NotFound, "there is no snapshot; run: fireclaw setup"};
  Prepared made;
  made.spec = core::make_launch_spec(host, image, shape, "0000000000000000", true, driver->capabilities(), nullptr);
  made.spec.run_dir = run_dir;
  made.files = host.snapshots.files(*record);
  const vmm::qemu::Engine engine{verdict.binary, vmm::qemu::parse_version(verdict.version),
                                 verdict.engine == "qemu-kvm" ? vmm::Accelerator::Kvm : vmm::Accelerator::Tcg,
                                 verdict.cpu_model, 0};
  made.argv = vmm::qemu::to_argv(made.spec, engine, vmm::qemu::Start::Restore);
  return made;
}

/// Reads QMP lines until one holds `text`.
void read_until(int fd, std::string& buffer, std::string_view text) {
  while (buffer.find(text) == std::string::npos) {
    char piece[4096];
    const auto count = sys::retry([&] { return ::read(fd, piece, sizeof piece); });
    if (count <= 0) throw Error{ErrorCode::Vmm, fmt::format("QEMU hung up; it said: {}", buffer)};
    buffer.append(piece, static_cast<std::size_t>(count));
  }
  buffer.erase(0, buffer.find(text) + text.size());
}

nanoseconds run_bare(const Prepared& prepared) {
  const auto began = steady_clock::now();
  const auto& folder = prepared.spec.run_dir;
  const auto memory = sys::open_file(prepared.files.memory, O_RDONLY);
  const auto state = sys::open_file(prepared.files.state, O_RDONLY);
  const auto console = sys::open_file(folder / "console", O_WRONLY | O_CREAT);
  std::optional qmp_listener{sys::unix_listen(folder / "qmp.sock")};
  std::vector<sys::Fd> guest_listeners;
  for (unsigned i = 0; i < vmm::guest_channels; ++i) {
    guest_listeners.push_back(sys::unix_listen(folder / fmt::format("guest{}.sock", i)));
  }
  sys::SpawnSpec spawn;
  spawn.argv = prepared.argv;
  spawn.cwd = folder;
  namespace inherited = vmm::qemu::inherited;
  spawn.fds = {{console.get(), inherited::console},
               {qmp_listener->get(), inherited::qmp},
               {memory.get(), inherited::memory},
               {state.get(), inherited::state},
               {STDERR_FILENO, STDERR_FILENO}};
  for (unsigned i = 0; i < vmm::guest_channels; ++i) {
    spawn.fds.emplace_back(guest_listeners[i].get(), inherited::guest + static_cast<int>(i));
  }
  const auto qmp = sys::unix_connect(folder / "qmp.sock");
  auto channel = sys::unix_connect(folder / "guest0.sock");
  auto engine = sys::Child::spawn(spawn);
  // QEMU has them now; ours would keep its end from being noticed.
  qmp_listener.reset();
  guest_listeners.clear();
  sys::write_all(qmp.get(), std::string_view{R"({"execute":"qmp_capabilities"}
{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"x-ignore-shared","state":true},{"capability":"events","state":true}]}}
)"});
  sys::write_all(qmp.get(), fmt::format(R"({{"execute":"migrate-incoming","arguments":{{"uri":"fd:{}"}}}})"
                                        "\n",
                                        inherited::state));
  std::string said;
  read_until(qmp.get(), said, R"("status": "completed")");
  sys::write_all(qmp.get(), std::string_view{"{\"execute\":\"cont\"}\n"});

  auto opened = guest::Session::open_and_start(std::move(channel), std::nullopt, std::nullopt,
                                               ExecOptions::shell("true"), Deadline::after(std::chrono::seconds{30}));
  if (opened.process.wait().exit_code != 0) throw Error{ErrorCode::Guest, "`true` failed"};
  engine.kill();
  for (const auto& entry : std::filesystem::directory_iterator{folder}) std::filesystem::remove(entry.path());
  return steady_clock::now() - began;
}

nanoseconds run_fireclaw(const std::string& program, const std::string& home) {
  const auto began = steady_clock::now();
  sys::SpawnSpec spawn;
  spawn.argv = {program, "--home", home, "run", "--net", "none", "true"};
  spawn.env = {"PATH=/usr/bin:/bin"};
  spawn.fds = {{STDERR_FILENO, STDERR_FILENO}};
  auto child = sys::Child::spawn(spawn);
  const auto status = child.wait(Deadline::never());
  if (!status || !status->success()) throw Error{ErrorCode::Internal, "`fireclaw run true` failed"};
  return steady_clock::now() - began;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  const auto middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double ms(nanoseconds duration) { return std::chrono::duration<double, std::milli>(duration).count(); }

void compare(const std::string& home, const std::string& program, int rounds) {
  HostOptions options;
  options.home = std::filesystem::absolute(home);
  const Host::Impl host{options};
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "engine-floor-"};
  const auto prepared = prepare(host, folder.path());
  // Files come into memory, and the programs' pages with them.
  run_bare(prepared);
  run_fireclaw(program, options.home.native());

  std::vector<double> bare;
  std::vector<double> whole;
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    bare.push_back(ms(run_bare(prepared)));
    whole.push_back(ms(run_fireclaw(program, options.home.native())));
    ratios.push_back(whole.back() / bare.back());
  }
  fmt::print("bare engine: {:.1f} ms, fireclaw run true: {:.1f} ms, ratio {:.2f} (medians of {} rounds)\n",
             median(bare), median(whole), median(ratios), rounds);
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
