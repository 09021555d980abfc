#include "state/records/workspaces.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "fireclaw/error.hpp"
#include "state/testing/error_text.hpp"

using namespace fireclaw;
using state::testing::error_text;

namespace {

struct Fixture {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "workspaces-test-"};
  state::WorkspaceStore store{folder.path() / "workspaces", folder.path() / "locks"};

  Fixture() { std::filesystem::create_directory(folder.path() / "locks"); }

  static state::WorkspaceRecord a_record(const std::string& name) {
    return {name, std::chrono::system_clock::time_point{std::chrono::milliseconds{1'700'000'000'123}}, 1000,
            4294967295};
  }
  void make(const std::string& name) const {
    auto draft = store.draft(name);
    std::ofstream{draft.path() / "disk.ext4"} << "the disk";
    store.publish(std::move(draft), a_record(name));
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a workspace that was made is found with its disk, until it is removed") {
  CHECK(store.names().empty());
  CHECK_FALSE(store.find("one"));
  make("one");
  make("two");
  CHECK(store.find("one") == a_record("one"));
  CHECK(store.names() == std::vector<std::string>{"one", "two"});
  CHECK(sys::read_file(store.disk("one")) == "the disk");
  CHECK(error_text([&] { make("one"); }).starts_with("already_exists"));
  store.remove("one");
  CHECK_FALSE(store.find("one"));
  CHECK(store.names() == std::vector<std::string>{"two"});
}

TEST_CASE_FIXTURE(Fixture, "a disk is swapped for another in one step") {
  make("one");
  const auto draft = store.draft("one");
  std::ofstream{draft.path() / "disk.ext4"} << "another disk";
  store.replace_disk("one", draft.path() / "disk.ext4");
  CHECK(sys::read_file(store.disk("one")) == "another disk");
}

TEST_CASE_FIXTURE(Fixture, "a draft is seen by nobody, and removed once its maker is gone") {
  auto draft = store.draft("my-name");
  CHECK(store.names().empty());
  {
    const auto lock = sys::FileLock::try_acquire(store.lock_file("my-name"), sys::FileLock::Mode::Exclusive);
    REQUIRE(lock);
    CHECK(store.remove_unfinished().empty());
  }
  CHECK(store.remove_unfinished() == std::vector{draft.path()});
  CHECK(std::filesystem::is_empty(folder.path() / "workspaces"));
}

TEST_CASE_FIXTURE(Fixture, "a torn, foreign, misplaced or missing record is reported with its path") {
  make("one");
  const auto file = store.directory("one") / "workspace.json";
  const auto whole = sys::read_file(file);
  for (const auto& content :
       {whole.substr(0, whole.size() / 2), std::string{}, std::string{R"({"schema": 2})"}, std::string{"{}"},
        std::string{R"({"schema": 1, "name": "one", "created_ms": 1, "uid": 4294967296, "gid": 1})"}}) {
    std::ofstream{file} << content;
    const auto text = error_text([&] { static_cast<void>(store.find("one")); });
    CHECK(text.starts_with("corrupt"));
    CHECK(text.find(file.native()) != std::string::npos);
  }
  std::filesystem::remove(file);
  CHECK(error_text([&] { static_cast<void>(store.find("one")); }).starts_with("corrupt"));
  std::ofstream{file} << whole;
  std::filesystem::rename(store.directory("one"), store.directory("two"));
  CHECK(error_text([&] { static_cast<void>(store.find("two")); }).starts_with("corrupt"));
}
