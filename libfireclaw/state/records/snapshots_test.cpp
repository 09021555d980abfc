#include "state/records/snapshots.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "fireclaw/error.hpp"
#include "state/testing/error_text.hpp"

using namespace fireclaw;
using state::testing::error_text;

namespace {

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "snapshots-test-"};
  std::filesystem::path directory = folder.path() / "snapshots";
  state::SnapshotStore store{directory, folder.path() / "locks", {}};

  Fixture() {
    std::filesystem::create_directory(directory);
    std::filesystem::create_directory(folder.path() / "locks");
  }

  [[nodiscard]] state::SnapshotDraft draft(const std::string& name, const std::string& state = "device state") const {
    auto made = store.begin(name, Deadline::after(std::chrono::seconds{5}));
    std::ofstream{made.files().state} << state;
    std::ofstream{made.files().memory} << "memory";
    return made;
  }
};

state::SnapshotRecord a_record(const std::string& name) {
  state::SnapshotRecord record;
  record.name = name;
  record.key = {"qemu 7.2 tcg", "digest", 1, 128, "none", "scratch=67108864", "agent-1"};
  record.engine = "qemu-tcg";
  record.image = "busybox";
  record.created = std::chrono::system_clock::time_point{std::chrono::milliseconds{1'700'000'000'123}};
  return record;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a published snapshot is found with its files") {
  const auto published = store.publish(draft("one"), a_record("one"), false);
  CHECK(published.state_bytes == 12);
  CHECK(published.memory_bytes == 6);
  CHECK(store.find("one") == published);
  CHECK(store.files(published).memory == directory / "one/memory");
  CHECK(store.names() == std::vector<std::string>{"one"});
  CHECK(store.bytes_on_disk("one") > 0);
}

TEST_CASE_FIXTURE(Fixture, "a draft is seen by nobody and vanishes with its maker") {
  {
    const auto unfinished = draft("one");
    CHECK(store.names().empty());
    CHECK_FALSE(store.find("one"));
    CHECK(store.remove_unfinished().empty());
  }
  CHECK(std::filesystem::is_empty(directory));
}

TEST_CASE_FIXTURE(Fixture, "a leftover draft is removed once its maker is gone") {
  std::vector<std::string> whole;
  for (const auto* name : {"draft-one", "b", "c", "d", "e", "f"}) {
    store.publish(draft(name), a_record(name), false);
    whole.emplace_back(name);
  }
  std::filesystem::create_directory(directory / ".draft-my-name-abcdef");
  std::filesystem::create_directory(directory / ".of-somebody-else");
  CHECK(store.remove_unfinished() == std::vector{directory / ".draft-my-name-abcdef"});
  CHECK_FALSE(std::filesystem::exists(directory / ".draft-my-name-abcdef"));
  CHECK(std::filesystem::exists(directory / ".of-somebody-else"));
  std::ranges::sort(whole);
  CHECK(store.names() == whole);
}

TEST_CASE_FIXTURE(Fixture, "a name is taken until it is replaced or removed") {
  store.publish(draft("one"), a_record("one"), false);
  CHECK(error_text([&] { store.publish(draft("one"), a_record("one"), false); }).starts_with("already_exists"));
  const auto replaced = store.publish(draft("one", "another state"), a_record("one"), true);
  CHECK(store.find("one") == replaced);
  CHECK(replaced.state_bytes == 13);
  store.remove("one");
  CHECK_FALSE(store.find("one"));
  CHECK(error_text([&] { store.remove("one"); }).starts_with("not_found: no snapshot named 'one'"));
  CHECK(std::filesystem::is_empty(directory));
}

TEST_CASE_FIXTURE(Fixture, "two makers of one name take turns") {
  const auto first = draft("one");
  CHECK(error_text([&] {
          static_cast<void>(store.begin("one", Deadline::after(std::chrono::milliseconds{100})));
        }).starts_with("timeout"));
  CHECK_NOTHROW(static_cast<void>(store.begin("two", Deadline::after(std::chrono::seconds{5}))));
}

