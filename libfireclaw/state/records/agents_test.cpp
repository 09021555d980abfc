#include "state/records/agents.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

namespace {

state::AgentRecord full_record() {
  state::AgentRecord record;
  record.name = "worker-2";
  record.template_name = "worker";
  record.model = "phi4-mini";
  record.persona = "You are \"brief\".\nAlways.";
  record.trigger = "hey";
  record.tools = false;
  record.cpus = 2;
  record.memory_mib = 512;
  record.network = "user";
  record.detached = false;
  record.publishes = false;
  record.phase = state::AgentPhase::Starting;
  record.copy = state::CopyStage::HasWorkspace;
  record.worker = sys::current_process();
  record.run = "0123456789abcdef";
  record.started = std::chrono::system_clock::time_point{std::chrono::milliseconds{1'700'000'000'123}};
  record.last_error = "none";
  return record;
}

}  // namespace

TEST_CASE("an agent's record is read back the same, with all or none of what is optional") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "agents-test-"};
  const state::AgentStore store{folder.path(), {}};
  const auto full = full_record();
  state::AgentRecord bare;
  bare.name = "a";
  bare.template_name = "quick";
  store.put(full);
  store.put(bare);
  CHECK(store.find("worker-2") == full);
  CHECK(store.find("a") == bare);
  CHECK(store.list() == std::vector{bare, full});
  store.remove("a");
  CHECK_FALSE(store.find("a"));
}

TEST_CASE("names that cannot be a nick, a host name and a file's name at once are refused") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "agents-test-"};
  const state::AgentStore store{folder.path(), {}};
  for (const auto& name : {std::string{}, std::string{"../x"}, std::string{"1st"}, std::string{"a b"},
                           std::string{"a."}, std::string{"end-"}, std::string{"caf\xc3\xa9"}, std::string(31, 'a')}) {
    CAPTURE(name);
    CHECK_THROWS_AS(static_cast<void>(store.find(name)), Error);
  }
  CHECK_FALSE(store.find(std::string(30, 'a')));
}

TEST_CASE("a torn or foreign record is reported by its path and stays as it is") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "agents-test-"};
  std::vector<std::string> warnings;
  const state::AgentStore store{folder.path(),
                                Logger{[&](LogLevel, std::string_view text) { warnings.emplace_back(text); }}};
  store.put(full_record());
  const auto file = folder.path() / "worker-2.json";
  const auto whole = sys::read_file(file);
  for (const auto& content : {whole.substr(0, whole.size() / 2), std::string{}, std::string{"{\"schema\": 7}"}}) {
    std::ofstream{file} << content;
    try {
      static_cast<void>(store.find("worker-2"));
      FAIL("read a broken record");
    } catch (const Error& problem) {
      CHECK(problem.code() == ErrorCode::Corrupt);
      CHECK(std::string_view{problem.what()}.find(file.native()) != std::string_view::npos);
    }
    warnings.clear();
    CHECK(store.list().empty());
    CHECK(warnings.size() == 1);
    CHECK(sys::read_file(file) == content);
  }
}

TEST_CASE("phases and stages are told by the same words as ever: records on disk have them") {
  using state::AgentPhase;
  using state::CopyStage;
  for (const auto& [phase, text] :
       std::vector<std::pair<AgentPhase, std::string>>{{AgentPhase::Starting, "starting"},
                                                       {AgentPhase::Running, "running"},
                                                       {AgentPhase::Restarting, "restarting"},
                                                       {AgentPhase::Stopping, "stopping"},
                                                       {AgentPhase::Stopped, "stopped"},
                                                       {AgentPhase::Crashed, "crashed"}}) {
    CHECK(state::to_string(phase) == text);
  }
  CHECK(state::to_string(CopyStage::Whole) == "whole");
  CHECK(state::to_string(CopyStage::Begun) == "begun");
  CHECK(state::to_string(CopyStage::HasWorkspace) == "has workspace");
}

TEST_CASE("a record that goes while records are listed is not news") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "agents-test-"};
  std::vector<std::string> warnings;
  const state::AgentStore store{folder.path(),
                                Logger{[&](LogLevel, std::string_view text) { warnings.emplace_back(text); }}};
  std::filesystem::create_symlink("gone", folder.path() / "ada.json");
  CHECK(store.list().empty());
  CHECK(warnings.empty());
}

TEST_CASE("a record under another agent's name is foreign") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "agents-test-"};
  const state::AgentStore store{folder.path(), {}};
  store.put(full_record());
  std::filesystem::rename(folder.path() / "worker-2.json", folder.path() / "other.json");
  CHECK_THROWS_AS(static_cast<void>(store.find("other")), Error);
}
