#include "state/records/machines.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

namespace {

state::MachineRecord a_machine(const std::string& name, const std::string& key) {
  state::MachineRecord record;
  record.name = name;
  record.key = key;
  record.created = std::chrono::system_clock::time_point{std::chrono::milliseconds{1'700'000'000'123}};
  record.image = "busybox";
  record.cpus = 2;
  record.memory_mib = 256;
  record.network = "nat";
  record.egress = "allowlist";
  record.allow = {"192.0.2.0/24"};
  record.publish = {"8080:80"};
  record.services = "names";
  record.scratch_mib = 64;
  record.scratch_target = "/scratch";
  record.ttl = std::chrono::hours{1};
  record.idle = std::chrono::minutes{5};
  record.resumes_on_use = true;
  return record;
}

}  // namespace

TEST_CASE("a machine's record is read back the same") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "machines-test-"};
  const state::MachineStore store{folder.path() / "machines", {}};
  CHECK(store.list().empty());
  CHECK(store.find("dev") == std::nullopt);
  const auto record = a_machine("dev", "0123456789abcdef");
  store.put(record);
  CHECK(store.find("dev") == record);
  CHECK(store.list() == std::vector{record});
}

TEST_CASE("a machine's name is a host's, and not an id") {
  for (const auto* good : {"a", "z", "A", "Z", "dev", "Dev-2", "0", "0123456789abcde", "0123456789abcdefg"}) {
    CHECK_MESSAGE(state::is_machine_name(good), good);
  }
  for (const auto* bad : {"", "-a", "a-", "a.b", "a_b", "a b", "a/b", "0123456789abcdef", "\xc3\xa4"}) {
    CHECK_FALSE_MESSAGE(state::is_machine_name(bad), bad);
  }
  CHECK(state::is_machine_name(std::string(63, 'a')));
  CHECK_FALSE(state::is_machine_name(std::string(64, 'a')));
  const state::MachineStore store{"/nowhere", {}};
  CHECK_THROWS_AS(static_cast<void>(store.find("../x")), Error);
}

TEST_CASE("a renamed machine keeps its disk, and a removed one takes it along") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "machines-test-"};
  const state::MachineStore store{folder.path(), {}};
  const auto record = a_machine("dev", "0123456789abcdef");
  store.put(record);
  const auto disk = store.scratch_disk(record.key);
  std::ofstream{disk} << "data";
  store.rename(record, "prod");
  CHECK(store.find("dev") == std::nullopt);
  const auto renamed = store.find("prod");
  REQUIRE(renamed);
  CHECK(store.scratch_disk(renamed->key) == disk);
  CHECK(store.remove_unused_disks().empty());
  store.remove(*renamed);
  CHECK_FALSE(std::filesystem::exists(disk));
  CHECK(store.list().empty());
}

TEST_CASE("only disks of no machine are removed, and none while a record cannot be read") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "machines-test-"};
  std::vector<std::string> warnings;
  const state::MachineStore store{folder.path(),
                                  Logger{[&](LogLevel, std::string_view text) { warnings.emplace_back(text); }}};
  store.put(a_machine("dev", "0123456789abcdef"));
  const auto used = store.scratch_disk("0123456789abcdef");
  const auto unused = store.scratch_disk("fedcba9876543210");
  std::ofstream{used} << "data";
  std::ofstream{unused} << "data";
  std::ofstream{folder.path() / "torn.json"} << "{";
  // A record that goes meanwhile is of no machine.
  std::filesystem::create_symlink("gone", folder.path() / "ada.json");
  CHECK(store.list() == std::vector{a_machine("dev", "0123456789abcdef")});
  CHECK(warnings.size() == 1);
  CHECK(store.remove_unused_disks().empty());
  CHECK(warnings.size() == 2);
  CHECK(std::filesystem::exists(unused));
  std::filesystem::remove(folder.path() / "torn.json");
  CHECK(store.remove_unused_disks() == std::vector{unused});
  CHECK(std::filesystem::exists(used));
}

TEST_CASE("a record whose key or name does not fit its file is not read") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "machines-test-"};
  const state::MachineStore store{folder.path(), {}};
  // A key is a part of file names.
  for (const auto* key : {"", "../../etc/passwd", "0123456789ABCDEF", "0123456789abcdef0"}) {
    store.put(a_machine("dev", key));
    CAPTURE(key);
    CHECK_THROWS_AS(static_cast<void>(store.find("dev")), Error);
  }
  store.put(a_machine("dev", "0123456789abcdef"));
  std::filesystem::rename(folder.path() / "dev.json", folder.path() / "prod.json");
  CHECK_THROWS_AS(static_cast<void>(store.find("prod")), Error);
  CHECK(store.list().empty());
}
