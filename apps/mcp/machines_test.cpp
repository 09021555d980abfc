#include <doctest/doctest.h>

#include <string>

#include "testing/connection.hpp"

using namespace fireclaw;
using namespace fireclaw::mcp;

namespace {

struct Session : Connection {
  explicit Session(Policy with = {}) : Connection{std::move(with)} { shake_hands(); }

  std::string get(const std::string& machine) {
    return use("run_command", {{"command", "get"}, {"machine", machine}})["stdout"];
  }
  void set(const std::string& machine, const std::string& text) {
    use("run_command", {{"command", "set " + text}, {"machine", machine}});
  }
};

}  // namespace

TEST_CASE("a machine stays until it is removed") {
  Session session;
  CHECK(session.use("create_machine", {{"name", "a"}})["name"] == "a");
  session.set("a", "kept");
  CHECK(session.get("a") == "kept");
  CHECK(session.backend.running() == 1);
  session.use("run_command", {{"command", "echo"}});
  CHECK(session.backend.running() == 1);
  session.use("remove_machine", {{"machine", "a"}});
  CHECK(session.backend.running() == 0);
  CHECK(session.failure("remove_machine", {{"machine", "a"}}).find("'a'") != std::string::npos);
}

TEST_CASE("names are made up where none is given, and those given are judged by the library") {
  Session session;
  CHECK(session.use("create_machine")["name"] == "machine-1");
  CHECK(session.use("create_machine")["name"] == "machine-2");
  session.use("remove_machine", {{"machine", "machine-1"}});
  CHECK(session.use("create_machine")["name"] == "machine-1");
  CHECK(session.failure("create_machine", {{"name", "machine-1"}}).find("already") != std::string::npos);
  CHECK(session.failure("create_machine", {{"name", "a/b"}}).find("host name") != std::string::npos);
  // The name that was refused is free.
  CHECK(session.failure("create_machine", {{"name", "x"}, {"image", "none"}}).find("no image") != std::string::npos);
  CHECK(session.use("create_machine", {{"name", "x"}})["name"] == "x");
}

TEST_CASE("there are no more machines than may be, those of single commands included") {
  Policy policy;
  policy.machines = 2;
  Session session{policy};
  session.use("create_machine");
  session.request("x", "tools/call", {{"name", "run_command"}, {"arguments", {{"command", "block"}}}});
  session.backend.wait_blocked(1);
  CHECK(session.failure("create_machine", {{"cpus", 2}}).find("which is the limit") != std::string::npos);
  CHECK(session.failure("run_command", {{"command", "echo"}, {"cpus", 2}}).find("which is the limit") !=
        std::string::npos);
  // Not even for a moment.
  CHECK(session.backend.last_config().cpus == 1);
  CHECK(session.use("run_command", {{"command", "echo"}, {"machine", "machine-1"}})["exit_code"] == 0);
  session.notify("notifications/cancelled", {{"requestId", "x"}});
  session.backend.wait_blocked(0);
  session.use("remove_machine", {{"machine", "machine-1"}});
  CHECK(session.use("create_machine")["name"] == "machine-1");
}

TEST_CASE("a client gets what it asks for as far as the policy goes") {
  Policy policy;
  policy.images = {"tools"};
  policy.most_memory_mib = 512;
  policy.most_cpus = 2;
  policy.network = NetworkMode::Nat;
  policy.nat.egress = Egress::Allowlist;
  policy.nat.allow = {"192.0.2.1"};
  Session session{policy};
  session.use("create_machine", {{"name", "a"}, {"memory_mib", 512}, {"cpus", 2}});
  const auto config = session.backend.last_config();
  CHECK(config.image == "tools");
  CHECK(config.memory_mib == 512);
  CHECK(config.cpus == 2);
  CHECK(config.hostname == "a");
  CHECK(config.network == NetworkMode::Nat);
  CHECK(config.nat == policy.nat);
  CHECK_FALSE(config.detached);
  CHECK(session.failure("create_machine", {{"memory_mib", 513}}).find("at most 512") != std::string::npos);
  CHECK(session.failure("create_machine", {{"cpus", 3}}).find("at most 2") != std::string::npos);
  CHECK(session.failure("create_machine", {{"image", "busybox"}}).find("may not be used") != std::string::npos);
  CHECK(session.failure("create_machine", {{"network", "nat"}}).find("must not have") != std::string::npos);
  CHECK(session.failure("run_command", {{"command", "echo"}, {"machine", "a"}, {"cpus", 1}}).find("'machine'") !=
        std::string::npos);
  const auto images = session.use("list_images")["images"];
  REQUIRE(images.size() == 1);
  CHECK(images[0]["name"] == "tools");
  CHECK(images[0]["default"] == true);
}

