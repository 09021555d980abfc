#include "state/records/runs.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "state/records/run_policy.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

namespace {

state::RunRecord a_record() {
  state::RunRecord record;
  record.owner = sys::current_process();
  record.image = "busybox";
  record.image_digest = "0123";
  record.hostname = "fc-1";
  record.memory_mib = 128;
  record.network = "none";
  record.created = std::chrono::system_clock::time_point{std::chrono::milliseconds{1'700'000'000'123}};
  record.engine = "qemu-tcg";
  record.workspace = "notes";
  record.scratch_mib = 64;
  record.agent = "alice";
  record.machine = "dev";
  return record;
}

/// A process that has ended: nobody can have its identity again.
sys::ProcessId gone() {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/true"};
  auto child = sys::Child::spawn(spec);
  const auto id = child.id();
  child.wait(Deadline::never());
  return id;
}

sys::Child sleeper() {
  sys::SpawnSpec spec;
  spec.argv = {"/bin/sleep", "60"};
  return sys::Child::spawn(spec);
}

}  // namespace

TEST_CASE("a run's record is read back the same, also after an update") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  const state::RunStore store{folder.path(), {}};
  auto record = store.create(a_record());
  CHECK(record.id.size() == 16);
  CHECK(store.find(record.id) == record);
  record.nat = state::RunNetwork{"172.16.0.9",          "fcbr0-0a1b2c3d", "allowlist", {"192.0.2.0/24"},
                                 {"*.example.org"},     {"8080:80"},      false,       true,
                                 sys::ProcessId{77, 88}};
  record.nat->allow_http = {"*.example.org"};
  record.nat->http_proxy = "http://172.16.0.1:10080";
  record.configured = true;
  record.process = sys::current_process();
  record.paused = true;
  record.copier = gone();
  record.clock_late = true;
  CHECK(store.change(record.id, [&](state::RunRecord& now) { now = record; }) == record);
  CHECK(store.find(record.id) == record);
  CHECK(store.list() == std::vector{record});
  store.remove(record.id);
  CHECK_FALSE(store.find(record.id));
}

TEST_CASE("what the firewall is told of a machine is what its record says, and back") {
  state::RunNetwork record;
  record.address = "172.16.0.9";
  record.tap = "fcbr0-0a1b2c3d";
  record.egress = "allowlist";
  record.allow = {"192.0.2.0/24", "192.0.2.1:53/udp"};
  record.publish = {"8080:80/tcp"};
  record.mib_per_second = 7;
  for (const auto& [services, names, access] :
       {std::tuple{true, true, net::ServiceAccess::All}, std::tuple{false, true, net::ServiceAccess::Names},
        std::tuple{false, false, net::ServiceAccess::None}}) {
    record.services = services;
    record.names = names;
    const auto policy = state::to_policy(record);
    CHECK(policy.services == access);
    CHECK(policy.allow.size() == 2);
    CHECK(policy.publish.size() == 1);
    CHECK(state::to_record(policy) == record);
  }
}

TEST_CASE("changes of one record by several processes at once are all kept") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  auto first = a_record();
  first.nat.emplace();
  const auto id = state::RunStore{folder.path(), {}}.create(first).id;
  constexpr int times = 200;
  const auto change = [&](auto what) {
    const state::RunStore store{folder.path(), {}};
    for (int i = 0; i < times; ++i) store.change(id, what);
  };
  // The owner that pauses and resumes, one who allows destinations, and one who renames.
  std::thread owner{change, [](state::RunRecord& now) {
                      now.paused = !now.paused;
                      ++now.scratch_mib;
                    }};
  std::thread allows{change, [](state::RunRecord& now) { now.nat->allow.push_back("192.0.2.1"); }};
  change([](state::RunRecord& now) { now.machine += 'x'; });
  owner.join();
  allows.join();
  const auto last = state::RunStore{folder.path(), {}}.find(id).value();
  CHECK(last.scratch_mib == first.scratch_mib + times);
  CHECK(last.nat->allow.size() == times);
  CHECK(last.machine == first.machine + std::string(times, 'x'));
}

TEST_CASE("a change that fails changes nothing, and a machine that has ended has nothing to change") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  const state::RunStore store{folder.path(), {}};
  const auto record = store.create(a_record());
  CHECK_THROWS_AS(store.change(record.id,
                               [](state::RunRecord& now) {
                                 now.paused = true;
                                 throw Error{ErrorCode::Io, "no"};
                               }),
                  Error);
  CHECK(store.find(record.id) == record);
  store.remove(record.id);
  CHECK_THROWS_WITH(store.change(record.id, [](state::RunRecord&) {}),
                    fmt::format("VM {} has ended", record.id).c_str());
  CHECK_FALSE(std::filesystem::exists(store.directory(record.id)));
}

TEST_CASE("runs are listed oldest first") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  const state::RunStore store{folder.path(), {}};
  auto young = a_record();
  young.created += std::chrono::hours{1};
  young = store.create(young);
  const auto old = store.create(a_record());
  std::filesystem::copy(store.directory(old.id), folder.path() / "not-a-run");
  CHECK(store.list() == std::vector{old, young});
}

