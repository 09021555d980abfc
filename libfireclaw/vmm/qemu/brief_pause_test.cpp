// Machines whose copy fails while they are paused, how a copy gets onto the disk, and QEMU's end. QEMU is played here:
// its control socket by a thread that keeps a machine's state, the process that takes the memory over by a small
// script.
#include <doctest/doctest.h>
#include <poll.h>

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "fireclaw/error.hpp"
#include "json/json.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"
#include "sys/socket.hpp"
#include "sys/testing/file_calls.hpp"
#include "sys/testing/outcome.hpp"
#include "vmm/qemu/argv.hpp"
#include "vmm/qemu/instance.hpp"

using namespace fireclaw;
using namespace fireclaw::vmm;
using namespace std::chrono_literals;
using sys::testing::code_of;
using sys::testing::error_of;

namespace {

/// The run state as QEMU has it around a migration, served to one client at a time.
class FakeQemu {
 public:
  enum class Sending { Succeeds, Fails, NeverEnds };

  explicit FakeQemu(const std::filesystem::path& socket) : listener_{sys::unix_listen(socket)} {
    thread_ = std::jthread{[this](const std::stop_token& stop) { run(stop); }};
  }

  /// How the next migration goes, and for how long QEMU is busy with it after its end has been told.
  void plan(Sending sending, std::chrono::milliseconds lingers) {
    const std::scoped_lock lock{mutex_};
    sending_ = sending;
    lingers_ = lingers;
  }
  std::string state() {
    const std::scoped_lock lock{mutex_};
    return now();
  }
  /// As if the process that had begun to send the machine's state had been killed.
  void stop_in_the_middle(std::chrono::milliseconds lingers) {
    const std::scoped_lock lock{mutex_};
    lingers_ = lingers;
    state_ = "finish-migrate";
    end_sending();
  }

 private:
  std::string now() {
    if (state_ == "finish-migrate" && ended_ && std::chrono::steady_clock::now() >= *ended_ + lingers_) {
      state_ = "postmigrate";
    }
    return state_;
  }
  void end_sending() { ended_ = std::chrono::steady_clock::now(); }

  void run(const std::stop_token& stop) {
    try {
      for (;;) serve(sys::unix_accept(listener_.get(), Deadline::never(), stop), stop);
    } catch (const Error&) {
      // The test is over.
    }
  }

  void serve(const sys::Fd& client, const std::stop_token& stop) {
    say(client, R"({"QMP": {}})");
    std::string line;
    for (;;) {
      sys::require_fd(client.get(), POLLIN, Deadline::never(), "a command", stop);
      std::array<std::byte, 1> byte{};
      if (sys::read_some(client.get(), byte) <= 0) return;
      if (static_cast<char>(byte[0]) != '\n') {
        line += static_cast<char>(byte[0]);
        continue;
      }
      const auto message = json::Value::parse(line, "command");
      line.clear();
      const std::scoped_lock lock{mutex_};
      handle(client, message.at("execute").as_string(), message.at("id").as_uint());
    }
  }

  void handle(const sys::Fd& client, const std::string& command, std::uint64_t number) {
    const auto answer = [&](const std::string& what) {
      say(client, "{" + what + ", \"id\": " + std::to_string(number) + "}");
    };
    const auto migration = [&](const std::string& status) {
      say(client, R"({"event": "MIGRATION", "data": {"status": ")" + status + "\"}}");
    };
    if (command == "cont" && now() == "finish-migrate") {
      return answer(R"("error": {"class": "GenericError", "desc": "Migration is not finalized yet"})");
    }
    if (command == "query-status") return answer(R"("return": {"status": ")" + now() + "\"}");
    if (command == "query-migrate") return answer(R"("return": {"error-desc": "Broken pipe"})");
    if (command == "stop") state_ = "paused";
    if (command == "cont") state_ = "running";
    answer("\"return\": {}");
    if (command == "migrate") {
      ended_.reset();
      state_ = "finish-migrate";
      migration("active");
      if (sending_ == Sending::NeverEnds) return;
      end_sending();
      migration(sending_ == Sending::Succeeds ? "completed" : "failed");
    } else if (command == "migrate_cancel") {
      end_sending();
      migration("cancelled");
    }
  }

  // Who has hung up hears nothing.
  static void say(const sys::Fd& client, const std::string& line) {
    try {
      sys::write_all(client.get(), line + "\r\n");
    } catch (const Error&) {
    }
  }

  sys::Fd listener_;
  std::mutex mutex_;
  Sending sending_ = Sending::Succeeds;
  std::chrono::milliseconds lingers_{0};
  std::string state_ = "running";
  std::optional<std::chrono::steady_clock::time_point> ended_;
  std::jthread thread_;
};

/// As the machine's process it only holds the machine's memory; as the one that takes it over it accepts what it is
/// asked to get ready with. Both end with the process that started them.
constexpr std::string_view script = R"(#!/bin/sh
[ $# = 0 ] && echo up >&4
for word; do
  [ "$word" = -incoming ] && for id in 1 2 3 4; do read -r line <&3; echo "{\"return\": {}, \"id\": $id}" >&3; done
done
read -r line <&3
)";

struct Fixture {
  sys::TempDir folder{"/tmp", "fireclaw-qemu-"};
  FakeQemu qemu{folder.path() / "qmp.sock"};
  sys::Pipe life = sys::make_pipe();
  std::unique_ptr<Instance> machine = start();

