#include "bare.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/host/engines.hpp"
#include "core/host/launch_plan.hpp"
#include "fireclaw/fireclaw.hpp"
#include "guest/session.hpp"
#include "http/client.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/socket.hpp"
#include "vmm/firecracker/api.hpp"
#include "vmm/firecracker/requests.hpp"
#include "vmm/firecracker/start.hpp"
#include "vmm/firecracker/vsock.hpp"
#include "vmm/qemu/argv.hpp"

namespace fireclaw::bench {
namespace {

constexpr std::chrono::seconds limit{30};

/// What a round restores.
struct Machine {
  vmm::LaunchSpec spec;
  vmm::SnapshotFiles files;
};

/// The command, asked of the guest in one round trip. No identity: the bare engine's machine needs none.
void run_command(sys::Fd channel, const Mark& mark) {
  auto opened = guest::Session::open_and_start(std::move(channel), std::nullopt, std::nullopt,
                                               ExecOptions::shell("true"), Deadline::after(limit));
  mark("greeting");
  if (opened.process.wait().exit_code != 0) throw Error{ErrorCode::Guest, "`true` failed"};
  mark("command");
}

class BareQemu final : public BareEngine {
 public:
  BareQemu(Machine machine, const vmm::qemu::Engine& engine)
      : machine_{std::move(machine)}, argv_{vmm::qemu::to_argv(machine_.spec, engine, vmm::qemu::Start::Restore)} {}

  void run(const Mark& mark) override {
    const auto& folder = machine_.spec.run_dir;
    const auto memory = sys::open_file(machine_.files.memory, O_RDONLY);
    const auto state = sys::open_file(machine_.files.state, O_RDONLY);
    const auto console = sys::open_file(folder / "console", O_WRONLY | O_CREAT);
    std::optional qmp_listener{sys::unix_listen(folder / "qmp.sock")};
    std::vector<sys::Fd> guest_listeners;
    for (unsigned i = 0; i < vmm::guest_channels; ++i) {
      guest_listeners.push_back(sys::unix_listen(folder / fmt::format("guest{}.sock", i)));
    }
    sys::SpawnSpec spawn;
    spawn.argv = argv_;
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
    mark("spawn");
    // QEMU has them now; ours would keep its end from being noticed.
    qmp_listener.reset();
    guest_listeners.clear();
    sys::write_all(qmp.get(), std::string_view{R"({"execute":"qmp_capabilities"}
{"execute":"migrate-set-capabilities","arguments":{"capabilities":[{"capability":"x-ignore-shared","state":true},{"capability":"events","state":true}]}}
)"});
    sys::write_all(qmp.get(), fmt::format(R"({{"execute":"migrate-incoming","arguments":{{"uri":"fd:{}"}}}})"
                                          "\n",
                                          inherited::state));
    read_until(qmp.get(), R"("status": "completed")");
    sys::write_all(qmp.get(), std::string_view{"{\"execute\":\"cont\"}\n"});
    mark("load");
    run_command(std::move(channel), mark);
    engine.signal(SIGKILL);
    mark("kill");
    engine.kill();
    for (const auto& entry : std::filesystem::directory_iterator{folder}) std::filesystem::remove(entry.path());
  }

 private:
  /// Reads QMP until a line holds `text`.
  static void read_until(int fd, std::string_view text) {
    std::string said;
    while (said.find(text) == std::string::npos) {
      char piece[4096];
      const auto count = sys::retry([&] { return ::read(fd, piece, sizeof piece); });
      if (count <= 0) throw Error{ErrorCode::Vmm, fmt::format("QEMU hung up; it said: {}", said)};
      said.append(piece, static_cast<std::size_t>(count));
    }
  }

  Machine machine_;
  std::vector<std::string> argv_;
};

class BareFirecracker final : public BareEngine {
 public:
  BareFirecracker(Machine machine, std::string binary, const std::string& version)
      : machine_{std::move(machine)},
        argv_{binary, "--api-sock", std::string{vmm::firecracker::file::api_socket}, "--id", "bare"},
        load_{vmm::firecracker::to_load_request(machine_.spec, machine_.files,
                                                vmm::firecracker::parse_version(version))} {
    vmm::firecracker::prepare_folder(machine_.spec);
  }

  void run(const Mark& mark) override {
    namespace file = vmm::firecracker::file;
    const auto& folder = machine_.spec.run_dir;
    const auto nothing = sys::open_file("/dev/null", O_RDWR);
    sys::SpawnSpec spawn;
    spawn.argv = argv_;
    spawn.cwd = folder;
    spawn.fds = {{nothing.get(), STDIN_FILENO}, {nothing.get(), STDOUT_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
    auto engine = sys::Child::spawn(spawn);
    mark("spawn");
    const auto deadline = Deadline::after(limit);
    await_api(folder / file::api_socket, engine, deadline);
    vmm::firecracker::Api api{folder / file::api_socket};
    mark("api");
    api.call(load_, deadline);
    mark("load");
    auto channel =
        vmm::firecracker::vsock_connect(folder / file::vsock, vmm::guest_vsock_port, {engine.pidfd(), deadline, {}});
    if (!channel) throw Error{ErrorCode::Guest, "nobody listens in the guest"};
    run_command(std::move(*channel), mark);
    engine.signal(SIGKILL);
    mark("kill");
    engine.kill();
    std::filesystem::remove(folder / file::vsock);
    std::filesystem::remove(folder / file::api_socket);
  }

 private:
  /// Tries again at once: the socket is there after a millisecond.
  static void await_api(const std::filesystem::path& socket, const sys::Child& engine, Deadline deadline) {
    for (;;) {
      try {
        (void)sys::unix_connect(socket);
        return;
      } catch (const Error&) {
        deadline.check("waiting for firecracker's API");
      }
      const auto soon = Deadline::after(std::chrono::microseconds{100});
      if (sys::wait_fd(engine.pidfd(), POLLIN, soon) == sys::WaitResult::Ready) {
        throw Error{ErrorCode::Vmm, "firecracker ended at once"};
      }
    }
  }

  Machine machine_;
  std::vector<std::string> argv_;
  http::Request load_;
};

}  // namespace

std::unique_ptr<BareEngine> make_bare_engine(const Host::Impl& host, const std::filesystem::path& folder) {
  const auto image = host.images.open(std::string{built_in_image});
  const auto verdict = core::choose_engine(host, image);
  const auto driver = core::make_driver(host, verdict);
  const core::Shape shape;
  const auto record = host.snapshots.find(state::automatic_name(core::make_key(*driver, image, shape)));
  if (!record) throw Error{ErrorCode::NotFound, "there is no snapshot; run: fireclaw setup"};
  Machine machine;
  machine.spec = core::make_launch_spec(host, image, shape, "0000000000000000", true, driver->capabilities(), nullptr);
  machine.spec.run_dir = folder;
  machine.files = host.snapshots.files(*record);
  if (verdict.engine == "firecracker") {
    return std::make_unique<BareFirecracker>(std::move(machine), verdict.binary, verdict.version);
  }
  const vmm::qemu::Engine engine{verdict.binary, vmm::qemu::parse_version(verdict.version),
                                 verdict.engine == "qemu-kvm" ? vmm::Accelerator::Kvm : vmm::Accelerator::Tcg,
                                 verdict.cpu_model, 0};
  return std::make_unique<BareQemu>(std::move(machine), engine);
}

}  // namespace fireclaw::bench
