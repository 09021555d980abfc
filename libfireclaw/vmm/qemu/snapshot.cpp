#include "vmm/qemu/snapshot.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/page_cache.hpp"
#include "sys/process.hpp"
#include "sys/random.hpp"
#include "sys/socket.hpp"
#include "vmm/brief_pause.hpp"
#include "vmm/qemu/argv.hpp"
#include "vmm/qemu/console.hpp"
#include "vmm/qemu/sandbox.hpp"
#include "vmm/qemu/start.hpp"

namespace fireclaw::vmm::qemu {
namespace {

/// A file under another name beside its target, until publish(). Removed if that is not reached.
class PendingFile {
 public:
  explicit PendingFile(std::filesystem::path target)
      : target_{std::move(target)},
        temporary_{fmt::format("{}.partial-{}", target_.string(), sys::random_hex(8))},
        file_{sys::open_file(temporary_, O_RDWR | O_CREAT | O_EXCL, 0600)} {}
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;
  ~PendingFile() {
    if (!kept_) ::unlink((published_ ? target_ : temporary_).c_str());
  }

  [[nodiscard]] int fd() const noexcept { return file_.get(); }
  void sync() const { sys::sync_fd(file_.get(), target_); }
  /// Gives it its name; keep() makes that last.
  void publish() {
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_NOREPLACE) < 0) {
      sys::throw_errno(fmt::format("create '{}'", target_.string()));
    }
    published_ = true;
  }
  void keep() noexcept { kept_ = true; }

 private:
  std::filesystem::path target_;
  std::filesystem::path temporary_;
  sys::Fd file_;
  bool published_ = false;
  bool kept_ = false;
};

// announce-rounds: a restored machine must not tell the network the address that all clones have until guestd gives
// them their own. max-bandwidth: the preset would hold a stream to 128 MiB/s.
std::vector<std::uint64_t> set_migration(QmpClient& qmp, bool with_ram) {
  const auto capabilities = fmt::format(R"({{"capabilities":[{{"capability":"events","state":true}},)"
                                        R"({{"capability":"x-ignore-shared","state":{}}}]}})",
                                        with_ram ? "false" : "true");
  return {qmp.send("migrate-set-capabilities", capabilities),
          qmp.send("migrate-set-parameters", R"({"announce-rounds":0,"max-bandwidth":1099511627776})")};
}

// As inherited::state.
constexpr std::string_view incoming = R"({"uri":"fd:10"})";
static_assert(inherited::state == 10);

void expect_success(QmpClient& qmp, const std::vector<std::uint64_t>& sent, const Wait& wait) {
  for (const auto number : sent) qmp.reply(number, wait);
}

std::string migration_problem(QmpClient& qmp, const Wait& wait) {
  const auto info = qmp.execute("query-migrate", {}, wait);
  if (const auto text = info.find("error-desc")) return text->as_string();
  return "QEMU does not say why";
}

void await_migration(QmpClient& qmp, std::string_view what, const Wait& wait) {
  for (;;) {
    const auto status = qmp.event("MIGRATION", wait).at("status").as_string();
    if (status == "completed") return;
    if (status == "failed" || status == "cancelled") {
      throw Error{ErrorCode::Vmm, fmt::format("{}: {}", what, migration_problem(qmp, wait))};
    }
  }
}

void start_sending(QmpClient& qmp, int fd, bool with_ram, const Wait& wait) {
  auto sent = set_migration(qmp, with_ram);
  sent.push_back(qmp.send("getfd", R"({"fdname":"state"})", fd));
  sent.push_back(qmp.send("migrate", R"({"uri":"fd:state"})"));
  expect_success(qmp, sent, wait);
}

void send_all(QmpClient& qmp, int fd, bool with_ram, const Wait& wait) {
  try {
    start_sending(qmp, fd, with_ram, wait);
    await_migration(qmp, "saving the machine's state failed", wait);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Timeout || error.code() == ErrorCode::Cancelled) qmp.send("migrate_cancel");
    throw;
  }
}

/// The end of a migration is told a moment before QEMU is through with it. Returns the machine's state then.
std::string await_finished(QmpClient& qmp, const Wait& wait) {
  for (;;) {
    auto status = qmp.execute("query-status", {}, wait).at("status").as_string();
    if (status != "finish-migrate") return status;
  }
}