TEST_CASE("a snapshot keeps what a machine knew, and can be restored any number of times") {
  Session session;
  session.use("create_machine", {{"name", "a"}});
  session.set("a", "then");
  session.use("save_snapshot", {{"machine", "a"}, {"name", "s"}});
  session.set("a", "now");
  session.use("restore_snapshot", {{"snapshot", "s"}, {"name", "b"}});
  session.use("restore_snapshot", {{"snapshot", "s"}, {"name", "c"}});
  session.set("b", "other");
  CHECK(session.get("a") == "now");
  CHECK(session.get("b") == "other");
  CHECK(session.get("c") == "then");
  CHECK(session.failure("save_snapshot", {{"machine", "a"}, {"name", "s"}}).find("delete_snapshot") !=
        std::string::npos);
  CHECK(session.failure("restore_snapshot", {{"snapshot", "t"}}).find("list_snapshots") != std::string::npos);
  session.use("delete_snapshot", {{"name", "s"}});
  CHECK(session.get("c") == "then");
  CHECK(session.use("list_snapshots")["snapshots"].empty());
}

TEST_CASE("the user's own snapshots do not exist for a client") {
  Session session;
  session.backend.add_snapshot("mine");
  session.backend.add_snapshot("auto-1234");
  CHECK(session.use("list_snapshots")["snapshots"].empty());
  for (const auto* name : {"mine", "auto-1234"}) {
    CHECK(session.failure("restore_snapshot", {{"snapshot", name}}).find("no snapshot") != std::string::npos);
    CHECK(session.failure("delete_snapshot", {{"name", name}}).find("no snapshot") != std::string::npos);
  }
  CHECK(session.failure("delete_snapshot", {{"name", "../mine"}}).find("no snapshot") != std::string::npos);
  session.use("create_machine", {{"name", "a"}});
  session.use("save_snapshot", {{"machine", "a"}, {"name", "mine"}});
  CHECK(session.backend.snapshots().size() == 3);
}

TEST_CASE("there are no more snapshots than may be") {
  Policy policy;
  policy.snapshots = 1;
  Session session{policy};
  session.use("create_machine", {{"name", "a"}});
  session.use("save_snapshot", {{"machine", "a"}, {"name", "s"}});
  CHECK(session.failure("save_snapshot", {{"machine", "a"}, {"name", "t"}}).find("which is the limit") !=
        std::string::npos);
}

TEST_CASE("forks continue from where a machine is, each on its own, and leave no snapshot") {
  Session session;
  session.use("create_machine", {{"name", "a"}});
  session.set("a", "common");
  const auto machines = session.use("fork_machine", {{"machine", "a"}, {"names", {"b", "c"}}})["machines"];
  REQUIRE(machines.size() == 2);
  CHECK(machines[1]["name"] == "c");
  session.set("b", "b's own");
  CHECK(session.get("a") == "common");
  CHECK(session.get("b") == "b's own");
  CHECK(session.get("c") == "common");
  CHECK(session.backend.snapshots().empty());
  CHECK(session.use("fork_machine", {{"machine", "c"}})["machines"][0]["name"] == "machine-1");
}

TEST_CASE("forks are all made or none is") {
  Policy policy;
  policy.machines = 2;
  Session session{policy};
  session.use("create_machine", {{"name", "a"}});
  CHECK(session.failure("fork_machine", {{"machine", "a"}, {"names", {"b", "c"}}}).find("which is the limit") !=
        std::string::npos);
  CHECK(session.failure("fork_machine", {{"machine", "a"}, {"names", {"a"}}}).find("already") != std::string::npos);
  CHECK(session.backend.running() == 1);
  CHECK(session.backend.snapshots().empty());
  CHECK(session.use("list_machines")["machines"].size() == 1);
}

TEST_CASE("a fork of a machine without a network has none either") {
  Policy policy;
  policy.network = NetworkMode::User;
  Session session{policy};
  session.use("create_machine", {{"name", "a"}});
  session.use("fork_machine", {{"machine", "a"}});
  CHECK(session.backend.last_config().network == NetworkMode::User);
  Session bare;
  bare.use("create_machine", {{"name", "a"}});
  bare.use("save_snapshot", {{"machine", "a"}, {"name", "s"}});
  bare.policy.network = NetworkMode::User;
  bare.use("restore_snapshot", {{"snapshot", "s"}});
  CHECK(bare.backend.last_config().network == NetworkMode::None);
}

