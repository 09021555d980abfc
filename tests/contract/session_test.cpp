// The engine together with what is inside a machine: the real guestd, behind the stand-in's vsock.
#include <doctest/doctest.h>

#include <thread>

#include "contract/engine_fixture.hpp"
#include "guest/session.hpp"
#include "sys/random.hpp"

namespace fireclaw::contract {
namespace {

using namespace std::chrono_literals;

struct GuestFixture : EngineFixture {
  GuestFixture() { set_knobs("guest=" FIRECLAW_GUESTD "\n"); }

  static guest::Session greet(vmm::Instance& instance, const std::string& hostname) {
    guest::Identity identity;
    identity.hostname = hostname;
    identity.machine_id = sys::random_hex(16);
    sys::random_bytes(identity.entropy);
    auto stream = instance.connect_guest(Deadline::after(10s), {});
    return guest::Session::open(std::move(stream.stream), std::move(stream.claim), identity, Deadline::after(10s));
  }
};

TEST_CASE_FIXTURE(GuestFixture, "a command runs in a cold machine, and shutting down ends the engine") {
  const auto instance = driver()->launch(spec("a"), soon());
  auto session = greet(*instance, "cold");
  const auto result = session.exec(ExecOptions::shell("echo out; echo err >&2; exit 3"));
  CHECK(result.exit_code == 3);
  CHECK(result.out == "out\n");
  CHECK(result.err == "err\n");
  session.shutdown(1s, Deadline::after(10s));
  CHECK(instance->wait_exit(Deadline::after(10s), {}));
  CHECK(instance->exit_reason() == "exited with status 0");
}

TEST_CASE_FIXTURE(GuestFixture, "commands run in clones side by side, and in the machine they came from") {
  const auto instance = driver()->launch(spec("a"), soon());
  {
    auto session = greet(*instance, "source");
    session.prepare_snapshot(Deadline::after(10s));
  }
  instance->snapshot(files(), Deadline::after(10s));
  constexpr int count = 4;
  std::vector<std::string> answers(count);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < count; ++i) {
      threads.emplace_back([&, i] {
        const std::string id = "clone-" + std::to_string(i);
        const auto clone = driver()->restore(spec(id), files(), soon());
        answers[static_cast<std::size_t>(i)] =
            greet(*clone, id).exec(ExecOptions::shell("echo from " + std::to_string(i))).out;
      });
    }
  }
  for (int i = 0; i < count; ++i) {
    CHECK(answers[static_cast<std::size_t>(i)] == "from " + std::to_string(i) + "\n");
  }
  instance->resume(Deadline::after(5s));
  CHECK(greet(*instance, "source").exec(ExecOptions::shell("echo on")).out == "on\n");
}

TEST_CASE_FIXTURE(GuestFixture, "a session notices that its machine was killed") {
  const auto instance = driver()->launch(spec("a"), soon());
  auto session = greet(*instance, "a");
  auto process = session.start(ExecOptions::shell("sleep 600"));
  std::jthread killer{[&] { instance->kill(); }};
  CHECK(failure([&] { (void)process.wait(); }) == ErrorCode::Guest);
}

}  // namespace
}  // namespace fireclaw::contract