TEST_CASE("a record that cannot be read is said when records are listed, and one that is gone is not") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  std::vector<std::string> warnings;
  const state::RunStore store{folder.path(),
                              Logger{[&](LogLevel, std::string_view text) { warnings.emplace_back(text); }}};
  std::filesystem::create_directory(store.directory("0123456789abcdef"));
  CHECK(store.list().empty());
  CHECK(warnings.empty());
  std::ofstream{store.directory("0123456789abcdef") / "run.json"} << "{";
  CHECK(store.list().empty());
  CHECK(warnings.size() == 1);
}

TEST_CASE("a second machine with the same id is not made, and leaves nothing") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  const state::RunStore store{folder.path(), {}};
  auto record = store.create(a_record());
  const auto first = record;
  record.hostname = "another";
  CHECK_THROWS_AS(store.create(record), Error);
  CHECK(store.list() == std::vector{first});
  CHECK(std::ranges::distance(std::filesystem::directory_iterator{folder.path()}) == 1);
  // Nor while it is being made.
  const auto busy =
      folder.path() / fmt::format(".new-{}-{}-0123456789abcdef", record.owner.pid, record.owner.start_time);
  std::filesystem::create_directory(busy);
  record.id = "0123456789abcdef";
  CHECK_THROWS_WITH(store.create(record), doctest::Contains("exists already"));
  CHECK(std::filesystem::exists(busy));
}

TEST_CASE("texts that are not an id are refused and never become paths") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  const state::RunStore store{folder.path(), {}};
  for (const auto& id : {std::string{}, std::string{"../x"}, std::string(300, 'a'), std::string{"0123456789ABCDEF"}}) {
    CHECK_THROWS_AS(store.find(id), Error);
  }
}

TEST_CASE("a machine is garbage once nobody owns it any more") {
  auto record = a_record();
  CHECK_FALSE(state::is_garbage(record));
  CHECK_FALSE(state::is_running(record));
  record.owner = gone();
  CHECK(state::is_garbage(record));

  auto engine = sleeper();
  record.process = engine.id();
  CHECK(state::is_running(record));
  CHECK(state::is_garbage(record));
  record.detached = true;
  // Killed while it was starting the machine.
  CHECK(state::is_garbage(record));
  record.configured = true;
  CHECK_FALSE(state::is_garbage(record));
  record.detached = false;
  CHECK(state::is_garbage(record));
  record.detached = true;
  engine.kill();
  CHECK_FALSE(state::is_running(record));
  CHECK(state::is_garbage(record));
}

TEST_CASE("a process with the same number but another start is not the owner") {
  auto record = a_record();
  ++record.owner.start_time;
  CHECK(state::is_garbage(record));
}

TEST_CASE("what a creator left that was killed half way is removed, what a living one is making is not") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  const state::RunStore store{folder.path(), {}};
  const auto dead = gone();
  const auto alive = sys::current_process();
  const auto leftover = folder.path() / (".new-" + std::to_string(dead.pid) + "-" + std::to_string(dead.start_time) +
                                         "-0123456789abcdef");
  const auto busy = folder.path() / (".new-" + std::to_string(alive.pid) + "-" + std::to_string(alive.start_time) +
                                     "-0123456789abcdef");
  std::filesystem::create_directory(leftover);
  std::filesystem::create_directory(busy);
  const auto odd = {folder.path() / ".new-", folder.path() / ".new-1", folder.path() / ".new-x-1-0123456789abcdef",
                    folder.path() / fmt::format(".new-{}-x-0123456789abcdef", alive.pid)};
  for (const auto& path : odd) std::filesystem::create_directory(path);
  std::filesystem::create_directory(folder.path() / "of-somebody-else");
  auto removed = store.remove_unfinished();
  std::vector expected{leftover};
  expected.insert(expected.end(), odd.begin(), odd.end());
  std::ranges::sort(removed);
  std::ranges::sort(expected);
  CHECK(removed == expected);
  for (const auto& path : expected) CHECK_FALSE(std::filesystem::exists(path));
  CHECK(std::filesystem::exists(busy));
  CHECK(std::filesystem::exists(folder.path() / "of-somebody-else"));
}

TEST_CASE("folders whose record a power failure emptied are removed, foreign ones are kept") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "runs-test-"};
  const state::RunStore store{folder.path(), {}};
  const auto whole = store.create(a_record());
  const auto empty = store.create(a_record());
  const auto foreign = store.create(a_record());
  const auto missing = store.create(a_record());
  std::ofstream{store.directory(empty.id) / "run.json"} << "";
  std::ofstream{store.directory(foreign.id) / "run.json"} << R"({"schema": 99})";
  std::filesystem::remove(store.directory(missing.id) / "run.json");
  std::filesystem::create_directory(folder.path() / "of-somebody-else");
  auto removed = store.remove_broken();
  std::ranges::sort(removed);
  std::vector expected{store.directory(empty.id), store.directory(missing.id)};
  std::ranges::sort(expected);
  CHECK(removed == expected);
  for (const auto& path : expected) CHECK_FALSE(std::filesystem::exists(path));
  CHECK(std::filesystem::exists(folder.path() / "of-somebody-else"));
  CHECK(std::filesystem::exists(store.directory(foreign.id)));
  CHECK(store.list() == std::vector{whole});
}
