#include "net/pool.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <csignal>
#include <set>
#include <string>

#include "fireclaw/error.hpp"
#include "net/boot.hpp"
#include "sys/fd.hpp"
#include "sys/file.hpp"

using namespace fireclaw;
using namespace fireclaw::net;

namespace {

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "fireclaw-pool-"};
  std::filesystem::path file = folder.path() / "ip-pool.json";

  [[nodiscard]] AddressPool pool(const std::string& subnet = "172.16.0.0/24",
                                 const std::string& gateway = "172.16.0.1") const {
    return {file, InterfaceName{"fcbr0"}, Ipv4Network::parse(subnet), Ipv4Address::parse(gateway)};
  }
};

/// A process that does nothing until it is killed.
class Sleeper {
 public:
  Sleeper() : pid_{::fork()} {
    if (pid_ == 0) {
      for (;;) ::pause();
    }
    id_ = sys::identify(pid_).value();
  }
  ~Sleeper() { kill(); }
  [[nodiscard]] sys::ProcessId id() const { return id_; }
  void kill() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

 private:
  pid_t pid_;
  sys::ProcessId id_;
};

std::string message_of(const std::function<void()>& action, ErrorCode code) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  FAIL("nothing was thrown");
  return {};
}

}  // namespace

TEST_CASE("a lease has an address of the subnet, the MAC that belongs to it, and a tap name") {
  const Fixture f;
  auto pool = f.pool();
  const auto lease = pool.allocate(sys::current_process(), "run-1").lease;
  CHECK(lease.address == Ipv4Address::parse("172.16.0.2"));
  CHECK(lease.mac().to_string() == "02:fc:ac:10:00:02");
  CHECK(lease.run == "run-1");
  CHECK(lease.tap.str().starts_with("fcbr0-"));
  CHECK(pool.list() == std::vector{lease});
  CHECK(f.pool().list() == std::vector{lease});
}

TEST_CASE("a returned address is the last to be handed out again") {
  const Fixture f;
  auto pool = f.pool();
  const auto first = pool.allocate(sys::current_process(), "a").lease.address;
  CHECK(pool.release(first, "a"));
  CHECK_FALSE(pool.release(first, "a"));
  std::set<Ipv4Address> given;
  for (std::size_t i = 0; i + 1 < pool.size(); ++i)
    given.insert(pool.allocate(sys::current_process(), "b").lease.address);
  CHECK(given.size() == pool.size() - 1);
  CHECK_FALSE(given.contains(first));
  CHECK(pool.allocate(sys::current_process(), "c").lease.address == first);
}

TEST_CASE("only the run that holds an address can return or transfer it") {
  const Fixture f;
  auto pool = f.pool();
  const auto lease = pool.allocate(sys::current_process(), "mine").lease;
  CHECK_FALSE(pool.release(lease.address, "theirs"));
  message_of([&] { pool.transfer(lease.address, "theirs", sys::current_process()); }, ErrorCode::NotFound);
  CHECK(pool.list().size() == 1);
}

TEST_CASE("the end of the pool is an error that says how many are held and what to do") {
  const Fixture f;
  auto pool = f.pool("10.0.0.0/29", "10.0.0.1");
  CHECK(pool.size() == 5);
  for (int i = 0; i < 5; ++i) pool.allocate(sys::current_process(), "run");
  const auto text = message_of([&] { pool.allocate(sys::current_process(), "one too many"); }, ErrorCode::InvalidState);
  CHECK(text.find("all 5 addresses of 10.0.0.0/29") != std::string::npos);
  CHECK(text.find("larger subnet") != std::string::npos);
}

TEST_CASE("a wanted address is given if it is free, and refused with its holder's name if not") {
  const Fixture f;
  auto pool = f.pool();
  const auto wanted = Ipv4Address::parse("172.16.0.77");
  CHECK(pool.allocate(sys::current_process(), "agent", wanted).lease.address == wanted);
  // A machine that asks for no address still gets the next one.
  CHECK(pool.allocate(sys::current_process(), "a").lease.address == Ipv4Address::parse("172.16.0.2"));
  CHECK(message_of([&] { pool.allocate(sys::current_process(), "b", wanted); }, ErrorCode::AlreadyExists)
            .find("'agent'") != std::string::npos);
  for (const auto* outside : {"172.16.0.0", "172.16.0.1", "172.16.0.255", "172.16.1.2"}) {
    CAPTURE(outside);
    message_of([&] { pool.allocate(sys::current_process(), "b", Ipv4Address::parse(outside)); },
               ErrorCode::InvalidArgument);
  }
}

