#include "core/agents/guest.hpp"

#include <csignal>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "core/agents/bot_config.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/service.hpp"
#include "guest/session.hpp"
#include "image/tools.hpp"
#include "json/json.hpp"

namespace fireclaw::core {
namespace {

constexpr std::string_view service_name = "agent";
/// Made by the bot once it has loaded everything.
constexpr std::string_view ready_file = "/run/fireclaw/agent.ready";
constexpr std::uint64_t log_limit_bytes = 256 << 10;
/// A bot that lives hears of a signal at once; this is for emulation on a busy host.
constexpr std::chrono::seconds rename_limit{20};
constexpr std::size_t max_status_bytes = std::size_t{64} << 10;

ServiceOptions bot_service() {
  ServiceOptions service;
  service.name = service_name;
  service.argv = {
      "/usr/bin/python3",     "-m", "bot", "--config", std::string{bot_config_file}, "--wait-config", "--ready-file",
      std::string{ready_file}};
  service.env = {{"PYTHONPATH", "/usr/lib/fireclaw/agent"}, {"PYTHONUNBUFFERED", "1"}};
  // Not the workspace: its disk is mounted later, and would not be where the program is.
  service.cwd = "/";
  service.user = agent_user;
  service.log = fmt::format("{}/{}", agent_workspace, agent_log);
  service.log_limit_bytes = log_limit_bytes;
  service.restart = RestartPolicy::Always;
  return service;
}

/// The content of a small file in the guest; empty if there is none.
std::string read_if_there(guest::Session& session, std::string_view path, Deadline deadline) {
  try {
    return session.read_file(std::string{path}, max_status_bytes, deadline);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::NotFound) throw;
    return {};
  }
}

/// A healthy agent is on IRC before that. Then it is said what is waited for.
constexpr std::chrono::seconds quiet_limit{5};

/// What the bot's service is doing if it is not running, in words; empty if it is.
std::string service_trouble(guest::Session& session, Deadline deadline) {
  for (const auto& service : session.services(deadline)) {
    if (service.name != service_name || service.state == ServiceState::Running) continue;
    return fmt::format("the bot ended with status {}{}; see: fireclaw agent logs", service.exit_code,
                       service.problem.empty() ? "" : " (" + service.problem + ")");
  }
  return {};
}

/// No two machines have the same one: it is made when it is needed next.
void forget_host_key(guest::Session& session, Deadline deadline, const std::stop_token& stop) {
  ExecOptions forget;
  forget.argv = {std::string{ssh_server_program}, "--forget"};
  forget.user = "root";
  forget.cwd = "/";
  forget.stop = stop;
  if (const auto left = deadline.remaining()) {
    forget.timeout = std::chrono::duration_cast<std::chrono::milliseconds>(*left);
  }
  const auto done = session.exec(std::move(forget));
  // An image without one has no key either.
  if (done.exit_code != 0 && done.exit_code != 127) {
    throw Error{ErrorCode::Guest, fmt::format("the machine keeps the other one's SSH key: {}", one_line(done.err))};
  }
}

/// One that is just between its end and its next start reads its configuration then.
void signal_bot(guest::Session& session, int number, Deadline deadline) {
  try {
    session.service_signal(std::string{service_name}, number, deadline);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::InvalidState) throw;
  }
}

}  // namespace

BotStatus parse_status(const std::string& text) {
  BotStatus status;
  if (text.empty()) return status;
  try {
    const auto value = json::Value::parse(text, bot_status_file);
    status.name = value.at("name").as_string();
    if (const auto nick = value.find("nick")) status.nick = nick->as_string();
    status.online = value.at("state").as_string() == "online";
    for (const auto& channel : value.at("channels").as_array()) status.channels.push_back(channel.as_string());
    if (const auto problem = value.find("last_error")) status.last_error = problem->as_string();
    if (const auto count = value.find("llm_errors")) status.llm_errors = count->as_uint();
  } catch (const Error& problem) {
    status = {};
    status.last_error = problem.what();
  }
  return status;
}

void prepare_agent(guest::Session& session, Deadline deadline, const std::stop_token& stop) {
  // The bot runs as an ordinary user, who cannot make this folder.
  ExecOptions make_folder;
  make_folder.argv = {"install", "-d", "-o", std::string{agent_user}, "-g", std::string{agent_user}, "/run/fireclaw"};
  make_folder.user = "root";
  make_folder.cwd = "/";
  make_folder.stop = stop;
  const auto made = session.exec(std::move(make_folder));
  if (made.exit_code != 0) {
    throw Error{ErrorCode::Guest, fmt::format("the image cannot run agents: {}", one_line(made.err))};
  }
  auto ready = session.watch_file(std::string{ready_file}, deadline);
  session.service_start(bot_service(), deadline);
  try {
    ready.wait(deadline, stop);
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::Timeout) throw;
    const auto trouble = service_trouble(session, Deadline::after(std::chrono::seconds{5}));
    throw Error{ErrorCode::Timeout, trouble.empty() ? "the bot did not get ready in time" : trouble};
  }
}

void configure_agent(VM::Impl& machine, std::string_view bot_json, Deadline deadline) {
  const auto session = machine.session(deadline, {});
  constexpr unsigned readable = 0644;  // the bot is not root
  session->write_file(std::string{bot_config_file}, bot_json, readable, deadline);
  signal_bot(*session, SIGHUP, deadline);
}

void rename_agent(VM::Impl& machine, std::string_view bot_json, Deadline deadline, const std::stop_token& stop) {
  const auto session = machine.session(deadline, stop);
  const auto renamed = [&](Deadline until) {
    for (;;) {
      auto changed = session->watch_file(std::string{bot_status_file}, deadline);
      if (parse_status(read_if_there(*session, bot_status_file, deadline)).name == machine.record.agent) return true;
      try {
        changed.wait(until, stop);
      } catch (const Error& problem) {
        if (problem.code() != ErrorCode::Timeout || deadline.passed()) throw;
        return false;
      }
    }
  };
  configure_agent(machine, bot_json, deadline);
  forget_host_key(*session, deadline, stop);
  if (renamed(Deadline::after(rename_limit).sooner(deadline))) return;
  // It hangs, or is from an image whose bot cannot become another. guestd starts it again.
  signal_bot(*session, SIGKILL, deadline);
  renamed(deadline);
}

BotStatus bot_status(VM::Impl& machine, Deadline deadline) {
  const auto session = machine.session(deadline, {});
  auto status = parse_status(read_if_there(*session, bot_status_file, deadline));
  // In a copied machine the other agent's may still be there.
  if (!status.name.empty() && status.name != machine.record.agent) status = {};
  if (status.online) return status;
  if (auto trouble = service_trouble(*session, deadline); !trouble.empty()) status.last_error = std::move(trouble);
  return status;
}

BotStatus await_online(VM::Impl& machine, Deadline deadline, const std::stop_token& stop) {
  const auto session = machine.session(deadline, stop);
  auto until = Deadline::after(quiet_limit).sooner(deadline);
  for (;;) {
    // Armed before the file is read: no change in between is missed.
    auto changed = session->watch_file(std::string{bot_status_file}, deadline);
    auto status = bot_status(machine, deadline);
    if (status.online && !status.channels.empty()) return status;
    try {
      changed.wait(until, stop);
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::Timeout) throw;
      if (deadline.passed()) return status;
      machine.host->logger.warning(
          fmt::format("waiting for agent '{}' to be on IRC: {}", machine.record.agent,
                      status.last_error.empty() ? "its server has not answered yet" : status.last_error));
      until = deadline;
    }
  }
}

}  // namespace fireclaw::core
