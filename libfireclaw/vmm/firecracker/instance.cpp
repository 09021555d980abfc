#include "vmm/firecracker/instance.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <system_error>

#include "base/scope.hpp"
#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/random.hpp"
#include "vmm/brief_pause.hpp"
#include "vmm/firecracker/requests.hpp"

namespace fireclaw::vmm::firecracker {

namespace {

/// How long a process that has closed its connections may take until it counts as ended.
constexpr std::chrono::milliseconds end_limit{500};

void remove_quietly(const std::filesystem::path& path) noexcept {
  std::error_code ignored;
  std::filesystem::remove(path, ignored);
}

/// A file that Firecracker has written in the machine's folder, copied to where only the host writes. The engine may
/// still have its own open, or have put something else in its place.
class Taken {
 public:
  /// Makes the copy's file, empty.
  explicit Taken(std::filesystem::path target)
      : target_{std::move(target)},
        unfinished_{target_.string() + ".tmp-" + sys::random_hex(4)},
        file_{sys::open_file(unfinished_, O_RDWR | O_CREAT | O_EXCL)} {}
  Taken(const Taken&) = delete;
  Taken& operator=(const Taken&) = delete;
  ~Taken() { remove_quietly(unfinished_); }

  void copy(const std::filesystem::path& written) const {
    const auto source = sys::open_file(written, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    struct stat status {};
    sys::check(::fstat(source.get(), &status), fmt::format("look at '{}'", written.string()));
    if (!S_ISREG(status.st_mode)) {
      throw Error{ErrorCode::Vmm,
                  fmt::format("firecracker has put something else in the place of '{}'", written.filename().string())};
    }
    sys::copy_sparse(source.get(), file_.get());
    sys::sync_fd(file_.get(), unfinished_);
  }
  void publish() const {
    sys::check(::renameat2(AT_FDCWD, unfinished_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE),
               fmt::format("create '{}'", target_.string()));
  }

 private:
  std::filesystem::path target_;
  std::filesystem::path unfinished_;
  sys::Fd file_;
};

}  // namespace

void throw_if_ended(EngineProcess& process, const TextPipe* log, Lost lost) {
  if (lost == Lost::Connection) (void)sys::wait_fd(process.pidfd(), POLLIN, Deadline::after(end_limit));
  const std::string reason = exit_reason(process, log);
  if (!reason.empty()) throw Error{ErrorCode::Vmm, "firecracker " + reason, std::current_exception()};
}

void remove_sockets(const std::filesystem::path& run_dir) noexcept {
  for (const std::string_view name : {file::api_socket, file::vsock, file::ready_socket}) {
    remove_quietly(run_dir / name);
  }
}

FirecrackerInstance::~FirecrackerInstance() {
  if (parts_.owned) kill();
}

std::string FirecrackerInstance::call(const http::Request& request, Deadline deadline, const std::stop_token& stop) {
  try {
    return parts_.api.call(request, deadline, stop);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Io || error.code() == ErrorCode::NotFound) {
      throw_if_ended(parts_.process, log(), Lost::Connection);
    }
    throw;
  }
}

void FirecrackerInstance::begin(std::span<const http::Request> requests, const std::string& version,
                                const StartOptions& options) {
  auto before = std::chrono::steady_clock::now();
  const auto phase = [&](std::string_view name) {
    const auto now = std::chrono::steady_clock::now();
    if (options.on_phase) options.on_phase(name, now - before);
    before = now;
  };
  const std::string running = parse_running_version(call(version_request(), options.deadline, options.stop));
  if (running != version) {
    throw Error{ErrorCode::Vmm,
                fmt::format("firecracker is now version {}, it was {} when it was set up; run: fireclaw "
                            "setup",
                            running, version)};
  }
  const auto& last = requests.back();
  for (const http::Request& request : requests.first(requests.size() - 1)) {
    call(request, options.deadline, options.stop);
  }
  phase("configure");
  call(last, options.deadline, options.stop);
  phase(parts_.origin == Origin::Restored ? "load" : "boot");
}

void FirecrackerInstance::pause(Deadline deadline) { call(pause_request(), deadline); }

void FirecrackerInstance::resume(Deadline deadline) {
  if (waits_for_reset_after_resume(parts_.version) && !state_saved_) {
    // Firecracker saves only paused machines, so there is nothing to do.
    if (!is_paused(call(describe_request(), deadline))) return;
    announce_reset(deadline);
  }
  call(resume_request(), deadline);
  state_saved_ = false;
}

/// Makes Firecracker save the machine's state, which tells the guest to reset its connections, without a file coming
/// of it: the state is saved first, and then there is no folder to put it in.
void FirecrackerInstance::announce_reset(Deadline deadline) {
  const std::filesystem::path nowhere = "no-such-folder";
  try {
    call(to_create_request({nowhere / "state", nowhere / "memory"}), deadline);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Vmm &&
        std::string_view{error.what()}.find("snapshot backing file") != std::string_view::npos) {
      return;
    }
    throw;
  }
}

