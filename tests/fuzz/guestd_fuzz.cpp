// guestd's end of a session, fed with whatever a host might send, on a machine where nothing can be broken: its
// commands are pipes held by the fuzzer, its files a folder that is emptied after each run.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "boot/disks.hpp"
#include "guest/wire/frames.hpp"
#include "guest_input.hpp"
#include "loop.hpp"
#include "machine.hpp"
#include "processes/services.hpp"
#include "session.hpp"

namespace {

using namespace fireclaw;
using namespace fireclaw::guestd;
namespace fs = std::filesystem;

/// Its own folder for each process, removed with it.
class Folder {
 public:
  Folder() {
    std::string name = (fuzz::scratch_parent() / "fireclaw-guestd-fuzz-XXXXXX").string();
    fuzz::require(::mkdtemp(name.data()) != nullptr);
    path_ = name;
    fs::create_directory(path_ / "root");
    root_.reset(::open((path_ / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  ~Folder() { fs::remove_all(path_); }
  int root() const { return root_.get(); }
  /// Nothing may appear beside the root; what is in it goes.
  void check_and_empty() {
    for (const fs::directory_entry& entry : fs::directory_iterator{path_})
      fuzz::require(entry.path() == path_ / "root");
    for (const fs::directory_entry& entry : fs::directory_iterator{path_ / "root"}) {
      // A folder may have been left without permissions.
      std::error_code ignored;
      if (entry.is_directory() && !entry.is_symlink()) fs::permissions(entry.path(), fs::perms{0700}, ignored);
      fs::remove_all(entry.path());
    }
  }

 private:
  fs::path path_;
  guest::OwnedFd root_;
};

class HarmlessMachine final : public Machine {
 public:
  HarmlessMachine(Loop& loop, int root) : root_{root}, services_{loop, *this} {}

  /// The other ends of a command's pipes.
  struct Command {
    OwnedFd in;
    OwnedFd out;
    OwnedFd err;
  };

  wire::Hello hello() override { return {}; }
  std::optional<wire::ExecFailed> spawn(const wire::Exec& request, Spawned& spawned) override {
    if (request.argv.front().empty()) return wire::ExecFailed{wire::ExecFailure::NotFound, ENOENT, "no"};
    Command command;
    if (request.has_stdin && !request.tty) connect(command.in, spawned.in, false);
    connect(command.out, spawned.out, true);
    if (!request.tty) connect(command.err, spawned.err, true);
    spawned.pid = ++last_pid_;
    commands_.emplace(spawned.pid, std::move(command));
    return {};
  }
  std::optional<wire::ExecFailed> spawn_service(const wire::Exec& request, int output, pid_t& pid) override {
    if (request.argv.front().empty()) return wire::ExecFailed{wire::ExecFailure::NotFound, ENOENT, "no"};
    pid = ++last_pid_;
    service_outputs_[pid] = output;
    return {};
  }
  std::optional<wire::ExecFailed> spawn_file_call(const wire::FileCall& call, Spawned& spawned) override {
    wire::Exec request;
    request.argv = {call.path};
    request.has_stdin = call.verb == wire::FileVerb::Write;
    return spawn(request, spawned);
  }
  void signal_group(pid_t leader, int) override { fuzz::require(leader > 0 && leader <= last_pid_); }
  void signal_process(pid_t pid, int) override { fuzz::require(service_outputs_.count(pid) != 0); }
  Services& services() override { return services_; }
  wire::Done configure(const wire::Configure& request, Steps&) override {
    return request.hostname.empty() ? wire::Done{EINVAL, "no"} : wire::Done{};
  }
  wire::Done set_clock(std::int64_t) override { return {}; }
  guest::Base files() override { return {root_, true}; }
  std::optional<guest::Failure> find_owner(std::string_view user, guest::TreeWriter::Owner& owner) override {
    if (user.size() % 2 == 1) return guest::Failure{ENOENT, "nobody is called so"};
    owner = {::geteuid(), ::getegid()};
    return {};
  }
  wire::Done mount(const wire::Mount& request) override {
    wire::Done answer = check_mount(request);
    if (answer.error == 0) fuzz::require(parse_mount_options(request.options).data.find('\0') == std::string::npos);
    return answer;
  }
  wire::Done unmount(const wire::Unmount& request) override { return check_unmount(request); }
  wire::Done prepare_snapshot() override { return {}; }
  void shutdown(std::uint32_t) override {}

  /// A service writes something, or ends.
  void act_as_service(fuzz::Script& script) {
    if (service_outputs_.empty()) return;
    auto service = service_outputs_.begin();
    std::advance(service, script.byte() % service_outputs_.size());
    const std::uint8_t action = script.byte();
    if (action % 4 != 0) {
      const std::string text(std::size_t{action} * 40, static_cast<char>(action));
      // Not more than the pipe takes: nobody reads meanwhile.
      if (action % 4 == 1) ignore(::write(service->second, text.data(), text.size()));
      return;
    }
    const pid_t pid = service->first;
    service_outputs_.erase(service);
    services_.child_ended(pid, script.byte());
  }

  /// A command does something.
  void act(Session& session, fuzz::Script& script) {
    if (commands_.empty()) return;
    auto command = commands_.begin();
    std::advance(command, script.byte() % commands_.size());
    char buffer[512] = {};
    switch (script.byte() % 5) {
      case 0:
        if (command->second.in.open()) ignore(::read(command->second.in.get(), buffer, sizeof buffer));
        break;
      case 1:
        if (command->second.out.open()) ignore(::write(command->second.out.get(), buffer, script.byte()));
        break;
      case 2:
        if (command->second.err.open()) ignore(::write(command->second.err.get(), buffer, script.byte()));
        break;
      case 3: command->second = {}; break;
      default:
        session.child_ended(command->first, script.byte());
        commands_.erase(command);
        break;
    }
  }

 private:
  static void ignore(ssize_t) {}
  static void connect(OwnedFd& theirs, OwnedFd& ours, bool we_read) {
    int ends[2];
    fuzz::require(::pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0);
    ours.reset(ends[we_read ? 0 : 1]);
    theirs.reset(ends[we_read ? 1 : 0]);
  }

  int root_;
  pid_t last_pid_ = 0;
  /// The services that run, with the ends of pipes that they write to.
  std::map<pid_t, int> service_outputs_;
  Services services_;
  std::map<pid_t, Command> commands_;
};

/// The host's half: everything guestd says must make sense, whatever it was told.
class Listener {
 public:
  void expect(const wire::Nonce& nonce) { reader_.emplace(nonce); }
  void hear(std::string_view bytes) {
    if (!reader_) return;
    reader_->input().append(bytes);
    for (;;) {
      const wire::HostReader::Event event = reader_->next();
      fuzz::require(event.kind != wire::HostReader::Event::Kind::Broken);
      if (event.kind == wire::HostReader::Event::Kind::Starved) return;
    }
  }

 private:
  std::optional<wire::HostReader> reader_;
};

void take(Session& session, Listener& listener, bool clean, std::size_t most) {
  const std::string_view said = session.output().view();
  const std::size_t taken = std::min(said.size(), most);
  if (clean) listener.hear(said.substr(0, taken));
  session.output().consume(taken);
}

void run(fuzz::Script script, Folder& folder) {
  Loop loop;
  HarmlessMachine machine{loop, folder.root()};
  Session session{machine, loop};
  Listener listener;
  wire::Seal seal;
  bool clean = true;  // what was sent so far is well-formed, so that guestd is where we think it is
  while (!script.done()) {
    std::string bytes;
    switch (script.byte() % 8) {
      case 0: {
        const wire::Nonce nonce = fuzz::nonce_of(script.byte());
        wire::append_preamble(bytes, nonce, 0);
        seal = wire::Seal{nonce};
        if (clean) listener.expect(nonce);
        break;
      }
      case 1:
      case 2:
      case 3: script.append_frame(bytes, seal); break;
      case 4:
        bytes = script.bytes();
        clean = clean && bytes.empty();
        break;
      case 5:
        machine.act(session, script);
        machine.act_as_service(script);
        loop.run_once(0);
        machine.services().tick();
        session.tick();
        break;
      case 6:
        session.end();
        clean = true;
        listener = {};
        break;
      default:
        take(session, listener, clean, script.byte() * 257U);
        session.pump();
        break;
    }
    session.input().append(bytes);
    session.received();
    // What waits to be sent is bounded: a window of bulk data, one frame more, and the answers to one input.
    fuzz::require(session.output().view().size() < (std::size_t{512} << 10) + 64 * bytes.size());
    if (session.output().view().size() > std::size_t{256} << 10)
      take(session, listener, clean, session.output().view().size());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  // As guestd itself does: commands that read no more are an error of write().
  std::signal(SIGPIPE, SIG_IGN);
  static Folder folder;
  run(fuzz::Script{{reinterpret_cast<const char*>(data), size}}, folder);
  folder.check_and_empty();
  return 0;
}
