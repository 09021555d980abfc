#include "crew/actions.hpp"

#include <algorithm>
#include <exception>
#include <span>

#include <fmt/format.h>

#include "common/command_line/network_word.hpp"
#include "fireclaw/error.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::size_t most_listed = 100;
constexpr std::size_t most_memory_lines = 12;
constexpr std::size_t longest_problem = 350;
constexpr std::size_t longest_line = 400;
/// Of a part of a line that comes from an agent or a template, in bytes.
constexpr std::size_t longest_part = 200;
constexpr std::size_t most_channels = 10;
constexpr std::size_t longest_channel = 50;

std::string_view word_for(AgentState state) {
  switch (state) {
    case AgentState::Starting: return "starting";
    case AgentState::Running: return "running";
    case AgentState::Paused: return "paused";
    case AgentState::Stopped: return "stopped";
    case AgentState::Crashed: return "down";
  }
  return "unknown";
}

/// What an agent or a template says, as part of a line: never so much that the rest drowns.
std::string part(std::string_view text) { return shorten(clean_line(text), longest_part); }

bool has_machine(const AgentInfo& info) { return !info.vm.empty(); }

std::string uptime(const AgentInfo& info) {
  const auto up = std::chrono::system_clock::now() - info.started;
  return human_age(std::max(std::chrono::seconds{0}, std::chrono::duration_cast<std::chrono::seconds>(up)));
}

Outcome answer(std::string line, std::optional<AgentInfo> agent = std::nullopt) {
  return {true, {std::move(line)}, std::move(agent)};
}

Outcome started(const AgentInfo& info) {
  auto outcome = answer(started_line(info), info);
  if (!info.notice.empty()) outcome.lines.push_back(fmt::format("Agent \"{}\": {}", info.name, part(info.notice)));
  if (!info.online) {
    outcome.lines.push_back(fmt::format("Agent \"{}\" is not on IRC yet{}{}", info.name,
                                        info.last_error.empty() ? "" : ": ", part(info.last_error)));
  }
  return outcome;
}

Outcome invoke(Agents& agents, const Command& command, const std::stop_token& stop) {
  const auto all = agents.templates();
  if (std::ranges::find(all, command.template_name, &AgentTemplate::name) == all.end()) {
    return {false,
            {fmt::format("There is no template \"{}\"; !templates lists those there are", command.template_name)},
            std::nullopt};
  }
  AgentConfig config;
  config.template_name = command.template_name;
  config.name = command.agent;
  config.settings.model = command.model;
  if (!command.network.empty()) config.network = cli::network_mode_of(command.network);
  config.services_only = command.network == cli::services_only;
  return started(agents.start(config, stop));
}

Outcome destroy(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  agents.stop(command.agent);
  agents.remove(command.agent);
  return answer(fmt::format("Agent \"{}\" destroyed; its workspace stays", command.agent));
}

Outcome restart(Agents& agents, const Command& command, const std::stop_token& stop) {
  return started(agents.restart(command.agent, stop));
}

Outcome pause(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  agents.pause(command.agent);
  return answer(fmt::format("Agent \"{}\" is paused", command.agent), agents.info(command.agent));
}

Outcome resume(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  agents.resume(command.agent);
  return answer(fmt::format("Agent \"{}\" is resumed", command.agent), agents.info(command.agent));
}

Outcome change(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  AgentSettings settings;
  const bool model = command.verb == Verb::Model;
  (model ? settings.model : settings.persona) = command.text;
  const auto info = agents.reload(command.agent, settings);
  const auto what = model ? "model " + command.text : std::string{"new persona"};
  return answer(fmt::format("Agent \"{}\": {}{}", info.name, what, has_machine(info) ? "" : ", once it is started"),
                info);
}

/// Several on a line, as far as they fit. Servers pass on lines, not bytes, at their pace.
std::vector<std::string> packed(const std::vector<std::string>& parts) {
  constexpr std::string_view between = " · ";
  std::vector<std::string> lines;
  for (const auto& part : parts) {
    if (!lines.empty() && lines.back().size() + between.size() + part.size() <= longest_line) {
      lines.back() += std::string{between} + part;
    } else {
      lines.push_back(part);
    }
  }
  return lines;
}

Outcome list(Agents& agents, const Command& /*command*/, const std::stop_token& /*stop*/) {
  const auto all = agents.list();
  if (all.empty()) return answer("There are no agents. !invoke <template> starts one; !templates lists the templates.");
  std::vector<std::string> parts;
  for (const auto& info : all) {
    if (parts.size() == most_listed) {
      parts.push_back(fmt::format("… and {} more; see: fireclaw agent list", all.size() - most_listed));
      break;
    }
    auto line = fmt::format("{} {}", in_brief(info), word_for(info.state));
    if (has_machine(info)) line += fmt::format(", up {}", uptime(info));
    if (info.state == AgentState::Crashed && !info.last_error.empty()) line += ": " + part(info.last_error);
    parts.push_back(std::move(line));
  }
  return {true, packed(parts), std::nullopt};
}

