#include "gateway/records/refusals.hpp"

#include <doctest/doctest.h>
#include <poll.h>

#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "sys/file.hpp"
#include "sys/poll.hpp"

using namespace fireclaw;
using namespace std::chrono_literals;
using gateway::Client;
using gateway::RefusalLimits;
using gateway::Refusals;
using gateway::Refused;
using gateway::RefusedBy;

namespace {

class MovedClock final : public Clock {
 public:
  [[nodiscard]] std::chrono::steady_clock::time_point steady_now() const override {
    return std::chrono::steady_clock::time_point{1h + since};
  }
  [[nodiscard]] std::chrono::system_clock::time_point wall_now() const override {
    return std::chrono::system_clock::time_point{1h + since};
  }
  std::chrono::milliseconds since{0};
};

const Client ada{"ada", "1111222233334444", "ada", {}};
const Client web{"5555666677778888", "5555666677778888", {}, "web"};

Refused packet(std::string address, std::uint16_t port = 443) {
  return {.by = RefusedBy::Firewall,
          .protocol = "tcp",
          .address = std::move(address),
          .port = port,
          .rule = "allowlist",
          .reason = "is not on the machine's list"};
}

Refused name(std::string name) {
  return {.by = RefusedBy::Names, .name = std::move(name), .rule = "allowlist", .reason = "is not on the list"};
}

struct World {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "refusals-"};
  std::filesystem::path file = folder.path() / "network" / "refusals.jsonl";
  MovedClock clock;
  std::vector<std::string> problems;
  Logger logger{[this](LogLevel, std::string_view text) { problems.emplace_back(text); }};

  [[nodiscard]] auto lines(std::string_view about = {}, std::size_t most = 10000) const {
    return gateway::read_refusals(file, about, most);
  }
};

}  // namespace

TEST_CASE_FIXTURE(World, "what is refused is a line each, and found by machine, its name and its agent") {
  Refusals refusals{file, clock, logger};
  CHECK(lines().empty());
  refusals.add(ada, packet("203.0.113.7"));
  clock.since = 5s;
  refusals.add(web, name("example.org"));
  refusals.add(ada, name("example.net"));
  REQUIRE(lines().size() == 3);
  const auto first = lines().front();
  CHECK(first.machine == ada.machine);
  CHECK(first.agent == "ada");
  CHECK(first.what == packet("203.0.113.7"));
  CHECK(first.time == std::chrono::system_clock::time_point{1h});
  CHECK(lines("ada").size() == 2);
  CHECK(lines("web").front().what.name == "example.org");
  CHECK(lines(web.machine).size() == 1);
  CHECK(lines("nobody").empty());
  CHECK(lines("ada", 1).front().what.name == "example.net");
  CHECK(problems.empty());
}

TEST_CASE_FIXTURE(World, "the same refusal has one line a minute, and the next line says how many had none") {
  Refusals refusals{file, clock, logger};
  for (int i = 0; i < 100; ++i) refusals.add(ada, packet("203.0.113.7"));
  CHECK(lines().size() == 1);
  clock.since = 60s - 1ms;
  refusals.add(ada, packet("203.0.113.7"));
  CHECK(lines().size() == 1);
  clock.since = 60s;
  refusals.add(ada, packet("203.0.113.7"));
  REQUIRE(lines().size() == 2);
  CHECK(lines().back().unwritten == 100);
  refusals.add(ada, packet("203.0.113.7", 80));
  CHECK(lines().back().unwritten == 0);
}

TEST_CASE_FIXTURE(World, "a machine that floods has few lines, leaves those of others alone, and is counted") {
  Refusals refusals{file, clock, logger};
  constexpr int flood = 5000;
  for (int i = 0; i < flood; ++i) refusals.add(ada, name("data-" + std::to_string(i) + ".example.org"));
  CHECK(lines("ada").size() == 30);
  refusals.add(web, packet("203.0.113.7"));
  CHECK(lines("web").size() == 1);
  clock.since = 10s;
  for (int i = 0; i < flood; ++i) refusals.add(ada, packet("203.0.113.7", static_cast<std::uint16_t>(i + 1)));
  CHECK(lines("ada").size() == 35);
  const auto counts = refusals.counts();
  REQUIRE(counts.size() == 3);
  CHECK(counts[1] == gateway::RefusalCounts{"ada", "firewall", "allowlist", flood});
  CHECK(counts[2] == gateway::RefusalCounts{"ada", "names", "allowlist", flood});
  gateway::Status status;
  status.refused = counts;
  CHECK(gateway::to_metrics(status).find(R"(fireclaw_refused_total{agent="ada",by="names",rule="allowlist"} 5000)") !=
        std::string::npos);
}

