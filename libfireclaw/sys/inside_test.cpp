#include "sys/inside.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "sys/file.hpp"
#include "sys/testing/namespace_keeper.hpp"
#include "sys/testing/support.hpp"

using namespace fireclaw;
using namespace fireclaw::sys;
using namespace fireclaw::sys::testing;

namespace {

std::string own_network() { return std::filesystem::read_symlink("/proc/self/ns/net").native(); }

}  // namespace

TEST_CASE("an action runs in the namespaces, as root of them, and this process stays where it is") {
  const Keeper keeper;
  const auto before = own_network();
  std::vector<std::string> heard;
  const auto nothing = run_inside(
      keeper.namespaces(),
      [](const Tell& tell) -> std::optional<Fd> {
        tell(own_network());
        tell(std::to_string(::geteuid()));
        return std::nullopt;
      },
      [&](std::string_view text) { heard.emplace_back(text); });
  CHECK_FALSE(nothing);
  CHECK(heard == std::vector<std::string>{keeper.network(), "0"});
  CHECK(own_network() == before);
}

TEST_CASE("a descriptor comes back, and so does an error with its code") {
  const Keeper keeper;
  const auto pipe = make_pipe();
  const auto copy =
      run_inside(keeper.namespaces(), [&](const Tell&) -> std::optional<Fd> { return duplicate(pipe.write.get()); });
  REQUIRE(copy);
  write_all(copy->get(), std::string_view{"x"});
  std::byte got{};
  CHECK(read_some(pipe.read.get(), {&got, 1}) == 1);
  const auto fail = [&](ErrorCode code, const std::string& text) {
    return error_of([&] {
      run_inside(keeper.namespaces(), [&](const Tell&) -> std::optional<Fd> { throw Error{code, text}; });
    });
  };
  for (const auto code : {ErrorCode::InvalidArgument, ErrorCode::AlreadyExists, ErrorCode::Internal}) {
    const auto error = fail(code, "port 80 is taken");
    CHECK(error.first == code);
    CHECK(error.second == "port 80 is taken");
  }
}

TEST_CASE("an action is not held up by what others here have locked, which stays locked") {
  const Keeper keeper;
  const TempDir folder = temp_dir();
  const auto path = folder.path() / "lock";
  std::optional<FileLock> held = FileLock::try_acquire(path, FileLock::Mode::Exclusive);
  REQUIRE(held);
  std::string locked;
  run_inside(
      keeper.namespaces(),
      [](const Tell& tell) -> std::optional<Fd> {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::directory_iterator{"/proc/self/fdinfo"}) {
          if (read_file(entry.path()).find("\nlock:") != std::string::npos) ++count;
        }
        tell(std::to_string(count));
        return std::nullopt;
      },
      [&](std::string_view text) { locked = text; });
  CHECK(locked == "0");
  CHECK_FALSE(FileLock::try_acquire(path, FileLock::Mode::Exclusive));
  held.reset();
  CHECK(FileLock::try_acquire(path, FileLock::Mode::Exclusive));
}

TEST_CASE("a child whose end is not waited for has done its work, lets go of standard output, and is reaped later") {
  const Keeper keeper;
  auto pipe = make_pipe();
  const auto output = duplicate(STDOUT_FILENO);
  check(::dup2(pipe.write.get(), STDOUT_FILENO), "dup2");
  pipe.write = open_file("/dev/null", O_WRONLY);
  std::vector<std::string> heard;
  {
    const auto child = run_inside_unwaited(
        keeper.namespaces(), [](const Tell& tell) { tell(own_network()); },
        [&](std::string_view text) { heard.emplace_back(text); });
    check(::dup2(output.get(), STDOUT_FILENO), "dup2");
    CHECK(heard == std::vector<std::string>{keeper.network()});
    std::byte end{};
    CHECK(read_some(pipe.read.get(), {&end, 1}) == 0);
  }
  CHECK(error_of([&] {
          static_cast<void>(run_inside_unwaited(keeper.namespaces(), [](const Tell&) {
            throw Error{ErrorCode::NotFound, "no table"};
          }));
        }) == std::pair{ErrorCode::NotFound, std::string{"no table"}});
}

TEST_CASE("an action that ends its process is an error, and a keeper that is gone is one too") {
  Keeper keeper;
  CHECK(error_of([&] {
          run_inside(keeper.namespaces(), [](const Tell&) -> std::optional<Fd> { ::_exit(3); });
        }).first == ErrorCode::Internal);
  keeper.end();
  CHECK(error_of([&] { static_cast<void>(keeper.namespaces()); }).first == ErrorCode::NotFound);
}

TEST_CASE("a program enters the namespaces before it runs, and has no capability in them") {
  const Keeper keeper;
  const auto namespaces = keeper.namespaces();
  const auto out = make_pipe();
  SpawnSpec spec;
  spec.argv = {"/bin/sh", "-c", "readlink /proc/self/ns/net; grep CapEff /proc/self/status"};
  spec.env = {"PATH=/usr/bin:/bin"};
  spec.fds = {{out.write.get(), 1}};
  spec.enter = {namespaces.user.get(), namespaces.network.get()};
  auto child = Child::spawn(spec);
  CHECK(child.wait(Deadline::never())->success());
  std::string text(1000, ' ');
  text.resize(static_cast<std::size_t>(read_some(out.read.get(), std::as_writable_bytes(std::span{text}))));
  CHECK(text == keeper.network() + "\nCapEff:\t0000000000000000\n");
}

TEST_CASE("a program that enters namespaces has what else there is of a sandbox, where there is no Landlock too") {
  const Keeper keeper;
  const auto namespaces = keeper.namespaces();
  const auto out = make_pipe();
  SpawnSpec spec;
  spec.argv = {"/bin/sh", "-c", "grep -E 'CapEff|NoNewPrivs' /proc/self/status"};
  spec.env = {"PATH=/usr/bin:/bin"};
  spec.fds = {{out.write.get(), 1}};
  spec.enter = {namespaces.user.get(), namespaces.network.get()};
  spec.sandbox.emplace();
  spec.sandbox->level = Confinement::Full;
  spec.sandbox->own_network = false;
  spec.sandbox->entries = program_entries("/bin/sh");
  for (const auto* shown : {"/usr/bin", "/proc"}) {
    spec.sandbox->entries.push_back({SandboxEntry::Kind::ReadOnly, shown});
  }
  auto child = Child::spawn(spec);
  CHECK(child.wait(Deadline::never())->success());
  std::string text(1000, ' ');
  text.resize(static_cast<std::size_t>(read_some(out.read.get(), std::as_writable_bytes(std::span{text}))));
  CHECK(text == "CapEff:\t0000000000000000\nNoNewPrivs:\t1\n");
}