void FirecrackerInstance::snapshot(const SnapshotFiles& files, Deadline deadline, const std::stop_token& stop) {
  require_savable(files);
  pause(deadline);
  save(files, deadline, stop, [] {});
}

std::chrono::nanoseconds FirecrackerInstance::snapshot_running(const SnapshotFiles& files,
                                                               const std::function<void()>& copy_drives,
                                                               Deadline deadline, const std::stop_token& stop) {
  require_savable(files);
  const auto resume_by = [this](Deadline limit) { resume(limit); };
  return pause_briefly(parts_.process, resume_by, [&](BriefPause& brief_pause) {
    brief_pause.begin();
    pause(deadline);
    save(files, deadline, stop, [&] {
      copy_drives();
      brief_pause.end();
    });
  });
}

void FirecrackerInstance::require_savable(const SnapshotFiles& files) const {
  if (loses_vsock_after_restore(parts_.version)) {
    throw Error{ErrorCode::Unsupported,
                fmt::format("firecracker {} makes snapshots whose guests cannot be reached again; use 1.16.1 or newer",
                            to_string(parts_.version))};
  }
  for (const auto& file : {files.state, files.memory}) {
    if (std::filesystem::exists(std::filesystem::symlink_status(file))) {
      throw Error{ErrorCode::AlreadyExists, fmt::format("'{}' exists already", file.string())};
    }
  }
}

void FirecrackerInstance::save(const SnapshotFiles& files, Deadline deadline, const std::stop_token& stop,
                               const std::function<void()>& once_taken) {
  const Taken state{std::filesystem::absolute(files.state)};
  const Taken memory{std::filesystem::absolute(files.memory)};
  // Relative to the machine's folder, the only one that Firecracker can make files in.
  const std::string suffix = sys::random_hex(4);
  const SnapshotFiles written{"saved-state-" + suffix, "saved-memory-" + suffix};
  const ScopeGuard remove_written{[&]() noexcept {
    remove_quietly(path(written.state.native()));
    remove_quietly(path(written.memory.native()));
  }};
  call(to_create_request(written), deadline, stop);
  state_saved_ = true;
  once_taken();
  state.copy(path(written.state.native()));
  memory.copy(path(written.memory.native()));
  // The state goes last: where it is, the memory is too.
  memory.publish();
  ScopeGuard remove_memory{[&]() noexcept { remove_quietly(files.memory); }};
  state.publish();
  sys::sync_directory(std::filesystem::absolute(files.state).parent_path());
  remove_memory.release();
}

GuestStream FirecrackerInstance::connect_guest(Deadline deadline, const std::stop_token& stop) {
  const WaitLimits limits{parts_.process.pidfd(), deadline, stop};
  try {
    if (parts_.ready_listener) {
      // To ask before guestd has dialled would be to guess: until its kernel has a vsock, Firecracker holds requests
      // back, and then it turns them down until guestd listens.
      sys::Fd stream = vsock_accept(parts_.ready_listener->get(), limits);
      parts_.ready_listener.reset();
      remove_quietly(path(file::ready_socket));
      first_connection_ = false;
      return {std::move(stream), std::nullopt};
    }
    auto stream = vsock_connect(path(file::vsock), guest_vsock_port, limits);
    if (!stream && first_connection_ && parts_.origin == Origin::Restored &&
        may_drop_first_connection(parts_.version)) {
      // It overtook the reset and fell to it. The reset is done now; there is no second one.
      stream = vsock_connect(path(file::vsock), guest_vsock_port, limits);
    }
    first_connection_ = false;
    if (stream) return {std::move(*stream), std::nullopt};
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Io) throw_if_ended(parts_.process, log(), Lost::Connection);
    throw_if_ended(parts_.process, log(), Lost::Nothing);
    throw;
  }
  throw_if_ended(parts_.process, log(), Lost::Nothing);
  throw Error{ErrorCode::Guest,
              "the guest refused the connection: guestd does not listen (it ended, or is not up yet)"};
}

void FirecrackerInstance::kill() noexcept {
  parts_.process.kill();
  remove_sockets(parts_.record.run_dir);
}

bool FirecrackerInstance::wait_exit(Deadline deadline, const std::stop_token& stop) {
  switch (sys::wait_fd(parts_.process.pidfd(), POLLIN, deadline, stop)) {
    case sys::WaitResult::Ready:
      (void)parts_.process.describe_end();  // reaps it
      remove_sockets(parts_.record.run_dir);
      return true;
    case sys::WaitResult::Timeout: return false;
    case sys::WaitResult::Stopped: break;
  }
  throw Error{ErrorCode::Cancelled, "waiting for the machine to end was cancelled"};
}

std::string FirecrackerInstance::exit_reason() { return vmm::exit_reason(parts_.process, log()); }

std::string FirecrackerInstance::console_tail(std::size_t max_bytes) const {
  return parts_.console ? parts_.console->tail(max_bytes) : std::string{};
}

}  // namespace fireclaw::vmm::firecracker
