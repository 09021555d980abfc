#include "state/settings/templates.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include "fireclaw/error.hpp"
#include "sys/file.hpp"

using namespace fireclaw;

namespace {

std::string problem_of(std::string_view text) {
  try {
    static_cast<void>(state::parse_template("t", text, "/t.json"));
  } catch (const Error& problem) {
    CHECK(problem.code() == ErrorCode::InvalidArgument);
    return problem.what();
  }
  return {};
}

/// A whole template with one more member.
std::string with(std::string_view member) {
  return R"({"nick": "t", "model": "m", "persona": "p", )" + std::string{member} + "}";
}

}  // namespace

TEST_CASE("the templates that come with the library are the promised ones") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "templates-test-"};
  const state::TemplateStore store{folder.path(), {}};
  struct Promised {
    std::string name, nick, model;
    bool tools;
  };
  for (const auto& [name, nick, model, tools] : std::vector<Promised>{{"worker", "worker", "qwen2.5:7b", true},
                                                                      {"coder", "coder", "qwen2.5-coder:7b", true},
                                                                      {"researcher", "research", "llama3.1:8b", true},
                                                                      {"quick", "quick", "phi4-mini", false},
                                                                      {"creative", "muse", "gemma3:4b", false}}) {
    CAPTURE(name);
    const auto found = store.find(name);
    REQUIRE(found);
    CHECK(found->text("nick") == nick);
    CHECK(found->text("model") == model);
    CHECK(found->tools() == tools);
    CHECK(found->text("network") == (tools ? "" : "services"));
    CHECK(found->text("persona").size() > 300);
    CHECK(found->texts("channels") == std::vector<std::string>{"#agents"});
  }
  CHECK(store.list().size() == 5);
}

TEST_CASE("a user's template is found beside the built-in ones and above one of the same name") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "templates-test-"};
  std::vector<std::string> warnings;
  const state::TemplateStore store{folder.path(),
                                   Logger{[&](LogLevel, std::string_view text) { warnings.emplace_back(text); }}};
  std::ofstream{folder.path() / "mine.json"} << with(R"("cpus": 2, "tools": {"enabled": false, "steps": 3})");
  std::ofstream{folder.path() / "worker.json"} << with(R"("trigger": "hey")");
  std::ofstream{folder.path() / "broken.json"} << "{";
  std::ofstream{folder.path() / "odd name.json"} << with(R"("cpus": 1)");
  std::ofstream{folder.path() / "notes.txt"} << "not a template";
  CHECK(store.list().size() == 6);
  CHECK(warnings.size() == 2);
  CHECK(store.find("mine")->number("cpus", 1) == 2);
  CHECK_FALSE(store.find("mine")->tools());
  CHECK(store.find("worker")->text("trigger") == "hey");
  CHECK_FALSE(store.find("nobody"));
  CHECK_FALSE(store.find("../mine"));
  CHECK_THROWS_AS(static_cast<void>(store.find("broken")), Error);
}

TEST_CASE("the built-in templates are written for users to change, and never over theirs") {
  const sys::TempDir folder{std::filesystem::temp_directory_path(), "templates-test-"};
  const state::TemplateStore store{folder.path(), {}};
  std::ofstream{folder.path() / "quick.json"} << with(R"("cpus": 3)");
  CHECK(store.write_built_in());
  CHECK((std::filesystem::status(folder.path() / "worker.json").permissions() & std::filesystem::perms::all) ==
        static_cast<std::filesystem::perms>(0644));
  CHECK(store.find("quick")->number("cpus", 1) == 3);
  CHECK(store.find("worker")->file == folder.path() / "worker.json");
  CHECK_FALSE(store.write_built_in());
}

