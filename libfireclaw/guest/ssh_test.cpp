#include "guest/ssh.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <thread>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"
#include "sys/process.hpp"

using namespace fireclaw;
using namespace fireclaw::guest;
using namespace std::chrono_literals;

namespace {

constexpr const char* server_program = "/usr/sbin/sshd";

Deadline patience() { return Deadline::after(std::chrono::nanoseconds{20s}); }

/// A real OpenSSH server for one connection after the other, each on a socket pair of its own: no network is involved.
class Server {
 public:
  Server() : folder_{std::filesystem::temp_directory_path(), "ssh-test-"} {
    make_key("host");
    make_key("user");
    make_key("stranger");
    std::filesystem::copy_file(path("user.pub"), path("authorized"));
    // Where the server separates its privileges; Debian makes it when the service starts.
    std::error_code already;
    std::filesystem::create_directory("/run/sshd", already);
    std::ofstream{path("config")} << fmt::format(
        "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPidFile none\nLogLevel ERROR\n", path("host"),
        path("authorized"));
  }

  [[nodiscard]] std::string path(const std::string& name) const { return folder_.path() / name; }
  [[nodiscard]] std::string key(const std::string& name) const { return sys::read_file(path(name + ".pub")); }

  sys::Fd connect() {
    int ends[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
    sys::Fd ours{ends[0]};
    const sys::Fd theirs{ends[1]};
    sys::SpawnSpec spec;
    spec.argv = {server_program, "-i", "-e", "-f", path("config")};
    spec.env = {"PATH=/usr/bin:/bin"};
    spec.fds = {{theirs.get(), 0}, {theirs.get(), 1}};
    children_.push_back(sys::Child::spawn(spec));
    return ours;
  }

  SshSession open(const std::string& host_key = {}, const std::string& with = "user") {
    return SshSession::open(connect(), {"root", path(with), host_key}, patience());
  }

 private:
  void make_key(const std::string& name) {
    sys::ToolOptions options;
    options.search_path = {"/usr/bin"};
    sys::check_tool({"ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path(name)}, options);
  }
  sys::TempDir folder_;
  std::vector<sys::Child> children_;
};

std::string problem_of(auto&& act, ErrorCode code) {
  try {
    act();
  } catch (const Error& problem) {
    CHECK(problem.code() == code);
    return problem.what();
  }
  FAIL("nothing went wrong");
  return {};
}

}  // namespace

TEST_CASE("a word is quoted so that a shell gives it back unchanged") {
  sys::ToolOptions options;
  options.search_path = {"/bin"};
  for (const std::string word : {"", "plain", "two words", "it's", "$HOME `id` \"x\" \\", "new\nline", "*"}) {
    CHECK(sys::check_tool({"sh", "-c", "printf %s " + shell_quote(word)}, options).out == word);
  }
}

TEST_CASE("commands run with their own arguments, folder, environment, input and status") {
  Server server;
  auto session = server.open();
  CHECK(server.key("host").starts_with(session.host_key() + " "));
  ExecOptions options;
  options.argv = {"sh", "-c", "pwd; echo \"$1|$GREETING\"; cat; echo oops >&2; exit 42", "sh", "it's  one"};
  options.cwd = "/usr";
  options.env = {{"GREETING", "hello you"}};
  options.input = "from here\n";
  const auto done = session.exec(options);
  CHECK(done.exit_code == 42);
  CHECK(done.out == "/usr\nit's  one|hello you\nfrom here\n");
  CHECK(done.err == "oops\n");
  // One after the other on the same connection.
  CHECK(session.exec(ExecOptions::shell("echo again")).out == "again\n");
}

TEST_CASE("a signal that ends the command is reported as one") {
  Server server;
  auto session = server.open();
  const auto done = session.exec(ExecOptions::shell("kill -TERM $$"));
  CHECK(done.signal == SIGTERM);
  CHECK(done.exit_code == 128 + SIGTERM);
}

TEST_CASE("much output arrives whole, and no more is kept than was asked for") {
  Server server;
  auto session = server.open();
  auto options = ExecOptions::shell("head -c 3000000 /dev/zero | tr '\\0' x");
  CHECK(session.exec(options).out.size() == 3'000'000);
  options.max_output_bytes = 1000;
  const auto cut = session.exec(options);
  CHECK(cut.out.size() == 1000);
  CHECK(cut.truncated);
  std::size_t streamed = 0;
  options.on_stdout = [&](std::string_view bytes) { streamed += bytes.size(); };
  session.exec(options);
  CHECK(streamed == 3'000'000);
}

TEST_CASE("a large input is fed as fast as the command reads it") {
  Server server;
  auto session = server.open();
  auto options = ExecOptions::shell("wc -c");
  options.input.assign(3'000'000, 'x');
  CHECK(session.exec(options).out.find("3000000") != std::string::npos);
}

TEST_CASE("a timeout and a stop end the wait") {
  Server server;
  {
    auto session = server.open();
    auto options = ExecOptions::shell("sleep 60");
    options.timeout = 100ms;
    const auto done = session.exec(options);
    CHECK(done.timed_out);
    CHECK(done.duration < 10s);
  }
  auto session = server.open();
  std::stop_source source;
  auto options = ExecOptions::shell("echo begun; sleep 60");
  options.stop = source.get_token();
  options.on_stdout = [&](std::string_view) { source.request_stop(); };
  CHECK(session.exec(options).cancelled);
}

TEST_CASE("a shell with a terminal has the size it was given, and is told of another") {
  Server server;
  auto session = server.open();
  ExecOptions options;
  options.tty = true;
  options.window_size = {33, 111};
  options.input = "stty size; exit 3\n";
  const auto done = session.shell(options);
  CHECK(done.out.find("33 111") != std::string::npos);
  CHECK(done.exit_code == 3);

  ExecOptions watch;
  watch.argv = {"sh", "-c", "echo ready; while [ \"$(stty size)\" = '24 80' ]; do sleep 0.05; done; stty size"};
  watch.tty = true;
  std::string seen;
  watch.timeout = 20s;
  watch.on_stdout = [&](std::string_view bytes) {
    seen += bytes;
    if (seen.find("ready") != std::string::npos) session.resize({44, 99});
  };
  const auto watched = session.exec(watch);
  CAPTURE(seen);
  CHECK(watched.exit_code == 0);
  CHECK(seen.find("44 99") != std::string::npos);
}

TEST_CASE("a pinned host key must be met again") {
  Server server;
  const auto pinned = server.open().host_key();
  CHECK_NOTHROW(server.open(pinned));
  CHECK_NOTHROW(server.open(pinned + " a comment"));
  CHECK(
      problem_of([&] { server.open(server.key("stranger")); }, ErrorCode::PermissionDenied).find("another host key") !=
      std::string::npos);
}

TEST_CASE("a key that the guest does not know is refused") {
  Server server;
  problem_of([&] { server.open({}, "stranger"); }, ErrorCode::PermissionDenied);
}

TEST_CASE("files are written whole with their mode, whatever their name") {
  Server server;
  auto session = server.open();
  const auto target = server.path("it's a file");
  const std::string content = std::string{"\0\n\xff", 3} + std::string(100'000, 'y');
  session.write_file(target, content, 0640, patience());
  CHECK(sys::read_file(target) == content);
  CHECK((std::filesystem::status(target).permissions() & std::filesystem::perms::mask) ==
        static_cast<std::filesystem::perms>(0640));
  CHECK_FALSE(std::filesystem::exists(target + ".new"));
  CHECK(problem_of([&] { session.write_file("/no/such/folder/x", "y", 0600, patience()); }, ErrorCode::Guest)
            .find("/no/such/folder/x") != std::string::npos);
}

TEST_CASE("what does not speak SSH is found out") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  const sys::Fd silent{ends[1]};
  CHECK(problem_of(
            [&] {
              SshSession::open(sys::Fd{ends[0]}, {"root", "/nowhere", {}},
                               Deadline::after(std::chrono::nanoseconds{100ms}));
            },
            ErrorCode::Timeout) != "");
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  {
    const sys::Fd rude{ends[1]};
    sys::write_all(rude.get(), "220 mail.example ESMTP\r\n");
  }
  problem_of([&] { SshSession::open(sys::Fd{ends[0]}, {"root", "/nowhere", {}}, patience()); }, ErrorCode::Guest);
}

int main(int argc, char** argv) {
  if (::access(server_program, X_OK) != 0 || ::geteuid() != 0) {
    fmt::print("skipped: {}\n", ::geteuid() == 0 ? "openssh-server is not installed" : "an SSH server needs root here");
    return 77;
  }
  ::signal(SIGPIPE, SIG_IGN);
  return doctest::Context{argc, argv}.run();
}
