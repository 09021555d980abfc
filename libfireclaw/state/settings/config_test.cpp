#include "state/settings/config.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

namespace {

EngineVerdict verdict(const std::string& engine, const std::string& kernel) {
  EngineVerdict made;
  made.engine = engine;
  made.binary = "/usr/bin/env";
  made.version = "1.2.3";
  made.cpu_model = "max";
  made.kernel_release = "6.1.0";
  made.kernel_sha256 = kernel;
  made.works = true;
  made.boot_time = std::chrono::milliseconds{42};
  return made;
}

ErrorCode code_of(const std::filesystem::path& file, std::string& text) {
  try {
    state::read_config(file);
  } catch (const Error& error) {
    text = error.what();
    return error.code();
  }
  FAIL("no error");
  return ErrorCode::Internal;
}

}  // namespace

TEST_CASE("a configuration that was written is read back the same") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "config-test-"};
  const auto file = folder.path() / "config.json";
  state::Config config;
  config.set_up_by = "0.1.0";
  config.engines.push_back(state::stamp(verdict("qemu-tcg", "aa")));
  config.engines.push_back(state::stamp(verdict("qemu-kvm", "aa")));
  config.engines.back().verdict.works = false;
  config.engines.back().verdict.reason = "it said \"no\"";
  config.confinement = sys::Confinable{};
  config.confinement->obstacle = "no namespaces";
  config.network.connections = 7;
  config.sandbox.required = true;
  config.limits.machines = 3;
  config.refuse_emulation = true;
  config.gateway = json::Value::parse(R"({"irc": {"upstreams": [{"name": "a", "host": "a"}]}})", "gateway");
  state::write_config(file, config);
  CHECK(state::read_config(file) == config);
}

TEST_CASE("a missing configuration means the defaults") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "config-test-"};
  CHECK(state::read_config(folder.path() / "config.json") == state::Config{});
}

TEST_CASE("a torn or foreign configuration is reported with its path and left alone") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "config-test-"};
  const auto file = folder.path() / "config.json";
  state::write_config(file, {});
  const auto whole = sys::read_file(file);
  for (const auto& content : {whole.substr(0, whole.size() / 2), std::string{}, std::string{"[1]"},
                              std::string{R"({"schema": 99, "set_up_by": "", "engines": []})"},
                              std::string{R"({"schema": 1, "set_up_by": 7, "engines": []})"}}) {
    std::ofstream{file} << content;
    std::string text;
    CHECK(code_of(file, text) == ErrorCode::Corrupt);
    CHECK(text.find("config.json") != std::string::npos);
    CHECK(sys::read_file(file) == content);
  }
}

TEST_CASE("a new verdict replaces the one on the same engine and kernel only") {
  state::Config config;
  state::put_verdict(config, state::stamp(verdict("qemu-tcg", "aa")));
  state::put_verdict(config, state::stamp(verdict("qemu-tcg", "bb")));
  auto newer = verdict("qemu-tcg", "aa");
  newer.works = false;
  state::put_verdict(config, state::stamp(newer));
  REQUIRE(config.engines.size() == 2);
  CHECK(config.engines[0].verdict.kernel_sha256 == "bb");
  CHECK(config.engines[1].verdict == newer);
}

TEST_CASE("a verdict no longer counts once its program has changed or gone") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "config-test-"};
  auto made = verdict("qemu-tcg", "aa");
  made.binary = folder.path() / "engine";
  std::ofstream{made.binary} << "one";
  const auto entry = state::stamp(made);
  CHECK(state::is_current(entry));
  std::ofstream{made.binary} << "another";
  CHECK_FALSE(state::is_current(entry));
  // As long as it was, but written at another time.
  std::ofstream{made.binary} << "two";
  std::filesystem::last_write_time(made.binary,
                                   std::filesystem::last_write_time(made.binary) + std::chrono::seconds{1});
  CHECK_FALSE(state::is_current(entry));
  std::filesystem::remove(made.binary);
  CHECK_FALSE(state::is_current(entry));
  // Nor one that there was not when the verdict was made.
  CHECK_FALSE(state::is_current(state::stamp(made)));
  std::ofstream{made.binary} << "";
  CHECK_FALSE(state::is_current(state::stamp(made)));
}

TEST_CASE("what agents are told of IRC and LLM is checked and kept as the user wrote it") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "config-test-"};
  const auto file = folder.path() / "config.json";
  const auto with = [&](const std::string& sections) {
    sys::write_file_atomic(file, R"({"schema": 1, "set_up_by": "", "engines": [])" + sections + "}");
  };
  with(R"(, "irc": {"host": "irc.example", "tls": true}, "llm": {"url": "http://gateway:8080", "api": "openai"})");
  auto config = state::read_config(file);
  REQUIRE(config.irc);
  CHECK(config.irc->at("host").as_string() == "irc.example");
  config.set_up_by = "1.0";
  state::write_config(file, config);
  CHECK(state::read_config(file) == config);
  with(R"(, "irc": {"port": 0})");
  CHECK_THROWS_WITH_AS(state::read_config(file), doctest::Contains("irc.port"), Error);
  with(R"(, "llm": {"model": "x"})");
  CHECK_THROWS_WITH_AS(state::read_config(file), doctest::Contains("llm.model"), Error);
  with(R"(, "llm": {"by": 7})");
  CHECK_THROWS_WITH_AS(state::read_config(file), doctest::Contains("llm.by"), Error);
  with(R"(, "gateway": {})");
  CHECK_THROWS_WITH_AS(state::read_config(file), doctest::Contains("gateway"), Error);
  with(R"(, "emulation": "allow")");
  CHECK_FALSE(state::read_config(file).refuse_emulation);
  with(R"(, "colour": 1)");
  CHECK_THROWS_WITH_AS(state::read_config(file), doctest::Contains("colour"), Error);
}