  std::unique_ptr<Instance> start() {
    const auto program = folder.path() / "qemu-system-x86_64";
    sys::write_file_atomic(program, script, 0755);
    const auto ram = sys::make_memfd("fireclaw-ram", 4096);
    sys::SpawnSpec spawn;
    spawn.argv = {program.string()};
    const auto up = sys::make_pipe();
    spawn.fds = {{life.read.get(), qemu::inherited::qmp},
                 {up.write.get(), qemu::inherited::guest},
                 {ram.get(), qemu::inherited::memory}};
    auto process = EngineProcess::start(spawn);
    sys::require_fd(up.read.get(), POLLIN, Deadline::after(10s), "the machine's process");
    return std::make_unique<qemu::QemuInstance>(qemu::InstanceParts{"qemu-tcg",
                                                                    std::move(process),
                                                                    {folder.path()},
                                                                    std::nullopt,
                                                                    std::nullopt,
                                                                    TextPipe::create(folder.path() / "log.pipe"),
                                                                    {.binary = program, .cpu_model = "max"}});
  }
  ErrorCode save(
      std::chrono::milliseconds limit, const std::function<void()>& copy_drives = [] {},
      const std::stop_token& stop = {}) {
    try {
      (void)machine->snapshot_running({folder.path() / "state", folder.path() / "memory"}, copy_drives,
                                      Deadline::after(limit), stop);
    } catch (const Error& error) {
      MESSAGE(std::string{error.what()});
      return error.code();
    }
    FAIL("nothing was thrown");
    return ErrorCode::Internal;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a machine continues whose state could not be sent, once QEMU lets it") {
  qemu.plan(FakeQemu::Sending::Fails, 200ms);
  CHECK(save(20s) == ErrorCode::Vmm);
  CHECK(qemu.state() == "running");
}

TEST_CASE_FIXTURE(Fixture, "a machine continues whose state took too long to send, once QEMU has given up") {
  qemu.plan(FakeQemu::Sending::NeverEnds, 200ms);
  CHECK(save(300ms) == ErrorCode::Timeout);
  CHECK(qemu.state() == "running");
}

TEST_CASE_FIXTURE(Fixture, "a machine continues when the time is over while QEMU is still busy with what was sent") {
  qemu.plan(FakeQemu::Sending::Succeeds, 800ms);
  CHECK(save(300ms) == ErrorCode::Timeout);
  CHECK(qemu.state() == "running");
}

TEST_CASE_FIXTURE(Fixture, "a machine continues whose drives could not be copied") {
  qemu.plan(FakeQemu::Sending::Succeeds, 100ms);
  std::string meanwhile;
  CHECK(save(20s, [&] {
          meanwhile = qemu.state();
          throw Error{ErrorCode::Io, "the disk is full"};
        }) == ErrorCode::Io);
  CHECK(meanwhile == "postmigrate");
  CHECK(qemu.state() == "running");
}

TEST_CASE_FIXTURE(Fixture, "a machine continues whose copy is called off, at once") {
  qemu.plan(FakeQemu::Sending::NeverEnds, 100ms);
  std::stop_source stop;
  std::jthread stopper{[&] {
    while (qemu.state() != "finish-migrate") std::this_thread::yield();
    stop.request_stop();
  }};
  const auto began = std::chrono::steady_clock::now();
  CHECK(save(
            60s, [] {}, stop.get_token()) == ErrorCode::Cancelled);
  CHECK(std::chrono::steady_clock::now() - began < 20s);
  CHECK(qemu.state() == "running");
}

TEST_CASE_FIXTURE(Fixture, "a machine continues that was left by somebody in the middle of sending it") {
  qemu.stop_in_the_middle(200ms);
  machine->resume(Deadline::after(10s));
  CHECK(qemu.state() == "running");
}

TEST_CASE_FIXTURE(Fixture,
                  "a machine's memory and state are on the disk before they have their names, the state last") {
  machine->pause(Deadline::after(10s));
  std::vector<std::string> lines;
  {
    const sys::testing::FileCalls calls{folder.path()};
    machine->snapshot({folder.path() / "state", folder.path() / "memory"}, Deadline::after(20s), {});
    lines = calls.lines_with({"state", "memory", "sync ."});
  }
  CHECK(lines == std::vector<std::string>{"create state.partial-*", "create memory.partial-*", "sync state.partial-*",
                                          "sync memory.partial-*", "rename memory.partial-* -> memory",
                                          "rename state.partial-* -> state", "sync ."});
  CHECK(sys::read_file(folder.path() / "memory") == std::string(4096, '\0'));
  CHECK(code_of([&] {
          machine->snapshot({folder.path() / "state", folder.path() / "other"}, Deadline::after(20s), {});
        }) == ErrorCode::AlreadyExists);
  CHECK(std::filesystem::exists(folder.path() / "state"));
  CHECK_FALSE(std::filesystem::exists(folder.path() / "other"));
}

TEST_CASE_FIXTURE(Fixture, "of a QEMU that has ended it is said how, whatever is asked of it") {
  machine->kill();
  const std::vector<std::function<void()>> questions{
      [&] { machine->pause(Deadline::after(10s)); },
      [&] { machine->resume(Deadline::after(10s)); },
      [&] {
        machine->snapshot({folder.path() / "state", folder.path() / "memory"}, Deadline::after(10s), {});
      },
      [&] { static_cast<void>(machine->connect_guest(Deadline::after(10s), {})); },
  };
  for (const auto& question : questions) {
    const auto [code, text] = error_of(question);
    CHECK(code == ErrorCode::Vmm);
    CHECK(text.find("QEMU was killed by signal 9") != std::string::npos);
  }
  CHECK_FALSE(std::filesystem::exists(folder.path() / "state"));
}