TEST_CASE_FIXTURE(Fixture, "files that are not what was saved are found out") {
  const auto record = store.publish(draft("one"), a_record("one"), false);
  std::ofstream{directory / "one/state"} << "device STATE";
  CHECK(error_text([&] { static_cast<void>(store.files(record)); }).find("is damaged") != std::string::npos);
  std::ofstream{directory / "one/memory"} << "mem";
  const auto text = error_text([&] { static_cast<void>(store.files(record)); });
  CHECK(text.starts_with("corrupt"));
  CHECK(text.find("6 bytes are expected, 3 are there") != std::string::npos);
}

TEST_CASE_FIXTURE(Fixture, "an agent's snapshot has its settings and its disks, and counts them") {
  auto unfinished = draft("one");
  std::ofstream{unfinished.disks().scratch} << "scratch";
  std::ofstream{unfinished.disks().workspace} << std::string(8192, 'w');
  auto record = a_record("one");
  state::AgentRecord agent;
  agent.name = "ada";
  agent.template_name = "worker";
  agent.model = "special";
  agent.network = "nat";
  record.agent = {agent, 7, 8192, 1000, 1001};
  const auto published = store.publish(std::move(unfinished), record, false);
  CHECK(store.find("one") == published);
  CHECK(store.find("one")->agent->agent == agent);
  CHECK(sys::read_file(store.disks(published).scratch) == "scratch");
  CHECK(store.bytes_on_disk("one") >= 8192 + sys::allocated_bytes(directory / "one/memory"));
  std::filesystem::resize_file(directory / "one/scratch", 6);
  CHECK(error_text([&] { static_cast<void>(store.disks(published)); }).starts_with("corrupt"));
  std::filesystem::resize_file(directory / "one/scratch", 7);
  auto without = published;
  without.agent->scratch_bytes = 0;
  CHECK_NOTHROW(static_cast<void>(store.disks(without)));
  std::filesystem::resize_file(directory / "one/workspace", 4096);
  CHECK(error_text([&] { static_cast<void>(store.disks(published)); }).starts_with("corrupt"));
  store.remove("one");
  CHECK(std::filesystem::is_empty(directory));
}

TEST_CASE_FIXTURE(Fixture, "a torn, foreign or misplaced manifest is reported with its path") {
  const auto record = store.publish(draft("one"), a_record("one"), false);
  const auto file = directory / "one/manifest.json";
  const auto whole = sys::read_file(file);
  for (const auto& content : {whole.substr(0, whole.size() / 2), std::string{R"({"schema": 2})"}, std::string{"{}"}}) {
    std::ofstream{file} << content;
    const auto text = error_text([&] { static_cast<void>(store.find("one")); });
    CHECK(text.starts_with("corrupt"));
    CHECK(text.find(file.native()) != std::string::npos);
  }
  std::filesystem::remove(file);
  CHECK(error_text([&] { static_cast<void>(store.find("one")); }).starts_with("corrupt"));
  std::ofstream{file} << whole;
  std::filesystem::rename(directory / "one", directory / "two");
  CHECK(error_text([&] { static_cast<void>(store.find("two")); }).starts_with("corrupt"));
}

TEST_CASE("the automatic name of a key stays: what is saved under it is found again") {
  state::SnapshotKey key{"engine", "digest", 1, 128, "none", "", ""};
  CHECK(state::automatic_name(key) == "auto-0a59bc05f2336189");
  key.drives = "scratch=8388608";
  key.prepared = "agent-1";
  CHECK(state::automatic_name(key) == "auto-3574b4428011a850");
}

TEST_CASE("the automatic name tells every part of the key apart") {
  const state::SnapshotKey key{"engine", "digest", 1, 128, "none", "scratch=8388608", ""};
  auto other = key;
  CHECK(state::automatic_name(other) == state::automatic_name(key));
  other.engine_identity = "x";
  CHECK(state::automatic_name(other) != state::automatic_name(key));
  other = key;
  other.image_digest = "x";
  CHECK(state::automatic_name(other) != state::automatic_name(key));
  other = key;
  other.cpus = 2;
  CHECK(state::automatic_name(other) != state::automatic_name(key));
  other = key;
  other.memory_mib = 129;
  CHECK(state::automatic_name(other) != state::automatic_name(key));
  other = key;
  other.network = "user";
  CHECK(state::automatic_name(other) != state::automatic_name(key));
  other = key;
  other.drives.clear();
  CHECK(state::automatic_name(other) != state::automatic_name(key));
  other = key;
  other.prepared = "agent-1";
  CHECK(state::automatic_name(other) != state::automatic_name(key));
}