void send_state(QmpClient& qmp, int fd, bool with_ram, const Wait& wait) {
  send_all(qmp, fd, with_ram, wait);
  await_finished(qmp, wait);
}

void require_paused(QmpClient& qmp, const Wait& wait) {
  const auto status = await_finished(qmp, wait);
  if (status == "paused") return;
  if (status == "postmigrate") {
    // It was saved before and has not run since. QEMU saves only what may run: let it, and stop it again.
    qmp.execute("cont", {}, wait);
    qmp.execute("stop", {}, wait);
    return;
  }
  throw Error{ErrorCode::InvalidState,
              fmt::format("only a paused machine can be saved, and this one's state is '{}'", status)};
}

// Both files from a machine whose RAM is the shared memory file `ram`.
void write_files(QmpClient& qmp, int ram, const SnapshotFiles& files, const Wait& wait) {
  PendingFile state{files.state};
  PendingFile memory{files.memory};
  send_state(qmp, state.fd(), false, wait);
  sys::copy_sparse(ram, memory.fd(), {wait.deadline, wait.stop});
  state.sync();
  memory.sync();
  memory.publish();
  state.publish();
  sys::sync_directory(files.memory.parent_path());
  if (files.state.parent_path() != files.memory.parent_path()) sys::sync_directory(files.state.parent_path());
  memory.keep();
  state.keep();
}

std::vector<std::string> command_line_of(const EngineProcess& process) {
  const auto text = sys::read_file(fmt::format("/proc/{}/cmdline", process.id().pid));
  std::vector<std::string> argv;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\0', begin), text.size());
    argv.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return argv;
}

std::string memory_file_of(const EngineProcess& process) {
  return fmt::format("/proc/{}/fd/{}", process.id().pid, inherited::memory);
}

// While a machine is paused, QEMU reads all of its memory, page by page, also what nobody has touched since it was
// restored. Where the host is a virtual machine itself, whose memory is given to it on first use, a machine of 384 MiB
// was seen to be paused for 3.3 s instead of 0.5 s.
void read_memory_ahead(const EngineProcess& process, const Wait& wait) {
  try {
    const auto memory = sys::open_file(memory_file_of(process), O_RDONLY);
    sys::read_into_page_cache(memory.get(), {wait.deadline, wait.stop});
  } catch (const Error& problem) {
    // Any other failure costs no more than a longer pause.
    if (problem.code() == ErrorCode::Timeout || problem.code() == ErrorCode::Cancelled) throw;
  }
}

std::size_t ram_bytes_of(const EngineProcess& process) {
  const auto path = memory_file_of(process);
  struct stat status;
  sys::check(::stat(path.c_str(), &status), fmt::format("look at '{}'", path));
  return static_cast<std::size_t>(status.st_size);
}

// The descriptors are its own afterwards, so that its end is seen at their other ends.
EngineProcess start_stand_in(const SavedMachine& machine, const sys::Fd& ram, sys::Fd control_end, sys::Fd stream_end) {
  const auto log_end = machine.log.engine_end();
  sys::SpawnSpec spawn;
  spawn.argv = to_stand_in_argv(command_line_of(machine.process));
  spawn.argv[0] = machine.program.binary;
  spawn.cwd = machine.run_dir.path;
  LaunchSpec spec;
  spec.run_dir = machine.run_dir.path;
  const auto user = sys::see_confinement(machine.process.id().pid).user;
  if (machine.confinement == sys::Confinement::Full && user != ::geteuid()) spec.user = user;
  spawn.sandbox =
      stand_in_sandbox(look_at_ground(machine.confinement, machine.program.binary, spec), spec, machine.program);
  spawn.new_session = true;
  spawn.fds = {{log_end.get(), STDOUT_FILENO},
               {log_end.get(), STDERR_FILENO},
               {control_end.get(), inherited::qmp},
               {ram.get(), inherited::memory},
               {stream_end.get(), inherited::state}};
  return EngineProcess::start(spawn);
}

