#include "testing/fake_agents.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::overseer {
namespace {

using Json = nlohmann::json;

AgentTemplate make(std::string name, std::string model, std::string description, bool tools) {
  AgentTemplate made;
  made.name = made.nick = std::move(name);
  made.model = std::move(model);
  made.description = std::move(description);
  made.tools = tools;
  made.channels = {"#agents"};
  made.memory_mib = 384;
  return made;
}

const std::vector<AgentTemplate>& all_templates() {
  static const std::vector<AgentTemplate> all{
      make("broken", "m", "never starts", false),         make("chatty", "m", "says too much", false),
      make("frail", "m", "starts once", false),           make("muse", "gemma3:4b", "ideas", false),
      make("quick", "phi4-mini", "short answers", false), make("shy", "m", "stays off IRC", false),
      make("sickly", "m", "ends at once", false),         make("slow", "m", "takes its time", false),
      make("worker", "qwen2.5:7b", "general work", true)};
  return all;
}

const AgentTemplate& find_template(const std::string& name) {
  const auto found = std::ranges::find(all_templates(), name, &AgentTemplate::name);
  if (found == all_templates().end()) throw Error{ErrorCode::NotFound, fmt::format("no template '{}'", name)};
  return *found;
}

class PidWatch final : public EndWatch {
 public:
  explicit PidWatch(cli::Fd fd) : fd_{std::move(fd)} {}
  [[nodiscard]] int fd() const override { return fd_.get(); }

 private:
  cli::Fd fd_;
};

cli::Fd pidfd_of(std::int64_t pid) {
  return cli::Fd{static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0))};
}

bool wait_for_end(const cli::Fd& pidfd, int ms) {
  pollfd one{pidfd.get(), POLLIN, 0};
  return ::poll(&one, 1, ms) > 0;
}

std::int64_t spawn_machine(const char* seconds) {
  const char* argv[] = {"sleep", seconds, nullptr};
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  for (int fd = 0; fd <= 2; ++fd) ::posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
  pid_t pid = 0;
  const int error = ::posix_spawnp(&pid, "sleep", &actions, nullptr, const_cast<char* const*>(argv), nullptr);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw Error{ErrorCode::Vmm, "the machine cannot be spawned"};
  return pid;
}

}  // namespace

/// While one lives, another change of the same agent is a bug of the caller.
struct FakeAgents::Change {
  Change(FakeAgents& agents, std::string name, const std::string& what) : agents_{agents}, name_{std::move(name)} {
    const std::scoped_lock lock{agents_.mutex_};
    if (agents_.changing_[name_]++ != 0) agents_.calls_.push_back("two changes at once of " + name_);
    agents_.calls_.push_back(what + " " + name_);
  }
  Change(const Change&) = delete;
  Change& operator=(const Change&) = delete;
  ~Change() {
    const std::scoped_lock lock{agents_.mutex_};
    --agents_.changing_[name_];
  }

  FakeAgents& agents_;
  std::string name_;
};

FakeAgents::FakeAgents(std::filesystem::path folder, std::chrono::milliseconds slow)
    : folder_{std::move(folder)}, slow_{slow} {
  std::filesystem::create_directories(folder_);
}

std::filesystem::path FakeAgents::path_of(const std::string& name) const { return folder_ / (name + ".json"); }

FakeAgents::Record FakeAgents::load(const std::string& name) {
  std::ifstream file{path_of(name)};
  if (!file) throw Error{ErrorCode::NotFound, fmt::format("no agent '{}'", name)};
  const auto json = Json::parse(file);
  return {json.at("template"), json.at("model"),   json.at("persona"),  json.at("phase"),
          json.at("pid"),      json.at("started"), json.at("detached"), json.at("error")};
}

void FakeAgents::save(const std::string& name, const Record& record) {
  const Json json{{"template", record.template_name},
                  {"model", record.model},
                  {"persona", record.persona},
                  {"phase", record.phase},
                  {"pid", record.pid},
                  {"started", record.started},
                  {"detached", record.detached},
                  {"error", record.error}};
  const auto beside = path_of(name).native() + ".new";
  std::ofstream{beside} << json.dump();
  std::filesystem::rename(beside, path_of(name));
}

