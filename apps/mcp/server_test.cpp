#include <doctest/doctest.h>

#include <chrono>
#include <functional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "schema_check.hpp"
#include "testing/connection.hpp"
#include "version.hpp"

using namespace fireclaw;
using namespace fireclaw::mcp;

namespace {

int code_of(const Json& answer) { return answer.at("error").at("code"); }

Json stateless(Json params = Json::object(), const std::string& version = "2026-07-28") {
  params["_meta"]["io.modelcontextprotocol/protocolVersion"] = version;
  params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = Json::object();
  return params;
}

Json blocking_call() { return {{"name", "run_command"}, {"arguments", {{"command", "block"}}}}; }

}  // namespace

TEST_CASE("a client that knows a version gets it, others the newest that begins like theirs") {
  for (const auto* version : {"2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"}) {
    Connection connection;
    CHECK(connection.shake_hands(version)["result"]["protocolVersion"] == version);
  }
  for (const auto* version : {"1.0", "2099-01-01", "2026-07-28", ""}) {
    Connection connection;
    CHECK(connection.shake_hands(version)["result"]["protocolVersion"] == "2025-11-25");
  }
  Connection connection;
  const auto result = connection.shake_hands()["result"];
  CHECK(result["serverInfo"]["name"] == "fireclaw");
  CHECK(result["capabilities"] == Json{{"tools", Json::object()}, {"logging", Json::object()}});
}

TEST_CASE("a handshake that is not one is refused, and may be tried again") {
  Connection connection;
  CHECK(code_of(connection.ask("initialize")) == -32602);
  CHECK(code_of(connection.ask("initialize", {{"protocolVersion", 5}})) == -32602);
  CHECK(code_of(connection.ask("initialize", {{"protocolVersion", "2025-06-18"}})) == -32602);
  CHECK(connection.shake_hands().contains("result"));
  CHECK(code_of(connection.shake_hands()) == -32600);
}

TEST_CASE("before the handshake only pings are answered") {
  Connection connection;
  CHECK(connection.ask("ping")["result"] == Json::object());
  CHECK(code_of(connection.ask("tools/list")) == -32602);
  CHECK(code_of(connection.ask("tools/call", blocking_call())) == -32602);
  CHECK(code_of(connection.ask("nonsense")) == -32602);
  connection.shake_hands();
  CHECK(connection.ask("ping")["result"] == Json::object());
  CHECK(code_of(connection.ask("nonsense")) == -32601);
  CHECK(code_of(connection.ask("server/discover")) == -32601);
  CHECK(code_of(connection.ask("resources/list")) == -32601);
  CHECK(code_of(connection.ask("ping", {{"_meta", 5}})) == -32602);
}

TEST_CASE("garbage is answered without an id, and the connection continues") {
  Connection connection;
  connection.server.handle("{");
  auto answer = connection.receive();
  CHECK(code_of(answer) == -32700);
  CHECK(answer.at("id").is_null());
  connection.server.handle_too_long();
  CHECK(code_of(connection.receive()) == -32600);
  connection.shake_hands();
  connection.server.handle("[]");
  answer = connection.receive();
  CHECK(code_of(answer) == -32600);
  CHECK_FALSE(answer.contains("id"));
  connection.send({{"jsonrpc", "2.0"}, {"id", 9}, {"result", Json::object()}});
  connection.notify("notifications/nonsense", Json::object());
  CHECK(connection.silent());
  CHECK(connection.ask("ping").contains("result"));
}

