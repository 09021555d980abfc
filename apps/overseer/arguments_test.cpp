#include "arguments.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

using namespace fireclaw;
using namespace fireclaw::overseer;

namespace {

/// Files that are gone at the end.
struct Folder {
  std::filesystem::path path =
      std::filesystem::temp_directory_path() / fmt::format("overseer-arguments-{}", ::getpid());

  Folder() { std::filesystem::create_directory(path); }
  ~Folder() { std::filesystem::remove_all(path); }
  [[nodiscard]] std::string file(const std::string& name, const std::string& content) const {
    std::ofstream{path / name} << content;
    return path / name;
  }
};

}  // namespace

TEST_CASE("what the command line says counts, and the file for the rest") {
  const Folder folder;
  Arguments arguments;
  arguments.config = folder.file("overseer.json", R"({
    "server": "irc.example.org", "port": 7000, "nick": "boss", "channel": "#ops", "sasl_user": "boss",
    "sasl_password": "old", "operators": ["account:alice"], "workers": 8, "metrics": "127.0.0.1:9464",
    "log_level": "debug"})");
  auto settings = settings_from(arguments);
  CHECK(settings.server.host == "irc.example.org");
  CHECK(settings.server.port == 7000);
  CHECK(settings.identity.sasl_password == "old");
  CHECK_FALSE(settings.server.tls);
  CHECK_FALSE(settings.stop_agents);

  arguments.server = "irc.example.net";
  arguments.port = 7001;
  arguments.nick = "chief";
  arguments.channel = "#control";
  arguments.tls = true;
  arguments.tls_ca = "/etc/ca.pem";
  arguments.sasl_user = "chief";
  arguments.sasl_password_file = folder.file("password", "new\nand more\n");
  arguments.operators = {"account:bob"};
  arguments.workers = 2;
  arguments.metrics = "127.0.0.1:9999";
  arguments.log_level = "error";
  arguments.stop_agents = true;
  settings = settings_from(arguments);
  CHECK(settings.server.host == "irc.example.net");
  CHECK(settings.server.port == 7001);
  CHECK(settings.server.tls);
  CHECK(settings.server.tls_ca == "/etc/ca.pem");
  CHECK(settings.identity.nick == "chief");
  CHECK(settings.identity.channel == "#control");
  CHECK(settings.identity.sasl_user == "chief");
  CHECK(settings.identity.sasl_password == "new");
  CHECK(settings.operators == std::vector<std::string>{"account:bob"});
  CHECK(settings.crew.changes == 2);
  CHECK(settings.metrics == "127.0.0.1:9999");
  CHECK(settings.log_level == LogLevel::Error);
  CHECK(settings.stop_agents);
}

TEST_CASE("with TLS the port is that of TLS, unless another one is named") {
  const Folder folder;
  Arguments arguments;
  arguments.tls = true;
  const auto port = [&](const std::string& file) {
    arguments.config = folder.file("overseer.json", file);
    return settings_from(arguments).server.port;
  };
  CHECK(port("{}") == 6697);
  CHECK(port(R"({"port": 7000})") == 7000);
  arguments.port = 6667;
  CHECK(port("{}") == 6667);
}

TEST_CASE("a file that is named and holds no password is an error") {
  const Folder folder;
  Arguments arguments;
  arguments.config = folder.file("overseer.json", R"({"sasl_user": "boss"})");
  for (const auto& file :
       {(folder.path / "none").string(), folder.file("empty", ""), folder.file("line", "\nword\n")}) {
    CAPTURE(file);
    arguments.sasl_password_file = file;
    CHECK_THROWS_WITH_AS(static_cast<void>(settings_from(arguments)),
                         fmt::format("'{}' holds no password on its first line", file).c_str(), Error);
  }
}