TEST_CASE("a template's mistake is named with file and field") {
  struct Mistake {
    std::string member, says;
  };
  for (const auto& [member, says] : std::vector<Mistake>{
           {R"("colour": 1)", "/t.json: colour: unknown field"},
           {R"("cpus": 0)", "/t.json: cpus: must be a whole number from 1 to 32"},
           {R"("cpus": "two")", "/t.json: cpus: expected an integer"},
           {R"("schema": 2)", "/t.json: schema: this fireclaw reads schema 1"},
           {R"("nick": "no nick")", "/t.json: nick"},
           {R"("llm": {"url": "ftp://x"})", "/t.json: llm.url: must be an http:// or https:// URL"},
           {R"("llm": {"url": "http://u@h"})", "/t.json: llm.url: must not hold a user"},
           {R"("llm": {"timeouts": {"idle_s": 0}})", "/t.json: llm.timeouts.idle_s: must be a number"},
           {R"("llm": {"keep_alive": "soon"})", "/t.json: llm.keep_alive"},
           {R"("llm": {"model": "x"})", "/t.json: llm.model: unknown field"},
           {R"("irc": {"port": 70000})", "/t.json: irc.port"},
           {R"("irc": {"sasl": {"user": "u"}})", "/t.json: irc.sasl"},
           {R"("tools": {"containers": {"pids": 0}})", "/t.json: tools.containers.pids"},
           {R"("tools": {"allow": ["me"]})", "/t.json: tools.allow[0]: must be a mask"},
           {R"("channels": ["agents"])", "/t.json: channels[0]"},
           {R"("peers": {"max_turns": -1})", "/t.json: peers.max_turns"},
           {R"("limits": {"queue": 0})", "/t.json: limits.queue"},
           {R"("network": "none")", "/t.json: network"},
           {R"("network": "services", "egress": "internet")", "/t.json: egress: does not go with the network"},
           {R"("network": "services", "publish": ["80:80"])", "/t.json: publish: does not go with the network"},
           {R"("network": "services", "allow_http": ["a.org"])", "/t.json: allow_http: does not go with the network"},
           {R"("egress": "all")", "/t.json: egress"},
           {R"("trigger": "")", "/t.json: trigger"},
           {R"("persona": "")", "duplicate"},
           {R"("description": 7)", "/t.json: description"},
           {R"("image": 7)", "/t.json: image"},
           {R"("cpus": 33)", "/t.json: cpus: must be a whole number from 1 to 32"},
           {R"("memory_mib": 63)", "/t.json: memory_mib: must be a whole number from 64 to 1048576"},
           {R"("memory_mib": 1048577)", "/t.json: memory_mib: must be a whole number from 64 to 1048576"},
           {R"("workspace_mib": 15)", "/t.json: workspace_mib: must be a whole number from 16 to 1048576"},
           {R"("workspace_mib": 1048577)", "/t.json: workspace_mib: must be a whole number from 16 to 1048576"},
           {R"("scratch_mib": 63)", "/t.json: scratch_mib: must be a whole number from 64 to 1048576"},
           {R"("scratch_mib": 1048577)", "/t.json: scratch_mib: must be a whole number from 64 to 1048576"},
           {R"("disk_mib_per_second": 0)", "/t.json: disk_mib_per_second: must be"},
           {R"("network_mib_per_second": 1048577)", "/t.json: network_mib_per_second: must be"},
           {R"("operators": ["me"])", "/t.json: operators[0]: must be a mask"},
           {R"("invite_policy": "all")", "/t.json: invite_policy"},
           {R"("log_level": "loud")", "/t.json: log_level"},
           {R"("allow": [7])", "/t.json: allow[0]"},
           {R"("allow_http": [7])", "/t.json: allow_http[0]"},
           {R"("publish": [7])", "/t.json: publish[0]"},
           {R"("trigger": " a")", "/t.json: trigger"},
       }) {
    CAPTURE(member);
    const auto text = problem_of(with(member));
    CAPTURE(text);
    CHECK_FALSE(text.empty());
    if (says != "duplicate" && says.find("nick") == std::string::npos) CHECK(text.find(says) == 0);
  }
  CHECK(problem_of(R"({"nick": "t", "model": "m"})").find("persona") != std::string::npos);
  CHECK(problem_of(R"({"nick": "t", "persona": "p"})").find("model") != std::string::npos);
  CHECK(problem_of(R"({"model": "m", "persona": "p"})").find("nick") != std::string::npos);
  CHECK(problem_of(R"({"nick": "a b", "model": "m", "persona": "p"})").starts_with("/t.json: nick: must be"));
  CHECK(problem_of(R"({"nick": "t", "model": "a b", "persona": "p"})").starts_with("/t.json: model: must be"));
  CHECK(problem_of(R"({"nick": "t", "model": "m", "persona": ""})").starts_with("/t.json: persona: must be"));
  CHECK(problem_of("[]") != "");
  CHECK(problem_of(with(R"("cpus": 32, "memory_mib": 1048576, "workspace_mib": 16, "scratch_mib": 64,
                            "disk_mib_per_second": 1, "network_mib_per_second": 1048576, "image": "x", "log_level": "debug")"))
            .empty());
  CHECK(problem_of(with(R"("cpus": 1, "memory_mib": 64, "workspace_mib": 1048576, "scratch_mib": 1048576)")).empty());
  CHECK(problem_of(with(R"("network": "services", "allow": null)")).empty());
  CHECK(problem_of(with(R"("operators": ["a!b@c"], "invite_policy": "nobody", "memory_mib": 256)")).empty());
}

TEST_CASE("a template has tools where it says so, and says so by an object that does not say no") {
  const auto tools = [](const std::string& member) {
    return state::parse_template("t", with(member), "/t.json").tools();
  };
  CHECK_FALSE(tools(R"("cpus": 1)"));
  CHECK(tools(R"("tools": true)"));
  CHECK_FALSE(tools(R"("tools": false)"));
  CHECK(tools(R"("tools": {"steps": 3})"));
  CHECK(tools(R"("tools": {"enabled": true})"));
  CHECK_FALSE(tools(R"("tools": {"enabled": false})"));
}

TEST_CASE("web servers by name alone are all that a machine reaches outside") {
  const auto egress = [](const std::string& member) {
    return state::parse_template("t", with(member), "/t.json").egress();
  };
  CHECK(egress(R"("cpus": 1)") == "internet");
  CHECK(egress(R"("allow_http": [])") == "internet");
  CHECK(egress(R"("allow_http": ["a.org"])") == "none");
  CHECK(egress(R"("allow_http": ["a.org"], "egress": "internet")") == "internet");
}
