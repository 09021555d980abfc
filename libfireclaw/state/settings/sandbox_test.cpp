#include "state/settings/sandbox.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <string>

#include "fireclaw/error.hpp"

using namespace fireclaw;

namespace {

json::Value section(const std::string& text) {
  return json::Value::parse("{\"section\": " + text + "}", "config.json").at("section");
}

std::string complaint(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    CHECK(error.code() == ErrorCode::Corrupt);
    return error.what();
  }
  return "nothing";
}

std::string written(const std::function<void(json::Writer&)>& write) {
  json::Writer out;
  out.begin_object();
  write(out);
  out.end_object();
  return out.take();
}

}  // namespace

TEST_CASE("how engines are shut in is written back as it was read, and not at all where it is as by default") {
  const auto settings = state::read_sandbox_settings(section(R"({"required":true,"first_user":70000,"users":10})"));
  CHECK(settings == state::SandboxSettings{true, {70000, 10}});
  CHECK(written([&](json::Writer& out) { state::write_sandbox_settings(out, settings); }) ==
        R"({"sandbox":{"required":true,"first_user":70000,"users":10}})");
  CHECK(state::read_sandbox_settings(section("{}")) == state::SandboxSettings{});
  CHECK(written([](json::Writer& out) { state::write_sandbox_settings(out, {}); }) == "{}");
}

TEST_CASE("users that there cannot be are refused") {
  const auto problem = [](const std::string& text) {
    return complaint([&] { (void)state::read_sandbox_settings(section(text)); });
  };
  CHECK(problem(R"({"first_user":0})").find("must be 1 to 4294967294") != std::string::npos);
  CHECK(problem(R"({"first_user":4294967295})").find("must be 1 to 4294967294") != std::string::npos);
  CHECK(problem(R"({"users":0})").find("must be at least 1") != std::string::npos);
  CHECK(problem(R"({"first_user":4294967290,"users":6})").find("there are none") != std::string::npos);
  CHECK(problem(R"({"first_user":4294967290,"users":5})") == "nothing");
  CHECK(problem(R"({"first_user":4294967294,"users":1})") == "nothing");
  CHECK(problem(R"({"user":1})") != "nothing");
}

TEST_CASE("limits are optional, each of them, and unset means no limit") {
  const auto limits = state::read_limit_settings(section(R"({"memory_mib":3,"disk_mib":1024})"));
  CHECK(limits.memory_mib == 3U);
  CHECK_FALSE(limits.machines);
  CHECK(written([&](json::Writer& out) { state::write_limit_settings(out, limits); }) ==
        R"({"limits":{"memory_mib":3,"disk_mib":1024}})");
  CHECK(written([](json::Writer& out) { state::write_limit_settings(out, {}); }) == "{}");
  CHECK(complaint([] { (void)state::read_limit_settings(section(R"({"machines":0})")); }).find("at least 1") !=
        std::string::npos);
  CHECK(state::read_limit_settings(section(R"({"machines":1})")).machines == 1U);
  CHECK(complaint([] { (void)state::read_limit_settings(section(R"({"machine":1})")); }) != "nothing");
}

TEST_CASE("what was found of a host is read as it was written") {
  sys::Confinable found;
  found.level = sys::Confinement::Full;
  found.ids = sys::IdRange{1'900'000'000, 65'536};
  found.context = "user 0, map 0 0 4294967295";
  sys::Confinable less;
  less.level = sys::Confinement::Landlock;
  less.obstacle = "no namespaces";
  less.ids_obstacle = "not root";
  for (const auto& each : {found, less}) {
    const auto text = written([&](json::Writer& out) { state::write_confinable(out, each); });
    CHECK(state::read_confinable(json::Value::parse(text, "config.json").at("confinement")) == each);
  }
  CHECK(complaint([] {
          (void)state::read_confinable(section(R"({"level":"half","obstacle":"","users_obstacle":"","context":""})"));
        }).find("level of confinement") != std::string::npos);
}

TEST_CASE("rates and the lines of io.max are held to their form, and written back") {
  const std::string text =
      R"({"disk_mib_per_second":50,"network_mib_per_second":20,"io_max":["8:0 wbps=1048576 riops=max"]})";
  const auto limits = state::read_limit_settings(section(text));
  CHECK(limits.disk_mib_per_second == 50U);
  CHECK(limits.network_mib_per_second == 20U);
  CHECK(limits.io_max == std::vector<std::string>{"8:0 wbps=1048576 riops=max"});
  CHECK_FALSE(limits.any_total());
  CHECK(written([&](json::Writer& out) { state::write_limit_settings(out, limits); }) == R"({"limits":)" + text + "}");
  const auto problem = [](const std::string& of) {
    return complaint([&] { static_cast<void>(state::read_limit_settings(section(of))); });
  };
  for (const auto* rate : {"disk_mib_per_second", "network_mib_per_second"}) {
    CHECK(problem(fmt::format(R"({{"{}":1048576}})", rate)) == "nothing");
    for (const auto* value : {"0", "1048577"}) {
      CHECK(problem(fmt::format(R"({{"{}":{}}})", rate, value)).find("must be 1 to 1048576") != std::string::npos);
    }
  }
  for (const auto* line : {"", "8", "8:", ":0 wbps=1", "8:0", "8:0 ", "8:0 wbps", "8: wbps=1", "8-0 wbps=1",
                           "8:0,wbps=1", "sda wbps=1", R"(8:0 wbps=1\n9:0 wbps=1)"}) {
    CAPTURE(line);
    CHECK(problem(fmt::format(R"({{"io_max":["{}"]}})", line)).find("must be a line of io.max") != std::string::npos);
  }
}