/// ", LLM: 12 requests, 3400 tokens, first token 0.4 s, 2 refused, 1 failed"; empty if nobody knows.
std::string llm_use(Agents& agents, const std::string& name) {
  try {
    const auto use = agents.llm_use(name);
    if (!use) return {};
    auto text = fmt::format(", LLM: {} requests, {} tokens, first token {:.1f} s", use->requests,
                            use->prompt_tokens + use->completion_tokens,
                            std::chrono::duration<double>{use->first_token}.count());
    if (use->refused != 0) text += fmt::format(", {} refused", use->refused);
    if (use->errors != 0) text += fmt::format(", {} failed", use->errors);
    return text;
  } catch (const Error&) {
    return ", LLM: the gateway does not answer";
  }
}

Outcome status(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  const auto info = agents.status(command.agent);
  auto line = fmt::format("{} {}", in_brief(info), word_for(info.state));
  if (has_machine(info)) {
    std::string channels;
    for (const auto& channel : std::span{info.channels}.first(std::min(info.channels.size(), most_channels)))
      channels += " " + shorten(clean_line(channel), longest_channel);
    if (info.channels.size() > most_channels)
      channels += fmt::format(" and {} more", info.channels.size() - most_channels);
    if (info.state == AgentState::Running) line += info.online ? ", on IRC in" + channels : ", not on IRC";
    line += fmt::format(", up {}, memory {} of {} MiB, CPU {}", uptime(info), human_bytes(info.memory_bytes),
                        info.memory_mib, human_age(std::chrono::duration_cast<std::chrono::seconds>(info.cpu_time)));
  }
  line += llm_use(agents, command.agent);
  if (!info.notice.empty()) line += ", " + part(info.notice);
  line += info.last_error.empty() ? ", no error" : ", last error: " + part(info.last_error);
  return answer(std::move(line), info);
}

Outcome logs(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  auto lines = clean_lines(agents.logs(command.agent, command.lines));
  if (lines.empty()) return answer(fmt::format("Agent \"{}\" has written no log yet", command.agent));
  if (lines.size() > command.lines) {
    lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(command.lines));
  }
  for (auto& line : lines) line = shorten(line, longest_line);
  return {true, std::move(lines), std::nullopt};
}

Outcome memory(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  const auto& name = command.agent;
  auto lines = clean_lines(agents.memory(name));
  if (lines.empty()) return answer(fmt::format("Agent \"{}\" has written nothing down yet", name));
  const auto more = lines.size() > most_memory_lines ? lines.size() - most_memory_lines : 0;
  lines.resize(lines.size() - more);
  for (auto& line : lines) line = shorten(line, longest_line);
  if (more > 0) lines.push_back(fmt::format("… and {} more lines; see: fireclaw agent memory {}", more, name));
  return {true, std::move(lines), std::nullopt};
}

/// "3 min ago, firewall: tcp example.org (203.0.113.7:443), allowlist"
std::string refused(const NetworkRefusal& refusal) {
  const auto ago = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now() - refusal.time);
  auto text = fmt::format("{} ago, {}:", human_age(std::max(std::chrono::seconds{0}, ago)), refusal.by);
  if (!refusal.protocol.empty()) text += " " + refusal.protocol;
  auto address = refusal.address;
  if (refusal.port != 0) address += fmt::format(":{}", refusal.port);
  const auto name = part(refusal.name);
  if (!name.empty()) text += " " + name;
  if (!address.empty()) text += name.empty() ? " " + address : fmt::format(" ({})", address);
  text += text.ends_with(':') ? " " + part(refusal.reason) : ", " + refusal.rule;
  if (refusal.unwritten != 0) text += fmt::format(" (and {} before)", refusal.unwritten);
  return text;
}

Outcome denied(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  const auto found = agents.refusals(command.agent, command.lines);
  if (found.empty()) return answer(fmt::format("Agent \"{}\" was refused nothing", command.agent));
  std::vector<std::string> parts;
  for (const auto& refusal : found) parts.push_back(refused(refusal));
  return {true, packed(parts), std::nullopt};
}

Outcome change_reach(Agents& agents, const Command& command, const std::stop_token& /*stop*/) {
  const bool allows = command.verb == Verb::Allow;
  const auto list = allows ? agents.allow(command.agent, command.text) : agents.deny(command.agent, command.text);
  return answer(shorten(
      clean_line(fmt::format("Agent \"{}\" {} reach {}; on its list: {}", command.agent, allows ? "may" : "may not",
                             command.text, list.empty() ? "nothing" : fmt::format("{}", fmt::join(list, ", ")))),
      longest_line));
}