TEST_CASE("what a killed server's forks left behind is removed, what a living one needs is not") {
  Session session;
  // No process has the first number.
  session.backend.add_snapshot("mcp-fork.2000000000.1");
  session.backend.add_snapshot("mcp-fork.1.1");
  session.backend.add_snapshot("mcp-fork.x");
  session.snapshots.remove_leftovers();
  CHECK(session.backend.snapshots().size() == 2);
}

TEST_CASE("a command that a saved state, a fork or a removal ends says so") {
  Session session;
  session.use("create_machine", {{"name", "a"}});
  const auto ended_by = [&](const std::string& tool, const Json& arguments) {
    session.request("x", "tools/call",
                    {{"name", "run_command"}, {"arguments", {{"command", "block"}, {"machine", "a"}}}});
    session.backend.wait_blocked(1);
    session.request("y", "tools/call", {{"name", tool}, {"arguments", arguments}});
    std::string text;
    for (int i = 0; i < 2; ++i) {
      const auto answer = session.receive();
      if (answer["id"] == "x") {
        CHECK(answer["result"]["isError"] == true);
        text = answer["result"]["content"][0]["text"];
      } else {
        CHECK(answer["result"]["isError"] == false);
      }
    }
    return text;
  };
  CHECK(ended_by("save_snapshot", {{"machine", "a"}, {"name", "s"}}).find("by save_snapshot 's'") != std::string::npos);
  CHECK(ended_by("fork_machine", {{"machine", "a"}}).find("by fork_machine") != std::string::npos);
  CHECK(ended_by("remove_machine", {{"machine", "a"}}).find("by remove_machine") != std::string::npos);
}

TEST_CASE("limits hold for what was saved under others") {
  Policy policy;
  policy.most_cpus = 4;
  policy.most_memory_mib = 2048;
  Session session{policy};
  session.use("create_machine", {{"name", "cpus"}, {"cpus", 4}});
  session.use("create_machine", {{"name", "memory"}, {"memory_mib", 2048}});
  session.use("create_machine", {{"name", "image"}, {"image", "tools"}});
  for (const auto* name : {"cpus", "memory", "image"})
    session.use("save_snapshot", {{"machine", name}, {"name", name}});
  session.policy.most_cpus = 2;
  session.policy.most_memory_mib = 1024;
  session.policy.images = {"busybox"};
  CHECK(session.failure("restore_snapshot", {{"snapshot", "cpus"}}).find("4 virtual CPUs") != std::string::npos);
  CHECK(session.failure("restore_snapshot", {{"snapshot", "memory"}}).find("2048 MiB") != std::string::npos);
  CHECK(session.failure("restore_snapshot", {{"snapshot", "image"}}).find("image 'tools'") != std::string::npos);
  CHECK(session.backend.running() == 3);
}

TEST_CASE("files and folders are read up to the client's limit, with a note if there is more") {
  Policy policy;
  policy.file_bytes = 8;
  policy.folder_entries = 2;
  Session session{policy};
  session.use("create_machine", {{"name", "m"}});
  const auto write = [&](const char* path, const char* content, bool append) {
    return session.use("write_file", {{"machine", "m"}, {"path", path}, {"content", content}, {"append", append}});
  };
  CHECK(write("/a", "12345678", false)["size"] == 8);
  const auto whole = session.use("read_file", {{"machine", "m"}, {"path", "/a"}});
  CHECK(whole["content"] == "12345678");
  CHECK(whole["truncated"] == false);
  CHECK(write("/a", "9", true) == Json{{"path", "/a"}, {"written_bytes", 1}, {"size", 9}});
  CHECK(session.use("read_file", {{"machine", "m"}, {"path", "/a"}})["truncated"] == true);
  CHECK(session.use("read_file", {{"machine", "m"}, {"path", "/a"}, {"offset", 8}})["content"] == "9");
  CHECK(session.failure("write_file", {{"machine", "m"}, {"path", "/a"}, {"content", "123456789"}}).find("8") !=
        std::string::npos);
  CHECK(session.failure("read_file", {{"machine", "m"}, {"path", "/none"}}).find("no such file") != std::string::npos);

  write("/b", "", false);
  CHECK(session.use("list_directory", {{"machine", "m"}, {"path", "/"}})["truncated"] == false);
  write("/c", "", false);
  const auto listed = session.use("list_directory", {{"machine", "m"}, {"path", "/"}});
  CHECK(listed["truncated"] == true);
  CHECK(listed["entries"].size() == 2);
  CHECK(listed["entries"][1]["name"] == "b");
}