TEST_CASE("requests that say their version need no handshake") {
  Connection connection;
  auto result = connection.ask("server/discover", stateless())["result"];
  CHECK(result["supportedVersions"][0] == "2026-07-28");
  CHECK(result["resultType"] == "complete");
  CHECK(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"] == "fireclaw");
  CHECK(result["capabilities"] == Json{{"tools", Json::object()}});
  result = connection.ask("tools/list", stateless())["result"];
  CHECK(result["ttlMs"].is_number());
  CHECK(result["cacheScope"] == "private");
  result = connection.ask("tools/call",
                          stateless({{"name", "run_command"}, {"arguments", {{"command", "echo hi"}}}}))["result"];
  CHECK(result["resultType"] == "complete");
  CHECK(result["structuredContent"]["stdout"] == "hi\n");
  // What that version has no more.
  for (const auto* method : {"ping", "initialize", "logging/setLevel"}) {
    CHECK(code_of(connection.ask(method, stateless())) == -32601);
  }
  // Nothing of it is remembered.
  CHECK(code_of(connection.ask("tools/list")) == -32602);
  CHECK(connection.shake_hands().contains("result"));
  CHECK(connection.ask("tools/list", stateless())["result"].contains("resultType"));
  CHECK_FALSE(connection.ask("tools/list")["result"].contains("resultType"));
}

TEST_CASE("a version that a request cannot have is refused with those that it can") {
  Connection connection;
  for (const auto* version : {"1900-01-01", "2025-11-25"}) {
    const auto answer = connection.ask("tools/list", stateless(Json::object(), version));
    CHECK(code_of(answer) == -32022);
    CHECK(answer["error"]["data"]["requested"] == version);
    CHECK(answer["error"]["data"]["supported"][0] == "2026-07-28");
  }
  auto params = stateless();
  params["_meta"].erase("io.modelcontextprotocol/clientCapabilities");
  CHECK(code_of(connection.ask("tools/list", params)) == -32602);
}

TEST_CASE("there is nothing to subscribe to") {
  Connection connection;
  CHECK(code_of(connection.ask("subscriptions/listen", stateless({{"notifications", Json::object()}}))) == -32601);
}

TEST_CASE("each version is told of tools what it knows") {
  const auto first_tool = [](const std::string& version) {
    Connection connection;
    connection.shake_hands(version);
    return connection.ask("tools/list")["result"]["tools"][0];
  };
  const auto oldest = first_tool("2024-11-05");
  CHECK_FALSE(oldest.contains("annotations"));
  CHECK_FALSE(oldest.contains("outputSchema"));
  const auto second = first_tool("2025-03-26");
  CHECK(second["annotations"]["destructiveHint"] == true);
  CHECK_FALSE(second.contains("outputSchema"));
  CHECK(first_tool("2025-06-18").contains("outputSchema"));
}

TEST_CASE("tools have names of their own, and schemas of objects") {
  Connection connection;
  connection.shake_hands();
  std::set<std::string> names;
  const auto answer = connection.ask("tools/list");
  for (const auto& tool : answer["result"]["tools"]) {
    CAPTURE(tool["name"]);
    CHECK(names.insert(tool["name"]).second);
    CHECK(tool["description"].get<std::string>().size() > 20);
    for (const auto* schema : {"inputSchema", "outputSchema"}) {
      CHECK(tool[schema]["type"] == "object");
    }
  }
  CHECK(names.size() == 14);
  CHECK(code_of(connection.ask("tools/list", {{"cursor", "x"}})) == -32602);
}

TEST_CASE("several messages on one line are refused in every version, before they are read") {
  for (const auto* version : {"2025-03-26", "2025-11-25"}) {
    Connection connection;
    connection.shake_hands(version);
    for (const std::string line : {"[]", R"([{"jsonrpc":"2.0","id":1,"method":"ping"}])", " [1,1]"}) {
      CAPTURE(line);
      connection.server.handle(line);
      CHECK(code_of(connection.receive()) == -32600);
    }
    connection.server.handle("[1,");
    CHECK(code_of(connection.receive()) == -32700);
    CHECK(connection.ask("ping").contains("result"));
  }
}

TEST_CASE("what is null is as if it was left out") {
  for (const auto* version : {"2024-11-05", "2025-06-18", "2025-11-25"}) {
    Connection connection;
    connection.shake_hands(version);
    for (const auto& params : {Json{}, Json{{"cursor", nullptr}}, Json{{"cursor", ""}}, Json{{"_meta", nullptr}}}) {
      CHECK(connection.ask("tools/list", params)["result"]["tools"].size() == 14);
    }
    CHECK(connection.ask("ping", nullptr).contains("result"));
    CHECK(connection.use_text("list_images", nullptr).find("busybox") != std::string::npos);
    CHECK(connection
              .use_text("run_command", {{"command", "echo hi"},
                                        {"argv", nullptr},
                                        {"machine", nullptr},
                                        {"image", nullptr},
                                        {"env", {{"A", nullptr}}},
                                        {"timeout_seconds", nullptr}})
              .find("hi") != std::string::npos);
    CHECK(connection.use_text("create_machine", {{"name", nullptr}, {"cpus", nullptr}}).find("machine-1") !=
          std::string::npos);
  }
}

TEST_CASE("a notification is never answered") {
  Connection connection;
  connection.shake_hands();
  for (const auto* line :
       {R"({"jsonrpc":"2.0","method":"notifications/initialized","params":null})",
        R"({"jsonrpc":"2.0","method":"notifications/initialized","params":[1]})",
        R"({"jsonrpc":"2.0","method":"notifications/cancelled","params":"x"})",
        R"({"jsonrpc":"2.0","id":null,"method":"notifications/initialized"})", R"({"jsonrpc":"2.0","method":"ping"})",
        R"({"method":"notifications/initialized"})", R"({"jsonrpc":"2.0","method":null,"id":4,"result":null})"}) {
    CAPTURE(line);
    connection.server.handle(line);
    CHECK(connection.silent());
  }
}

TEST_CASE("what may be asked of a machine, a command and a file is said as the library says it") {
  Connection connection;
  connection.shake_hands();
  Json inputs = Json::object();
  const auto answer = connection.ask("tools/list");
  for (const auto& tool : answer["result"]["tools"]) {
    inputs[tool["name"].get<std::string>()] = tool["inputSchema"]["properties"];
  }
  const auto& command = inputs["run_command"];
  CHECK(command["cpus"].dump() ==
        R"({"type":"integer","description":"Virtual CPUs; default: 1.","minimum":1,"maximum":2})");
  CHECK(command["memory_mib"] == inputs["create_machine"]["memory_mib"]);
  CHECK(command["memory_mib"]["minimum"] == 32);
  CHECK(command["memory_mib"]["maximum"] == Policy{}.most_memory_mib);
  CHECK(command["env"]["type"] == "object");
  CHECK(command["timeout_seconds"]["maximum"] == 600);
  CHECK(command["cwd"]["description"].get<std::string>().starts_with("Working directory in the guest; left out: "));
  CHECK(inputs["read_file"]["offset"].dump() ==
        R"({"type":"integer","description":"How many bytes to skip.","minimum":0,"maximum":9007199254740992})");
  // What machines share with the host is not the client's to say.
  for (const auto* withheld : {"workspace", "network", "nat", "detached", "scratch_mib"}) {
    CHECK(!command.contains(withheld));
  }
}

TEST_CASE("schemas hold nothing that some clients refuse, and every object in them says what it has") {
  Connection connection;
  connection.shake_hands();
  std::set<std::string> words;
  const std::function<void(const Json&)> walk = [&](const Json& schema) {
    REQUIRE(schema.is_object());
    for (const auto& [word, value] : schema.items()) words.insert(word);
    if (schema["type"] == "object") {
      REQUIRE(schema.contains("properties"));
      REQUIRE(schema["properties"].is_object());
      for (const auto& member : schema["properties"]) walk(member);
    }
    if (schema["type"] == "array") walk(schema.at("items"));
  };
  const auto tools = connection.ask("tools/list")["result"]["tools"];
  for (const auto& tool : tools) {
    walk(tool["inputSchema"]);
    walk(tool["outputSchema"]);
  }
  for (const auto& word : words) {
    CAPTURE(word);
    CHECK(std::set<std::string>{"type", "description", "properties", "required", "items", "enum", "minimum", "maximum",
                                "minLength", "maxLength", "minItems", "maxItems"}
              .contains(word));
  }
}

TEST_CASE("a call that is silent is said to be under way, until its answer") {
  Policy policy;
  policy.silence = std::chrono::milliseconds{10};
  Connection connection{policy};
  connection.shake_hands();
  auto params = blocking_call();
  params["_meta"]["progressToken"] = "p";
  connection.request("x", "tools/call", params);
  double last = 0;
  for (int i = 0; i < 3; ++i) {
    const auto told = connection.receive();
    REQUIRE(told["method"] == "notifications/progress");
    CHECK(told["params"]["progressToken"] == "p");
    CHECK(told["params"]["progress"].get<double>() > last);
    CHECK(told["params"]["message"].get<std::string>().starts_with("still under way after "));
    last = told["params"]["progress"];
  }
  connection.notify("notifications/cancelled", {{"requestId", "x"}});
  connection.backend.wait_blocked(0);
  connection.request("end", "ping");
  while (!connection.receive().contains("id")) continue;
  CHECK(connection.silent());
}

TEST_CASE("calls together hold no more than they may, however many they are") {
  Policy policy;
  policy.calls_bytes = 1'000'000;
  Connection connection{policy};
  connection.shake_hands();
  const auto big = [](std::size_t bytes) {
    auto call = blocking_call();
    call["arguments"]["stdin"] = std::string(bytes, 'x');
    return call;
  };
  // One alone may be larger.
  connection.request("a", "tools/call", big(2'000'000));
  connection.backend.wait_blocked(1);
  connection.request("b", "tools/call", big(10));
  CHECK(connection.receive()["result"]["content"][0]["text"].get<std::string>().find("wait until one") !=
        std::string::npos);
  connection.notify("notifications/cancelled", {{"requestId", "a"}});
  connection.backend.wait_blocked(0);
}

TEST_CASE("two calls can use the whole limit, also after other calls have ended") {
  const auto call = [](const char* id, const char* command, std::size_t bytes) {
    const Json arguments{{"command", command}, {"stdin", std::string(bytes, 'x')}};
    return Json{{"jsonrpc", "2.0"},
                {"id", id},
                {"method", "tools/call"},
                {"params", {{"name", "run_command"}, {"arguments", arguments}}}};
  };
  const auto first = call("a", "block", 1000);
  const auto second = call("b", "block", 2000);
  Policy policy;
  policy.calls_bytes = to_line(first).size() + to_line(second).size();
  Connection connection{policy};
  connection.shake_hands();
  connection.send(call("ended", "echo hi", 2500));
  CHECK(connection.receive()["id"] == "ended");
  connection.send(first);
  connection.send(second);
  connection.backend.wait_blocked(2);
  connection.send(call("c", "echo hi", 0));
  CHECK(connection.receive()["result"]["isError"] == true);
  for (const auto* id : {"a", "b"}) connection.notify("notifications/cancelled", {{"requestId", id}});
  connection.backend.wait_blocked(0);
}

TEST_CASE("what is quoted in an answer is short, and an id is, too") {
  Connection connection;
  connection.shake_hands();
  const std::string much(1'000'000, 'x');
  const auto size_of = [&](const std::string& method, Json params) {
    return to_line(connection.ask(method, std::move(params))).size();
  };
  CHECK(size_of(much, Json::object()) < 10'000);
  CHECK(size_of("tools/call", {{"name", much}}) < 10'000);
  CHECK(size_of("tools/call", {{"name", "list_images"}, {"arguments", {{much, 1}}}}) < 20'000);
  CHECK(size_of("tools/call", {{"name", "read_file"}, {"arguments", {{"machine", much}, {"path", "/x"}}}}) < 20'000);
  connection.request(much, "ping");
  CHECK(code_of(connection.receive()) == -32600);
}

TEST_CASE("a message of very many values is refused before it fills the memory") {
  Connection connection;
  connection.shake_hands();
  std::string line = R"({"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[1)";
  for (int i = 0; i < 100'000; ++i) line += ",1";
  connection.server.handle(line + "]}}");
  CHECK(code_of(connection.receive()) == -32700);
}

TEST_CASE("arguments that do not fit are the model's to mend, or in old versions the protocol's") {
  const Json wrong{{"name", "run_command"}, {"arguments", {{"command", 5}}}};
  Connection connection;
  connection.shake_hands();
  CHECK(connection.failure("run_command", {{"command", 5}}) == "'command' must be a text");
  CHECK(connection.failure("run_command", {{"comand", "x"}}) == "arguments must not have 'comand'");
  CHECK(connection.failure("run_command").find("either 'command'") != std::string::npos);
  CHECK(connection.failure("run_command", {{"command", "echo"}, {"argv", {"echo"}}}).find("either") !=
        std::string::npos);
  CHECK(connection.failure("run_command", {{"command", "echo"}, {"timeout_seconds", 1e9}}).find("at most 600") !=
        std::string::npos);
  CHECK(code_of(connection.ask("tools/call", {{"name", "no_such_tool"}})) == -32602);
  CHECK(code_of(connection.ask("tools/call", {{"name", 5}})) == -32602);
  CHECK(code_of(connection.ask("tools/call", {{"name", "list_images"}, {"arguments", 5}})) == -32602);
  CHECK(code_of(connection.ask("tools/call", {{"name", "list_images"}, {"_meta", {{"progressToken", 1.5}}}})) ==
        -32602);
  for (const auto* version : {"2024-11-05", "2025-03-26", "2025-06-18"}) {
    Connection old;
    old.shake_hands(version);
    CHECK(code_of(old.ask("tools/call", wrong)) == -32602);
  }
}

TEST_CASE("a result is structured as its schema says, and the same as text") {
  Connection connection;
  connection.shake_hands();
  Json schemas = Json::object();
  const auto answer = connection.ask("tools/list");
  for (const auto& tool : answer["result"]["tools"]) schemas[tool["name"].get<std::string>()] = tool["outputSchema"];
  const auto check = [&](const std::string& tool, const Json& arguments) {
    CAPTURE(tool);
    const auto result = connection.call(tool, arguments);
    REQUIRE(result["isError"] == false);
    CHECK_NOTHROW(check_against(schemas[tool], result["structuredContent"]));
    CHECK(parse_json(result["content"][0]["text"].get<std::string>()) == result["structuredContent"]);
  };
  check("run_command", {{"command", "echo hi"}});
  check("create_machine", {{"name", "a"}});
  check("list_machines", Json::object());
  check("read_console", {{"machine", "a"}});
  check("list_images", Json::object());
  check("save_snapshot", {{"machine", "a"}, {"name", "s"}});
  check("list_snapshots", Json::object());
  check("restore_snapshot", {{"snapshot", "s"}});
  check("fork_machine", {{"machine", "a"}, {"names", {"b", "c"}}});
  check("delete_snapshot", {{"name", "s"}});
  check("remove_machine", {{"machine", "a"}});
}

TEST_CASE("a command that fails is a result; a machine that is not there is a failure") {
  Connection connection;
  connection.shake_hands();
  CHECK(connection.use("run_command", {{"command", "fail 3"}})["exit_code"] == 3);
  CHECK(connection.failure("run_command", {{"command", "echo"}, {"machine", "none"}}).find("list_machines") !=
        std::string::npos);
  CHECK(connection.failure("run_command", {{"command", "echo"}, {"image", "none"}}).find("'none'") !=
        std::string::npos);
}

TEST_CASE("output is cut in its middle") {
  Policy policy;
  policy.output_bytes = 1000;
  Connection connection{policy};
  connection.shake_hands();
  const auto result = connection.use("run_command", {{"command", "flood 100000"}});
  CHECK(result["truncated"] == true);
  CHECK(result["stdout_bytes"] == 100000);
  CHECK(result["stdout"].get<std::string>().find("[... 99000 bytes left out ...]") == 501);
}

TEST_CASE("progress comes before the answer, to those who asked") {
  Connection connection;
  connection.shake_hands();
  connection.request(
      1, "tools/call",
      {{"name", "run_command"}, {"arguments", {{"command", "echo hello"}}}, {"_meta", {{"progressToken", "p"}}}});
  const auto progress = connection.receive();
  CHECK(progress["method"] == "notifications/progress");
  CHECK(progress["params"] == Json{{"progressToken", "p"}, {"progress", 6}, {"message", "hello\n"}});
  CHECK(connection.receive()["id"] == 1);
}

TEST_CASE("a cancelled call ends and is not answered") {
  Connection connection;
  connection.shake_hands();
  connection.request("x", "tools/call", blocking_call());
  connection.backend.wait_blocked(1);
  connection.notify("notifications/cancelled", {{"requestId", "y"}});
  connection.notify("notifications/cancelled", {{"requestId", Json::array()}});
  connection.notify("notifications/cancelled", Json::object());
  connection.notify("notifications/cancelled", {{"requestId", "x"}, {"reason", "changed my mind"}});
  connection.backend.wait_blocked(0);
  CHECK(connection.use("run_command", {{"command", "echo next"}})["stdout"] == "next\n");
  CHECK(connection.silent());
}

TEST_CASE("calls run side by side, so many at once; others wait, and no more than may") {
  Policy policy;
  policy.calls = 2;
  policy.waiting_calls = 2;
  Connection connection{policy};
  connection.shake_hands();
  for (const auto* id : {"a", "b", "c", "d"}) connection.request(id, "tools/call", blocking_call());
  connection.backend.wait_blocked(2);
  CHECK(connection.failure("list_images").find("4 calls") != std::string::npos);
  CHECK(connection.ask("ping").contains("result"));
  CHECK(connection.backend.running() == 2);
  for (const auto* id : {"c", "a"}) connection.notify("notifications/cancelled", {{"requestId", id}});
  // "c" never runs; "d" has the place of "a".
  connection.backend.wait_blocked(2);
  for (const auto* id : {"b", "d"}) connection.notify("notifications/cancelled", {{"requestId", id}});
  connection.backend.wait_blocked(0);
  CHECK(connection.silent());
}

TEST_CASE("an id that is not answered yet cannot be used again") {
  Connection connection;
  connection.shake_hands();
  connection.request(7, "tools/call", blocking_call());
  connection.backend.wait_blocked(1);
  connection.request(7, "tools/call", blocking_call());
  CHECK(code_of(connection.receive()) == -32600);
  // Another id, though it looks alike.
  connection.request("7", "tools/call", {{"name", "list_images"}});
  CHECK(connection.receive()["id"] == "7");
}

TEST_CASE("at the end everything is cancelled, nothing is said, and no machine stays") {
  Connection connection;
  connection.shake_hands();
  connection.use("create_machine", {{"name", "a"}});
  connection.request("x", "tools/call", blocking_call());
  connection.request("y", "tools/call",
                     {{"name", "run_command"}, {"arguments", {{"command", "block"}, {"machine", "a"}}}});
  connection.backend.wait_blocked(2);
  connection.server.cancel_all();
  connection.machines.shut_down();
  connection.backend.wait_blocked(0);
  CHECK(connection.backend.running() == 0);
  CHECK(connection.silent());
  CHECK_THROWS(connection.machines.create({}, {}));
}

TEST_CASE("log messages go to clients that asked, from the level that they asked for") {
  Connection connection;
  connection.shake_hands();
  connection.server.log(LogLevel::Error, "unheard");
  CHECK(connection.silent());
  CHECK(code_of(connection.ask("logging/setLevel", {{"level", "loud"}})) == -32602);
  CHECK(connection.ask("logging/setLevel", {{"level", "notice"}})["result"] == Json::object());
  connection.server.log(LogLevel::Info, "too quiet");
  connection.server.log(LogLevel::Warning, "heard");
  const auto message = connection.receive();
  CHECK(message["method"] == "notifications/message");
  CHECK(message["params"] == Json{{"level", "warning"}, {"logger", "fireclaw"}, {"data", "heard"}});
  CHECK(connection.ask("logging/setLevel", {{"level", "warning"}})["result"] == Json::object());
  connection.server.log(LogLevel::Warning, "heard again");
  CHECK(connection.receive()["params"]["data"] == "heard again");
  CHECK(connection.silent());
}