// `send(fd)` passes on the machine's state, with RAM, to a second process; the files are made of that, once `meanwhile`
// has returned.
template <typename Send, typename Meanwhile>
void save_through_stand_in(const SavedMachine& machine, const SnapshotFiles& files, const Wait& wait, Send send,
                           Meanwhile meanwhile) {
  const auto ram = sys::make_memfd(ram_file_name, ram_bytes_of(machine.process));
  auto [control, control_end] = sys::socket_pair();
  auto [stream, stream_end] = sys::socket_pair();
  auto stand_in = start_stand_in(machine, ram, std::move(control_end), std::move(stream_end));
  QmpClient stand_in_qmp{std::move(control)};
  try {
    auto sent = set_migration(stand_in_qmp, true);
    sent.push_back(stand_in_qmp.send("migrate-incoming", incoming));
    expect_success(stand_in_qmp, sent, wait);
    send(stream.get());
    meanwhile();
    await_migration(stand_in_qmp, "passing on the machine's state failed", wait);
    write_files(stand_in_qmp, ram.get(), files, wait);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::Vmm) throw_if_ended(stand_in, &machine.log, stand_in_qmp.closed());
    throw;
  }
}

void require_absent(const std::filesystem::path& path) {
  if (::access(path.c_str(), F_OK) == 0) {
    throw Error{ErrorCode::AlreadyExists, fmt::format("'{}' exists already", path.string())};
  }
}

}  // namespace

void save_machine(QmpClient& qmp, const SavedMachine& machine, const SnapshotFiles& files, const Wait& wait) {
  require_absent(files.state);
  require_absent(files.memory);
  require_paused(qmp, wait);
  if (const auto ram = open_memfd_of(machine.process.id(), ram_file_name, O_RDONLY)) {
    write_files(qmp, ram->get(), files, wait);
  } else {
    save_through_stand_in(
        machine, files, wait, [&](int fd) { send_state(qmp, fd, true, wait); }, [] {});
  }
}

std::chrono::nanoseconds save_running_machine(QmpClient& qmp, const SavedMachine& machine, const SnapshotFiles& files,
                                              const std::function<void()>& copy_drives, const Wait& wait) {
  require_absent(files.state);
  require_absent(files.memory);
  read_memory_ahead(machine.process, wait);
  const auto resume = [&](Deadline limit) { resume_machine(qmp, {limit, {}}); };
  return pause_briefly(machine.process, resume, [&](BriefPause& brief_pause) {
    // Stopped before, not for the last of it only: a copy of a machine whose RAM QEMU 7.2 had sent while it ran under
    // TCG was seen to crash in its kernel.
    const auto send = [&](int fd) {
      brief_pause.begin();
      qmp.execute("stop", {}, wait);
      send_state(qmp, fd, true, wait);
    };
    const auto meanwhile = [&] {
      copy_drives();
      brief_pause.end();
    };
    save_through_stand_in(machine, files, wait, send, meanwhile);
  });
}

void resume_machine(QmpClient& qmp, const Wait& wait) {
  await_finished(qmp, wait);
  qmp.execute("cont", {}, wait);
}

void load_state(QmpClient& qmp, const Wait& wait) {
  auto sent = set_migration(qmp, false);
  sent.push_back(qmp.send("migrate-incoming", incoming));
  expect_success(qmp, sent, wait);
  await_migration(qmp, "loading the machine's state failed", wait);
}

void check_snapshot(const sys::Fd& state, const sys::Fd& memory, const SnapshotFiles& files, unsigned memory_mib) {
  std::array<char, 4> magic{};
  const auto got = sys::retry([&] { return ::pread(state.get(), magic.data(), magic.size(), 0); });
  if (got != static_cast<ssize_t>(magic.size()) || std::string_view{magic.data(), magic.size()} != "QEVM") {
    throw Error{ErrorCode::Corrupt, fmt::format("'{}' is not a QEMU machine's state", files.state.string())};
  }
  struct stat status;
  sys::check(::fstat(memory.get(), &status), fmt::format("look at '{}'", files.memory.string()));
  const auto expected = std::uint64_t{memory_mib} << 20;
  if (static_cast<std::uint64_t>(status.st_size) != expected) {
    throw Error{ErrorCode::Corrupt, fmt::format("'{}' holds {} bytes where a machine with {} MiB of memory has {}",
                                                files.memory.string(), status.st_size, memory_mib, expected)};
  }
}

}  // namespace fireclaw::vmm::qemu
