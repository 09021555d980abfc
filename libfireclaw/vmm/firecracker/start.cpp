#include "vmm/firecracker/start.hpp"

#include <fmt/format.h>
#include <net/if.h>
#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"
#include "vmm/firecracker/instance.hpp"
#include "vmm/firecracker/requests.hpp"
#include "vmm/firecracker/vsock.hpp"
#include "vmm/sandbox.hpp"

namespace fireclaw::vmm::firecracker {

namespace {

constexpr std::string_view waiting_for_api = "waiting for firecracker's API";

void check_readable(const std::filesystem::path& path, std::string_view what, int mode) {
  if (::access(path.c_str(), mode) == 0) return;
  sys::throw_errno(fmt::format("{} '{}'", what, path.string()));
}

/// As root Firecracker would make a missing tap itself: one that leads nowhere.
void check_tap(const Nic& nic) {
  const auto* tap = std::get_if<TapBackend>(&nic.backend);
  if (tap != nullptr && ::if_nametoindex(tap->name.c_str()) == 0) {
    throw Error{ErrorCode::NotFound, fmt::format("there is no network interface '{}' for '{}'", tap->name, nic.id)};
  }
}

/// Tells when something appears in a folder.
class FolderWatch {
 public:
  explicit FolderWatch(const std::filesystem::path& folder)
      : fd_{sys::check(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK), "inotify_init")},
        watch_{sys::check(::inotify_add_watch(fd_.get(), folder.c_str(), IN_CREATE | IN_MOVED_TO),
                          fmt::format("watch '{}'", folder.string()))} {}
  [[nodiscard]] int fd() const { return fd_.get(); }
  void clear() const {
    std::array<std::byte, 4096> events{};
    while (sys::read_some(fd_.get(), events) > 0) {
    }
  }
  /// Ends the watch and leaves what remains to be closed, later: see Started::ended_watch.
  [[nodiscard]] sys::Fd end() && {
    ::inotify_rm_watch(fd_.get(), watch_);
    return std::move(fd_);
  }

 private:
  sys::Fd fd_;
  int watch_;
};

/// Until the API's socket accepts: its file can be there a moment before.
void await_api(const FolderWatch& watch, const EngineProcess& process, const std::filesystem::path& socket,
               const StartOptions& options) {
  // Between a socket's bind() and its listen() nothing happens that one could wait for, hence the short pauses; the
  // engine's end cuts them short. They only come up when the host is loaded just then.
  std::chrono::microseconds pause{200};
  for (;;) {
    watch.clear();
    ErrorCode problem{};
    try {
      (void)sys::unix_connect(socket, sys::Links::Refuse);
      return;
    } catch (const Error& error) {
      problem = error.code();
      if (problem != ErrorCode::NotFound && problem != ErrorCode::Io) throw;
    }
    WaitLimits limits{process.pidfd(), options.deadline, options.stop};
    if (problem == ErrorCode::NotFound) {
      if (await(watch.fd(), limits, waiting_for_api) == Awaited::EngineEnded) return;
      continue;
    }
    options.deadline.check(waiting_for_api);
    if (sys::wait_fd(process.pidfd(), POLLIN, Deadline::after(pause).sooner(options.deadline), options.stop) ==
        sys::WaitResult::Ready) {
      return;
    }
    if (options.stop.stop_requested()) {
      throw Error{ErrorCode::Cancelled, fmt::format("{} cancelled", waiting_for_api)};
    }
    pause = std::min(pause * 2, std::chrono::microseconds{5000});
  }
}

}  // namespace

void prepare_folder(const LaunchSpec& spec) {
  check_readable(spec.kernel.file, "kernel", R_OK);
  if (!spec.initramfs.empty()) check_readable(spec.initramfs, "initramfs", R_OK);
  for (const Drive& drive : spec.drives) {
    check_readable(drive.path, fmt::format("drive {}", drive.id), drive.read_only ? R_OK : R_OK | W_OK);
  }
  remove_sockets(spec.run_dir);
  for (const Drive& drive : spec.drives) {
    const auto link = spec.run_dir / drive_link(drive);
    std::filesystem::remove(link);
    std::filesystem::create_symlink(std::filesystem::absolute(drive.path), link);
  }
}

Started start_process(const std::filesystem::path& binary, sys::Sandbox sandbox, const LaunchSpec& spec,
                      const StartOptions& options) {
  const auto begin = std::chrono::steady_clock::now();
  FolderWatch watch{spec.run_dir};
  TextPipe console = TextPipe::create(spec.run_dir / file::console);
  TextPipe log = TextPipe::create(spec.run_dir / file::log);
  // Inherited, each with a reader, so that the engine neither fails to open them nor gets SIGPIPE.
  const sys::Fd console_end = console.engine_end();
  const sys::Fd log_end = log.engine_end();
  const sys::Fd metrics_end = TextPipe::create(spec.run_dir / file::metrics).engine_end();

  lend_drives(spec);
  lend_folder(spec);

  sys::SpawnSpec spawn;
  spawn.sandbox = std::move(sandbox);
  spawn.argv = to_argv(binary, spec);
  spawn.cwd = spec.run_dir;
  spawn.fds = {{console_end.get(), 1}, {log_end.get(), 2}, {metrics_end.get(), 3}};
  int next = 4;
  for (const int fd : spec.inherit) spawn.fds.emplace_back(fd, next++);
  spawn.enter = spec.network_namespace;
  spawn.die_with_parent = spec.die_with_parent;
  // Ctrl-C at the terminal is for us; the engine's end is ours to order.
  spawn.new_session = true;
  EngineProcess process = EngineProcess::start(spawn);
  if (options.on_phase) options.on_phase("spawn", std::chrono::steady_clock::now() - begin);

  try {
    if (options.make_taps) options.make_taps();
    if (!spec.network_namespace) std::ranges::for_each(spec.nics, check_tap);
    const auto ready = std::chrono::steady_clock::now();
    const auto socket = spec.run_dir / file::api_socket;
    await_api(watch, process, socket, options);
    throw_if_ended(process, &log, Lost::Nothing);
    if (options.on_phase) options.on_phase("api", std::chrono::steady_clock::now() - ready);
    return Started{std::move(process), Api{socket}, std::move(console), std::move(log), std::move(watch).end()};
  } catch (...) {
    process.kill();
    remove_sockets(spec.run_dir);
    throw;
  }
}

}  // namespace fireclaw::vmm::firecracker