TEST_CASE_FIXTURE(World, "two gateways write to one log, and no line is lost when it is put aside") {
  constexpr int rounds = 20;
  constexpr int each = 100;
  // Put aside once in a round: what is older than that may go.
  const RefusalLimits limits{.machine_lines = 1e9, .file_bytes = 20'000};
  for (int round = 0; round < rounds; ++round) {
    std::filesystem::remove_all(file.parent_path());
    // What was put aside is read by those who had it open.
    Refusals{file, clock, logger, limits}.add(web, name("first.example.org"));
    gateway::RefusalTail tail{file};
    std::latch together{2};
    const auto write = [&](const Client& client) {
      Refusals refusals{file, clock, logger, limits};
      together.arrive_and_wait();
      for (int i = 0; i < each; ++i) refusals.add(client, name(std::to_string(i) + ".example.org"));
    };
    std::thread other{write, web};
    write(ada);
    other.join();
    CHECK(lines("ada").size() == each);
    CHECK(lines("web").size() == each + 1);
    CHECK(std::filesystem::exists(file.native() + ".1"));
    CHECK(tail.read().size() == 2 * each);
  }
  CHECK(problems.empty());
}

TEST_CASE_FIXTURE(World, "the log does not outgrow two files") {
  const RefusalLimits limits{.machine_lines = 1e9, .file_bytes = 2000};
  Refusals refusals{file, clock, logger, limits};
  for (int i = 0; i < 1000; ++i) refusals.add(ada, name(std::to_string(i) + ".example.org"));
  std::uintmax_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator{file.parent_path()}) bytes += entry.file_size();
  CHECK(bytes < 5000);
  CHECK(lines().back().what.name == "999.example.org");
  CHECK(lines().size() > 5);
}

TEST_CASE_FIXTURE(World, "two that write one log keep it short together, and to the file that is current") {
  const RefusalLimits limits{.machine_lines = 1e9, .file_bytes = 2000};
  Refusals one{file, clock, logger, limits};
  Refusals other{file, clock, logger, limits};
  for (int i = 0; i < 1000; ++i) {
    const auto text = std::to_string(i);
    one.add(ada, name(text));
    REQUIRE(lines().back().what.name == text);
    other.add(web, packet("203.0.113.7", static_cast<std::uint16_t>(i + 1)));
    REQUIRE(lines().back().what.port == i + 1);
    REQUIRE(std::filesystem::file_size(file) < 2500);
  }
  CHECK(problems.empty());
}

TEST_CASE_FIXTURE(World, "what a guest wrote does nothing to the log but be in it") {
  Refusals refusals{file, clock, logger};
  refusals.add(ada, name("a\n{\"machine\":\"x\"}\x1b[2J\xff.example" + std::string(10000, 'a')));
  REQUIRE(lines().size() == 1);
  CHECK(lines().front().what.name.starts_with("a?{\"machine\":\"x\"}?[2J?.example"));
  CHECK(lines().front().what.name.size() < 300);
  auto torn = packet("203.0.113.7");
  torn.reason = "is not \x1b]0;x\a\n" + std::string(10000, 'b');
  refusals.add(ada, torn);
  REQUIRE(lines().size() == 2);
  CHECK(lines().back().what.reason.starts_with("is not ?]0;x??bbb"));
  CHECK(lines().back().what.reason.size() < 300);
}

TEST_CASE_FIXTURE(World, "a log that cannot be written is said once, and things are still counted") {
  sys::make_directories(file);
  Refusals refusals{file, clock, logger};
  for (int i = 0; i < 10; ++i) refusals.add(ada, name(std::to_string(i)));
  CHECK(problems.size() == 1);
  CHECK(refusals.counts().front().count == 10);
}

TEST_CASE_FIXTURE(World, "lines that are torn are passed over") {
  Refusals refusals{file, clock, logger};
  sys::make_directories(file.parent_path());
  sys::replace_file(file, "{\"time\":1,\"mach\n\n{}\n");
  refusals.add(ada, name("example.org"));
  CHECK(lines().size() == 1);
}

TEST_CASE_FIXTURE(World, "the tail of the log has what is written from then on, also over its change of files") {
  const RefusalLimits limits{.machine_lines = 1e9, .file_bytes = 400};
  Refusals refusals{file, clock, logger, limits};
  refusals.add(ada, name("before.example"));
  gateway::RefusalTail tail{file};
  CHECK(tail.read().empty());
  std::vector<std::string> seen;
  for (int i = 0; i < 20; ++i) {
    refusals.add(ada, name(std::to_string(i)));
    sys::require_fd(tail.fd(), POLLIN, Deadline::after(10s), "a line");
    for (const auto& line : tail.read()) seen.push_back(line.what.name);
  }
  REQUIRE(seen.size() == 20);
  CHECK(seen.front() == "0");
  CHECK(seen.back() == "19");
}
