#include "crew/commands.hpp"

#include <doctest/doctest.h>

#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <variant>

using namespace fireclaw::overseer;

namespace {

Command command(std::string_view line) {
  const auto parsed = parse_command(line);
  REQUIRE(parsed);
  if (const auto* malformed = std::get_if<Malformed>(&*parsed)) FAIL(malformed->help);
  return std::get<Command>(*parsed);
}

std::string problem(std::string_view line) {
  const auto parsed = parse_command(line);
  REQUIRE(parsed);
  REQUIRE(std::holds_alternative<Malformed>(*parsed));
  return std::get<Malformed>(*parsed).help;
}

}  // namespace

TEST_CASE("an agent is invoked with a name and a model, or without") {
  auto read = command("!invoke worker");
  CHECK(read.verb == Verb::Invoke);
  CHECK(read.template_name == "worker");
  CHECK(read.agent.empty());
  CHECK_FALSE(read.model);
  read = command("  !INVOKE   worker  ann  --model qwen2.5:7b ");
  CHECK(read.agent == "ann");
  CHECK(read.model == "qwen2.5:7b");
  CHECK(command("!invoke worker --model=m ann") == command("!invoke worker ann --model m"));
  CHECK(command("!invoke worker --net=services ann").network == "services");
}

TEST_CASE("other commands take what they need") {
  CHECK(command("!destroy worker").agent == "worker");
  CHECK(command("!model worker phi4-mini").text == "phi4-mini");
  CHECK(command("!persona worker You are  a parrot. ").text == "You are  a parrot.");
  CHECK(command("!say worker hi there").text == "hi there");
  CHECK(command("!logs worker").lines == default_log_lines);
  CHECK(command("!logs worker 7").lines == 7);
  CHECK(command("!fork worker twin").text == "twin");
  CHECK(command("!denied worker 7").lines == 7);
  CHECK(command("!allow worker *.example.org:443").text == "*.example.org:443");
  CHECK(command("!deny worker 10.0.0.0/8").text == "10.0.0.0/8");
  CHECK(problem("!allow worker").find("the destination is missing") != std::string::npos);
  CHECK(command("!snapshot worker").text.empty());
  CHECK(command("!snapshot worker before-1.2").text == "before-1.2");
  CHECK(command("!help").text.empty());
  CHECK(command("!help !invoke").text == "!invoke");
  for (const auto* word : {"!list", "!templates", "!stopall", "!version"}) CHECK(to_text(command(word)) == word);
}

TEST_CASE("talk is not a command") {
  for (const auto* line : {"", "hello", "!", "!!", "! list", "!?", "!1", "what about !list", "\xC3\xA9!list"}) {
    CAPTURE(line);
    CHECK_FALSE(parse_command(line));
  }
}

TEST_CASE("what is wrong is said in one line with how it is done") {
  CHECK(problem("!invoke") ==
        "!invoke: a template's name is missing. Usage: !invoke <template> [name] [--model M] [--net N]");
  CHECK(problem("!destroy") == "!destroy: an agent's name is missing. Usage: !destroy <name>");
  CHECK(problem("!destroy a b") == "!destroy: unexpected argument \"b\". Usage: !destroy <name>");
  CHECK(problem("!model worker") == "!model: the model is missing. Usage: !model <name> <model>");
  CHECK(problem("!say worker ") == "!say: the text is missing. Usage: !say <name> <text>");
  CHECK(problem("!logs worker 0").find("\"0\" is not a number of lines from 1 to 20") != std::string::npos);
  CHECK(problem("!logs worker 5x").find("\"5x\"") != std::string::npos);
  CHECK(problem("!logs worker 99999999999999999999").find("is not a number") != std::string::npos);
  CHECK(problem("!destroy ../x").find("\"../x\" cannot be an agent's name") != std::string::npos);
  CHECK(problem("!invoke worker --model").find("the model is missing") != std::string::npos);
  CHECK(problem("!invoke worker --modell m").find("unexpected argument \"--modell\"") != std::string::npos);
  CHECK(problem("!invoke worker --net").find("the network is missing") != std::string::npos);
  CHECK(problem("!invoke worker --net none").find("\"none\" cannot be an agent's network") != std::string::npos);
  CHECK(problem("!invoke worker --net nat --net nat").find("unexpected argument \"--net\"") != std::string::npos);
  CHECK(problem("!invoke worker a b").find("unexpected argument \"b\"") != std::string::npos);
  CHECK(problem("!list all").find("unexpected argument \"all\"") != std::string::npos);
}

TEST_CASE("a command that is nearly one is recognised") {
  CHECK(problem("!invok worker") == "There is no command \"!invok\"; did you mean !invoke? !help lists them all.");
  CHECK(problem("!frobnicate") == "There is no command \"!frobnicate\"; !help lists them all.");
  CHECK(problem("!" + std::string(5000, 'x')).size() < 200);
}

TEST_CASE("help names every command and explains each") {
  const auto all = help_for("");
  CHECK(all.size() < 400);
  for (int i = 0; i <= static_cast<int>(Verb::Version); ++i) {
    const auto word = word_of(static_cast<Verb>(i));
    CHECK(all.find(word) != std::string::npos);
    CHECK(help_for(word).starts_with(word));
    CHECK(help_for(word.substr(1)) == help_for(word));
  }
  CHECK(help_for("nothing").starts_with("There is no command \"!nothing\""));
}

TEST_CASE("a command reads back as it is written") {
  for (const auto* line :
       {"!invoke worker", "!invoke worker ann --model m", "!invoke worker ann --net services", "!destroy a",
        "!model a m", "!persona a b c", "!logs a 3", "!fork a b", "!stopall", "!help !list", "!say a b  c"}) {
    CHECK(to_text(command(line)) == line);
  }
}

TEST_CASE("every command's row says how it is read, what it means and who does it") {
  const std::map<std::string, std::string, std::less<>> examples{{"<template>", "worker"},
                                                                 {"<name>", "ada"},
                                                                 {"[name]", "ada"},
                                                                 {"[--model", "--model"},
                                                                 {"M]", "m"},
                                                                 {"[--net", "--net"},
                                                                 {"N]", "services"},
                                                                 {"<model>", "m"},
                                                                 {"<text>", "a b"},
                                                                 {"[snapshot]", "good"},
                                                                 {"[lines]", "3"},
                                                                 {"<new>", "bea"},
                                                                 {"[command]", "list"},
                                                                 {"<destination>", "example.org:443"}};
  for (const auto& row : command_rows()) {
    CAPTURE(row.word);
    CHECK(&row_of(row.verb) == &row);
    CHECK_FALSE(row.meaning.empty());
    std::string line{row.word};
    std::string least{row.word};
    std::istringstream arguments{std::string{row.arguments}};
    for (std::string argument; arguments >> argument;) {
      line += " " + examples.at(argument);
      if (argument.starts_with('<')) least += " " + examples.at(argument);
    }
    for (const auto& written : {line, least}) {
      const auto parsed = parse_command(written);
      REQUIRE(parsed);
      const auto* command = std::get_if<Command>(&*parsed);
      REQUIRE(command != nullptr);
      CHECK(command->verb == row.verb);
      CHECK(std::get<Command>(parse_command(to_text(*command)).value()) == *command);
    }
    const bool by_the_desk =
        row.verb == Verb::Help || row.verb == Verb::Version || row.verb == Verb::Say || row.verb == Verb::StopAll;
    CHECK((row.act == nullptr) == by_the_desk);
  }
}
