#include "vmm/qemu/start.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <utility>

#include "fireclaw/error.hpp"
#include "sys/poll.hpp"
#include "sys/process.hpp"
#include "sys/socket.hpp"
#include "vmm/qemu/argv.hpp"
#include "vmm/sandbox.hpp"

namespace fireclaw::vmm::qemu {
namespace {

/// Between QEMU closing its sockets and being gone there is no more than the kernel freeing its memory.
constexpr std::chrono::seconds end_limit{3};

}  // namespace

StartedEngine start_engine(const LaunchSpec& spec, std::vector<std::string> argv, sys::Sandbox sandbox,
                           const sys::Fd& memory, const sys::Fd* state) {
  const RunDir run_dir{spec.run_dir};
  auto claim = claim_channel(run_dir, 0);
  if (!claim) {
    throw Error{ErrorCode::InvalidState, fmt::format("a machine is running in '{}' already", spec.run_dir.string())};
  }
  // A first attempt (from a snapshot that turned out to be damaged) may have made them. Nothing else is removed.
  const auto remove_socket = [](const std::filesystem::path& path) {
    if (std::filesystem::is_socket(std::filesystem::symlink_status(path))) std::filesystem::remove(path);
  };
  remove_socket(run_dir.qmp_socket());
  for (unsigned channel = 0; channel < guest_channels; ++channel) remove_socket(run_dir.guest_socket(channel));
  auto [console, console_end] = Console::create();
  auto log = TextPipe::create(run_dir.log());
  const auto log_end = log.engine_end();
  std::vector<sys::Fd> listeners;
  listeners.push_back(sys::unix_listen(run_dir.qmp_socket()));
  for (unsigned channel = 0; channel < guest_channels; ++channel) {
    listeners.push_back(sys::unix_listen(run_dir.guest_socket(channel)));
  }

  sys::SpawnSpec spawn;
  spawn.argv = std::move(argv);
  spawn.sandbox = std::move(sandbox);
  spawn.cwd = spec.run_dir;
  spawn.die_with_parent = spec.die_with_parent;
  // Ctrl-C in a terminal is for the program that uses the machine, which then stops it in order.
  spawn.new_session = true;
  spawn.fds = {{log_end.get(), STDOUT_FILENO},
               {log_end.get(), STDERR_FILENO},
               {listeners[0].get(), inherited::qmp},
               {memory.get(), inherited::memory},
               {console_end.get(), inherited::console}};
  for (unsigned channel = 0; channel < guest_channels; ++channel) {
    spawn.fds.emplace_back(listeners[1 + channel].get(), inherited::guest + static_cast<int>(channel));
  }
  if (state != nullptr) spawn.fds.emplace_back(state->get(), inherited::state);
  for (std::size_t i = 0; i < spec.nics.size(); ++i) {
    const auto* tap = std::get_if<TapBackend>(&spec.nics[i].backend);
    if (tap != nullptr && tap->descriptor) {
      spawn.fds.emplace_back(*tap->descriptor, inherited::tap + static_cast<int>(i));
    }
  }
  int next = inherited::tap + static_cast<int>(spec.nics.size());
  for (const int fd : spec.inherit) spawn.fds.emplace_back(fd, next++);

  lend_drives(spec);
  // Connected before QEMU runs: it finds both waiting when it first looks, and the guest sees an open channel.
  auto control = sys::unix_connect(run_dir.qmp_socket());
  GuestStream channel{sys::unix_connect(run_dir.guest_socket(0)), std::move(claim)};
  return {EngineProcess::start(spawn), QmpClient{std::move(control)}, std::move(channel), std::move(console),
          std::move(log)};
}

void throw_if_ended(EngineProcess& process, const TextPipe* log, bool hung_up) {
  if (hung_up) (void)sys::wait_fd(process.pidfd(), POLLIN, Deadline::after(std::chrono::nanoseconds{end_limit}));
  if (const auto reason = exit_reason(process, log); !reason.empty()) {
    throw Error{ErrorCode::Vmm, "QEMU " + reason};
  }
}

}  // namespace fireclaw::vmm::qemu