TEST_CASE("the lease of a killed holder comes back, with what has to be cleaned up after it") {
  const Fixture f;
  auto pool = f.pool("10.0.0.0/30", "10.0.0.1");
  Sleeper holder;
  const auto lost = pool.allocate(holder.id(), "lost").lease;
  CHECK(pool.reclaim().empty());
  holder.kill();
  SUBCASE("when asked to") {
    CHECK(pool.reclaim() == std::vector{lost});
    CHECK(pool.reclaim().empty());
    CHECK(pool.list().empty());
  }
  SUBCASE("when the pool has run out") {
    const auto next = pool.allocate(sys::current_process(), "next");
    CHECK(next.lease.address == lost.address);
    CHECK(next.lease.tap != lost.tap);
    CHECK(next.reclaimed == std::vector{lost});
  }
  SUBCASE("when its very address is wanted") {
    CHECK(pool.allocate(sys::current_process(), "next", lost.address).reclaimed == std::vector{lost});
  }
}

TEST_CASE("a holder whose pid was given to another process counts as gone") {
  const Fixture f;
  auto pool = f.pool();
  auto id = sys::current_process();
  id.start_time -= 1;
  pool.allocate(id, "before");
  CHECK(pool.reclaim().size() == 1);
}

TEST_CASE("a transferred lease ends with its new holder") {
  const Fixture f;
  auto pool = f.pool();
  Sleeper starter;
  Sleeper engine;
  const auto lease = pool.allocate(starter.id(), "agent").lease;
  pool.transfer(lease.address, "agent", engine.id());
  starter.kill();
  CHECK(pool.reclaim().empty());
  engine.kill();
  CHECK(pool.reclaim().size() == 1);
}

TEST_CASE("200 addresses given to 8 processes at once are 200 different ones") {
  const Fixture f;
  constexpr int processes = 8;
  constexpr int each = 25;
  auto results = sys::make_pipe();
  std::vector<pid_t> children;
  for (int child = 0; child < processes; ++child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      int status = 1;
      try {
        auto pool = f.pool();
        for (int i = 0; i < each; ++i) {
          // The parent holds them: they must outlive the child.
          const auto parent = sys::identify(::getppid()).value();
          const auto text = pool.allocate(parent, "child " + std::to_string(child)).lease.address.to_string() + "\n";
          sys::write_all(results.write.get(), text);
        }
        status = 0;
      } catch (const std::exception& error) {
        ::dprintf(2, "child %d: %s\n", child, error.what());
      }
      ::_exit(status);
    }
    children.push_back(pid);
  }
  for (const auto pid : children) {
    int status = -1;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
  }
  { const auto closed = std::move(results.write); }
  std::string text;
  std::array<std::byte, 4096> buffer{};
  for (std::ptrdiff_t got = 0; (got = sys::read_some(results.read.get(), buffer)) > 0;) {
    text.append(reinterpret_cast<const char*>(buffer.data()), static_cast<std::size_t>(got));
  }
  std::set<std::string> different;
  int given = 0;
  for (std::size_t at = 0; at < text.size(); ++given) {
    const auto end = text.find('\n', at);
    different.insert(text.substr(at, end - at));
    at = end + 1;
  }
  CHECK(given == processes * each);
  CHECK(different.size() == processes * each);
  CHECK(f.pool().list().size() == processes * each);
}