bool FakeAgents::lives(std::int64_t pid) {
  if (pid == 0) return false;
  ::waitpid(static_cast<pid_t>(pid), nullptr, WNOHANG);  // if it is a child of ours that has ended
  const auto fd = pidfd_of(pid);
  return fd && !wait_for_end(fd, 0);
}

void FakeAgents::kill(std::int64_t pid) {
  const auto fd = pidfd_of(pid);
  if (!fd) return;
  ::kill(static_cast<pid_t>(pid), SIGKILL);
  wait_for_end(fd, 5000);
}

AgentInfo FakeAgents::describe(const std::string& name, const Record& record) {
  AgentInfo info;
  info.name = info.nick = info.workspace = name;
  info.template_name = record.template_name;
  info.model = record.model;
  info.memory_mib = 384;
  info.detached = record.detached;
  info.started = std::chrono::system_clock::time_point{std::chrono::seconds{record.started}};
  const bool alive = lives(record.pid);
  if (starting_.contains(name)) {
    info.state = AgentState::Starting;
  } else if (record.phase == "stopped") {
    info.state = AgentState::Stopped;
  } else if (!alive) {
    info.state = AgentState::Crashed;
    info.last_error = record.error.empty() ? "its machine ended unexpectedly" : record.error;
  } else {
    info.state = record.phase == "paused" ? AgentState::Paused : AgentState::Running;
    info.vm = fmt::format("{:016x}", record.pid);
    info.address = "172.16.0.2";
    info.engine_pid = record.pid;
    info.memory_bytes = 100 << 20;
    info.cpu_time = std::chrono::seconds{3};
  }
  return info;
}

std::vector<AgentTemplate> FakeAgents::templates() { return all_templates(); }

std::vector<AgentInfo> FakeAgents::list() {
  const std::scoped_lock lock{mutex_};
  std::vector<AgentInfo> all;
  for (const auto& entry : std::filesystem::directory_iterator{folder_}) {
    if (entry.path().extension() == ".json") all.push_back(describe(entry.path().stem(), load(entry.path().stem())));
  }
  std::ranges::sort(all, {}, &AgentInfo::name);
  return all;
}

AgentInfo FakeAgents::info(const std::string& name) {
  const std::scoped_lock lock{mutex_};
  return describe(name, load(name));
}

