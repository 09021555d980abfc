#include "state/settings/secrets.hpp"

#include <doctest/doctest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

namespace {

struct Home {
  sys::TempDir folder{std::filesystem::temp_directory_path(), "secrets-"};
  std::filesystem::path file = folder.path() / "secrets.json";
  state::SecretStore store{file, folder.path() / "lock"};
};

ErrorCode code_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(std::string{error.what()}.find("hunter2") == std::string::npos);
    return error.code();
  }
  FAIL("nothing was refused");
  return ErrorCode::Internal;
}

}  // namespace

TEST_CASE("secrets are kept by name in a file for the owner alone") {
  const Home home;
  CHECK(home.store.read().empty());
  home.store.set("openai", "hunter2");
  home.store.set("other", "x y");
  home.store.set("openai", "hunter3");
  CHECK(home.store.read() == state::SecretStore::Secrets{{"openai", "hunter3"}, {"other", "x y"}});
  struct stat about {};
  REQUIRE(::stat(home.file.c_str(), &about) == 0);
  CHECK((about.st_mode & 07777) == 0600);
  CHECK(home.store.remove("openai"));
  CHECK_FALSE(home.store.remove("openai"));
  CHECK(home.store.read().size() == 1);
}

TEST_CASE("a file that others can read is refused, and so are names and values that cannot be") {
  const Home home;
  home.store.set("a", "hunter2");
  REQUIRE(::chmod(home.file.c_str(), 0640) == 0);
  CHECK(code_of([&] { static_cast<void>(home.store.read()); }) == ErrorCode::PermissionDenied);
  CHECK_THROWS_WITH(static_cast<void>(home.store.read()), doctest::Contains("(mode 640)"));
  REQUIRE(::chmod(home.file.c_str(), 0600) == 0);
  CHECK(code_of([&] { home.store.set("a/b", "hunter2"); }) == ErrorCode::InvalidArgument);
  CHECK(code_of([&] { home.store.set("a", "hunter2\nHost: evil"); }) == ErrorCode::InvalidArgument);
  CHECK(code_of([&] { home.store.set("a", ""); }) == ErrorCode::InvalidArgument);
}

TEST_CASE("a file that another program wrote is refused with what is wrong with it") {
  const Home home;
  for (const auto& [text, says] : {std::pair{R"({"schema": 2, "secrets": {}})", "schema"},
                                   std::pair{R"({"schema": 1, "secrets": {}, "more": 1})", "more"},
                                   std::pair{R"({"schema": 1, "secrets": {"a b": "x"}})", "cannot be a secret's"}}) {
    sys::write_file_atomic(home.file, text, 0600);
    CHECK_THROWS_WITH_AS(static_cast<void>(home.store.read()), doctest::Contains(says), Error);
  }
}

TEST_CASE("the longest name and the longest value are taken, and nothing longer") {
  const Home home;
  const std::string name(64, 'n');
  const std::string value(8192, '~');
  home.store.set(name, value);
  CHECK(home.store.read() == state::SecretStore::Secrets{{name, value}});
  CHECK(code_of([&] { home.store.set(name + "n", value); }) == ErrorCode::InvalidArgument);
  CHECK(code_of([&] { home.store.set(name, value + "~"); }) == ErrorCode::InvalidArgument);
  CHECK(code_of([&] { home.store.set(name, "hunter2\x7f"); }) == ErrorCode::InvalidArgument);
}