TEST_CASE("a file that is torn, foreign or contradicts itself is reported by its path and left alone") {
  const Fixture f;
  const std::string lease = R"({"address": "172.16.0.2", "run": "a", "tap": "fcbr0-1", "pid": 1, "start_time": 1})";
  const auto pool_file = [](const std::string& leases) {
    return R"({"schema": 1, "boot_id": "b", "subnet": "172.16.0.0/24", "next": "172.16.0.2", "leases": [)" + leases +
           "]}";
  };
  std::string content;
  SUBCASE("empty") {}
  SUBCASE("torn") { content = pool_file(lease).substr(0, 60); }
  SUBCASE("not JSON") { content = "hello\n"; }
  SUBCASE("another version") { content = R"({"schema": 2, "leases": []})"; }
  SUBCASE("a field too many") {
    content = R"({"schema": 1, "boot_id": "b", "subnet": "172.16.0.0/24", "next": "172.16.0.2", "leases": [], "x": 1})";
  }
  SUBCASE("an address that is none") {
    content = pool_file(R"({"address": "x", "run": "a", "tap": "fcbr0-1", "pid": 1, "start_time": 1})");
  }
  SUBCASE("a tap that is none") {
    content = pool_file(R"({"address": "172.16.0.2", "run": "a", "tap": "../x", "pid": 1, "start_time": 1})");
  }
  SUBCASE("one address twice") { content = pool_file(lease + ", " + lease); }
  sys::write_file_atomic(f.file, content);
  auto pool = f.pool();
  for (const auto& action : std::vector<std::function<void()>>{[&] { (void)pool.list(); }, [&] { pool.reclaim(); },
                                                               [&] { pool.allocate(sys::current_process(), "x"); }}) {
    CHECK(message_of(action, ErrorCode::Corrupt).find(f.file.string()) != std::string::npos);
  }
  CHECK(sys::read_file(f.file) == content);
}

TEST_CASE("the subnet can be changed once nothing is on loan") {
  const Fixture f;
  auto before = f.pool();
  const auto lease = before.allocate(sys::current_process(), "a").lease;
  auto after = f.pool("10.9.0.0/24", "10.9.0.1");
  CHECK(
      message_of([&] { after.allocate(sys::current_process(), "b"); }, ErrorCode::InvalidState).find("172.16.0.0/24") !=
      std::string::npos);
  before.release(lease.address, "a");
  CHECK(after.allocate(sys::current_process(), "b").lease.address == Ipv4Address::parse("10.9.0.2"));
}

TEST_CASE("leases end with the boot they were given in") {
  const Fixture f;
  auto pool = f.pool();
  pool.allocate(sys::current_process(), "a");
  auto text = sys::read_file(f.file);
  const auto at = text.find("boot_id");
  const auto start = text.find('"', text.find(':', at)) + 1;
  text.replace(start, text.find('"', start) - start, "00000000-0000-0000-0000-000000000000");
  sys::write_file_atomic(f.file, text);
  CHECK(pool.list().empty());
  CHECK(pool.allocate(sys::current_process(), "b").reclaimed.empty());
  CHECK(pool.list().size() == 1);
}

TEST_CASE("a file torn by a power failure is set aside, with a warning, and the pool continues") {
  const Fixture f;
  const std::string torn = R"({"schema": 1, "boot_id": "b", "sub)";
  sys::write_file_atomic(f.file, torn);
  std::filesystem::last_write_time(f.file, std::filesystem::file_time_type::clock::now() - std::chrono::years{20});
  std::vector<std::string> warnings;
  AddressPool pool{f.file, InterfaceName{"fcbr0"}, Ipv4Network::parse("172.16.0.0/24"),
                   Ipv4Address::parse("172.16.0.1"), Logger{[&](LogLevel level, std::string_view message) {
                     CHECK(level == LogLevel::Warning);
                     warnings.emplace_back(message);
                   }}};
  CHECK(pool.allocate(sys::current_process(), "a").lease.address == Ipv4Address::parse("172.16.0.2"));
  REQUIRE(warnings.size() == 1);
  CHECK(warnings.front().find(f.file.string() + ".torn") != std::string::npos);
  CHECK(sys::read_file(f.file.string() + ".torn") == torn);
  CHECK(pool.list().size() == 1);
}

TEST_CASE("a file that was written since this machine started is not taken for an older one, however old it is") {
  const Fixture f;
  sys::write_file_atomic(f.file, "{");
  timespec wall{};
  timespec since_boot{};
  REQUIRE(::clock_gettime(CLOCK_REALTIME, &wall) == 0);
  REQUIRE(::clock_gettime(CLOCK_BOOTTIME, &since_boot) == 0);
  const auto written = [&](time_t after_boot) {
    const timespec times[2]{{0, UTIME_OMIT}, {wall.tv_sec - since_boot.tv_sec + after_boot, 0}};
    REQUIRE(::utimensat(AT_FDCWD, f.file.c_str(), times, 0) == 0);
  };
  written(since_boot.tv_sec > 10 ? 5 : 0);
  CHECK_FALSE(written_before_boot(f.file));
  CHECK(message_of([&] { static_cast<void>(f.pool().list()); }, ErrorCode::Corrupt).find(f.file.string()) !=
        std::string::npos);
  written(-5);
  CHECK(written_before_boot(f.file));
  CHECK(f.pool().list().empty());
}