Outcome templates(Agents& agents, const Command& /*command*/, const std::stop_token& /*stop*/) {
  std::vector<std::string> parts;
  const auto all = agents.templates();
  for (const auto& from : all) {
    if (parts.size() == most_listed) {
      parts.push_back(fmt::format("… and {} more; see: fireclaw agent templates", all.size() - most_listed));
      break;
    }
    parts.push_back(fmt::format("{} [{}]{} {}", from.name, part(from.model), from.tools ? " with tools:" : ":",
                                part(from.description)));
  }
  return {true, packed(parts), std::nullopt};
}

Outcome save(Agents& agents, const Command& command, const std::stop_token& stop) {
  const auto made = agents.snapshot(command.agent, command.text, stop);
  return answer(
      fmt::format("Agent \"{0}\" saved as {1} ({2}); fireclaw agent start --from {1} --name <new> starts one "
                  "from it",
                  command.agent, made.name, human_bytes(made.bytes)));
}

Outcome fork(Agents& agents, const Command& command, const std::stop_token& stop) {
  ForkConfig config;
  config.name = command.text;
  return started(agents.fork(command.agent, config, stop));
}

constexpr CommandRow rows[] = {
    {Verb::Invoke, "!invoke", "<template> [name] [--model M] [--net N]", "start an agent", Kind::Change, invoke},
    {Verb::Destroy, "!destroy", "<name>", "end an agent; its workspace stays", Kind::Change, destroy},
    {Verb::Restart, "!restart", "<name>", "stop and start an agent", Kind::Change, restart},
    {Verb::StopAll, "!stopall", "", "stop all agents; !restart starts them again", Kind::Change, nullptr},
    {Verb::Pause, "!pause", "<name>", "pause an agent's machine", Kind::Change, pause},
    {Verb::Resume, "!resume", "<name>", "resume it", Kind::Change, resume},
    {Verb::Model, "!model", "<name> <model>", "give an agent another model", Kind::Change, change},
    {Verb::Persona, "!persona", "<name> <text>", "give an agent another persona", Kind::Change, change},
    {Verb::List, "!list", "", "list the agents", Kind::Question, list},
    {Verb::Status, "!status", "<name>", "show an agent's state", Kind::Question, status},
    {Verb::Logs, "!logs", "<name> [lines]", "show the last lines of an agent's log", Kind::Question, logs},
    {Verb::Memory, "!memory", "<name>", "show an agent's MEMORY.md", Kind::Question, memory},
    {Verb::Denied, "!denied", "<name> [lines]", "show what an agent was refused last", Kind::Question, denied},
    {Verb::Allow, "!allow", "<name> <destination>", "let an agent reach a host or network", Kind::Change, change_reach},
    {Verb::Deny, "!deny", "<name> <destination>", "take a destination back", Kind::Change, change_reach},
    {Verb::Templates, "!templates", "", "list the templates", Kind::Question, templates},
    {Verb::Say, "!say", "<name> <text>", "say something to an agent; its answer comes here", Kind::Question, nullptr},
    {Verb::Snapshot, "!snapshot", "<name> [snapshot]", "save a running agent: memory, processes, files", Kind::Change,
     save},
    {Verb::Fork, "!fork", "<name> <new>", "start a second agent from a running one", Kind::Change, fork},
    {Verb::Help, "!help", "[command]", "explain a command", Kind::Question, nullptr},
    {Verb::Version, "!version", "", "show fireclaw's version", Kind::Question, nullptr},
};

}  // namespace

std::span<const CommandRow> command_rows() { return rows; }

Outcome carry_out(Agents& agents, const Command& command, const std::stop_token& stop) {
  try {
    return row_of(command.verb).act(agents, command, stop);
  } catch (const std::exception& problem) {
    return failed(agents, command, problem);
  }
}

Outcome failed(Agents& agents, const Command& command, const std::exception& problem) {
  const auto* error = dynamic_cast<const Error*>(&problem);
  if (error != nullptr && error->code() == ErrorCode::Cancelled) {
    return {false, {fmt::format("{} was cancelled: the overseer ends", to_text(command))}, std::nullopt};
  }
  if (command.verb != Verb::Invoke && is_gone(agents, command.agent)) {
    return {false, {fmt::format("There is no agent \"{}\"; !list shows those there are", command.agent)}, std::nullopt};
  }
  return {false, {fmt::format("{} failed: {}", to_text(command), to_line(problem))}, std::nullopt};
}

bool is_gone(Agents& agents, const std::string& name) {
  try {
    static_cast<void>(agents.info(name));
  } catch (const Error& problem) {
    return problem.code() == ErrorCode::NotFound;
  } catch (const std::exception&) {
    // Whatever is wrong with it, it is there.
  }
  return false;
}

std::string in_brief(const AgentInfo& info) {
  auto text = fmt::format("{} [{}]", info.nick, part(info.model));
  if (!info.address.empty()) text += fmt::format(" ({})", info.address);
  return text;
}

std::string started_line(const AgentInfo& info) {
  return fmt::format("Agent \"{}\" started: {}", info.name, in_brief(info));
}

std::string to_line(const std::exception& problem) { return shorten(clean_line(problem.what()), longest_problem); }

}  // namespace fireclaw::overseer
