// Whatever people type: one helpful line, or a command that reads back as it is written.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "base/text.hpp"
#include "fuzz/require.hpp"
#include "overseer/crew/commands.hpp"
#include "overseer/irc/text.hpp"

namespace {

using fireclaw::is_agent_name;
using fireclaw::fuzz::require;
using namespace fireclaw::overseer;

void check(std::string_view line) {
  const auto parsed = parse_command(line);
  if (!parsed) return;
  if (const auto* malformed = std::get_if<Malformed>(&*parsed)) {
    require(!malformed->help.empty(), "help says something");
    require(malformed->help.size() < 400, "help is one line");
    return;
  }
  const auto& command = std::get<Command>(*parsed);
  require(command.agent.empty() || is_agent_name(command.agent), "an agent's name is one");
  require(command.template_name.empty() || is_agent_name(command.template_name), "a template's name is one");
  require(command.verb != Verb::Fork || is_agent_name(command.text), "so is a new agent's");
  require(command.lines <= most_log_lines, "lines are few");
  const auto again = parse_command(to_text(command));
  require(again.has_value() && std::holds_alternative<Command>(*again), "a command reads back");
  require(to_text(std::get<Command>(*again)) == to_text(command), "as it is written");
  static_cast<void>(help_for(command.text));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input{reinterpret_cast<const char*>(data), size};
  check(clean_line(input));
  check(input);
  return 0;
}