AgentInfo FakeAgents::status(const std::string& name) {
  auto found = info(name);
  if (found.state == AgentState::Running) {
    found.online = found.template_name != "shy";
    if (found.online) found.channels = {"#agents"};
    if (found.template_name == "muse") found.nick += "_";
    if (found.template_name == "chatty") {
      found.channels.assign(50, "#" + std::string(150, 'c'));
      found.last_error = std::string(60'000, 'e');
    }
    found.llm_errors = 2;
  }
  return found;
}

AgentInfo FakeAgents::start(const AgentConfig& config, std::stop_token stop) {
  const auto* from = &find_template(config.template_name);
  const auto name = config.name.empty() ? from->nick : config.name;
  const Change change{*this, name, "start"};
  std::unique_lock lock{mutex_};
  Record record;
  const bool known = std::filesystem::exists(path_of(name));
  if (known) record = load(name);
  if (known && lives(record.pid)) throw Error{ErrorCode::AlreadyExists, fmt::format("agent '{}' runs already", name)};
  if (from->name == "broken") throw Error{ErrorCode::Vmm, fmt::format("start agent '{}': the engine refused", name)};
  if (from->name == "frail" && known) {
    throw Error{ErrorCode::Vmm, fmt::format("start agent '{}': the engine refused", name)};
  }
  if (from->name == "slow") {
    changed_.wait_for(lock, stop, slow_, [] { return false; });
    if (stop.stop_requested()) throw Error{ErrorCode::Cancelled, "stopped"};
  }
  if (!known || record.template_name != from->name) record = {from->name, from->model, {}, {}, 0, 0, true, {}};
  if (config.settings.model) record.model = *config.settings.model;
  record.detached = config.detached;
  record.phase = "running";
  record.error.clear();
  record.pid = spawn_machine(from->name == "sickly" ? "0" : "600");
  record.started = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  save(name, record);
  auto info = describe(name, record);
  info.nick = name;
  info.model = record.model;
  info.online = from->name != "shy";
  if (!info.online) info.last_error = "no connection to 172.16.0.1:6667";
  return info;
}

AgentInfo FakeAgents::fork(const std::string& name, const ForkConfig& config, std::stop_token stop) {
  const auto first = info(name);
  if (first.vm.empty()) throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' is not running", name)};
  if (std::filesystem::exists(path_of(config.name))) {
    throw Error{ErrorCode::AlreadyExists, fmt::format("there is an agent '{}' already", config.name)};
  }
  AgentConfig second;
  second.template_name = first.template_name;
  second.name = config.name;
  second.settings.model = first.model;
  return start(second, std::move(stop));
}

SnapshotInfo FakeAgents::snapshot(const std::string& name, const std::string& snapshot, std::stop_token) {
  const Change change{*this, name, "snapshot"};
  if (info(name).vm.empty()) throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' is not running", name)};
  SnapshotInfo made;
  made.name = snapshot.empty() ? name + "-20260101-000000" : snapshot;
  made.agent = name;
  made.bytes = 42 << 20;
  return made;
}

void FakeAgents::stop(const std::string& name) {
  const Change change{*this, name, "stop"};
  const std::scoped_lock lock{mutex_};
  auto record = load(name);
  // Before the machine ends, so that its end is not a surprise.
  record.phase = "stopped";
  save(name, record);
  kill(record.pid);
  record.pid = 0;
  save(name, record);
}

AgentInfo FakeAgents::restart(const std::string& name, std::stop_token stop) {
  const auto before = info(name);
  AgentConfig config;
  config.name = name;
  config.template_name = before.template_name;
  static_cast<void>(find_template(config.template_name));
  FakeAgents::stop(name);
  try {
    return start(config, std::move(stop));
  } catch (const Error& problem) {
    // An agent that was to run is down now, not stopped.
    const std::scoped_lock lock{mutex_};
    auto record = load(name);
    record.phase = before.state == AgentState::Stopped ? "stopped" : "running";
    record.error = problem.what();
    save(name, record);
    throw;
  }
}

void FakeAgents::remove(const std::string& name) {
  const Change change{*this, name, "remove"};
  const std::scoped_lock lock{mutex_};
  if (lives(load(name).pid)) throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' runs", name)};
  std::filesystem::remove(path_of(name));
}

AgentInfo FakeAgents::reload(const std::string& name, const AgentSettings& settings) {
  const Change change{*this, name, "reload"};
  const std::scoped_lock lock{mutex_};
  auto record = load(name);
  if (settings.model) record.model = *settings.model;
  if (settings.persona) record.persona = *settings.persona;
  save(name, record);
  return describe(name, record);
}

void FakeAgents::pause(const std::string& name) {
  const Change change{*this, name, "pause"};
  const std::scoped_lock lock{mutex_};
  auto record = load(name);
  if (!lives(record.pid)) throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' is not running", name)};
  record.phase = "paused";
  save(name, record);
}

void FakeAgents::resume(const std::string& name) {
  const Change change{*this, name, "resume"};
  const std::scoped_lock lock{mutex_};
  auto record = load(name);
  if (!lives(record.pid)) throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' is not running", name)};
  record.phase = "running";
  save(name, record);
}

std::vector<std::string> FakeAgents::upgrade(std::stop_token /*stop*/) {
  return std::filesystem::remove(folder_ / "old") ? std::vector<std::string>{"image busybox"}
                                                  : std::vector<std::string>{};
}

ReconcileReport FakeAgents::reconcile() {
  if (std::filesystem::exists(folder_ / "slow-to-answer")) {
    std::unique_lock lock{mutex_};
    changed_.wait_for(lock, slow_, [] { return false; });
  }
  ReconcileReport report;
  for (const auto& info : list()) {
    if (!info.vm.empty()) report.adopted.push_back(info.name);
    if (info.state == AgentState::Crashed) report.crashed.push_back(info.name);
  }
  return report;
}

std::unique_ptr<EndWatch> FakeAgents::watch(const std::string& name) {
  const std::scoped_lock lock{mutex_};
  auto fd = pidfd_of(load(name).pid);
  if (!fd) throw Error{ErrorCode::InvalidState, fmt::format("agent '{}' is not running", name)};
  return std::make_unique<PidWatch>(std::move(fd));
}

std::string FakeAgents::logs(const std::string& name, std::size_t lines) {
  static_cast<void>(info(name));
  std::string text;
  for (std::size_t i = 1; i <= lines; ++i) text += fmt::format("line {} of {}\n", i, name);
  return text;
}

std::string FakeAgents::memory(const std::string& name) {
  if (info(name).template_name == "shy") throw Error{ErrorCode::NotFound, "no file 'MEMORY.md' in the workspace"};
  return "# Agent Memory\n\n- the gate code is \x03"
         "04,074711\x02\n";
}

void FakeAgents::crash(const std::string& name) {
  const std::scoped_lock lock{mutex_};
  kill(load(name).pid);
}

void FakeAgents::show_starting(const std::string& name, bool starting) {
  const std::scoped_lock lock{mutex_};
  if (starting) {
    starting_.insert(name);
  } else {
    starting_.erase(name);
  }
}

std::vector<std::string> FakeAgents::calls() {
  const std::scoped_lock lock{mutex_};
  return calls_;
}

std::vector<NetworkRefusal> FakeAgents::refusals(const std::string& name, std::size_t most) {
  if (info(name).template_name != "chatty") return {};
  NetworkRefusal asked;
  asked.time = std::chrono::system_clock::now() - std::chrono::minutes{3};
  asked.agent = name;
  asked.by = "names";
  asked.name =
      "pay\x03"
      "04load.example.org";
  asked.rule = "allowlist";
  asked.reason = "the name is not on the machine's list";
  auto connected = asked;
  connected.by = "firewall";
  connected.protocol = "tcp";
  connected.address = "203.0.113.7";
  connected.port = 443;
  connected.name.clear();
  connected.unwritten = 7;
  std::vector<NetworkRefusal> all{asked, connected};
  if (all.size() > most) all.erase(all.begin(), all.end() - static_cast<std::ptrdiff_t>(most));
  return all;
}

std::vector<std::string> FakeAgents::allow(const std::string& name, const std::string& destination) {
  const Change change{*this, name, "allow"};
  const std::scoped_lock lock{mutex_};
  static_cast<void>(load(name));
  auto& list = allowed_[name];
  list.push_back(destination);
  return list;
}

std::vector<std::string> FakeAgents::deny(const std::string& name, const std::string& destination) {
  const Change change{*this, name, "deny"};
  const std::scoped_lock lock{mutex_};
  static_cast<void>(load(name));
  if (std::erase(allowed_[name], destination) == 0) {
    throw Error{ErrorCode::NotFound, fmt::format("'{}' is not on the list of agent '{}'", destination, name)};
  }
  return allowed_[name];
}

std::optional<GatewayAgent> FakeAgents::llm_use(const std::string& name) {
  const std::scoped_lock lock{mutex_};
  if (load(name).template_name != "chatty") return std::nullopt;
  return GatewayAgent{name, 12, 2, 1, 3000, 400, std::chrono::milliseconds{420}, std::chrono::seconds{2}};
}

bool FakeAgents::keep_gateway() { return std::filesystem::remove(folder_ / "gateway-killed"); }

std::map<std::string, std::string> FakeAgents::limits_reached() {
  std::map<std::string, std::string> reached;
  std::ifstream file{folder_ / "gateway-limits"};
  std::string name;
  for (std::string text; file >> name && std::getline(file >> std::ws, text);) reached.emplace(name, text);
  return reached;
}

}  // namespace fireclaw::overseer
