#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "command.hpp"
#include "common/json_of.hpp"
#include "common/text/style.hpp"
#include "fireclaw/gateway.hpp"
#include "fireclaw/llm.hpp"
#include "output.hpp"
#include "up/llm_choice.hpp"
#include "up/part.hpp"

namespace fireclaw::cli {
namespace {

constexpr std::uint16_t irc_port = 6667;
constexpr std::chrono::seconds irc_limit{60};
constexpr std::chrono::seconds overseer_limit{60};
/// What an agent that does not answer takes to be ended, with room for several in a row.
constexpr std::chrono::seconds agents_end_limit{150};
constexpr std::chrono::seconds irc_end_limit{10};

struct Options {
  std::string agent_template = "worker";
  std::string name;
  std::string model;
  std::string llm;
  std::string network;
};

bool listens_on_loopback(std::uint16_t port) {
  const Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return socket && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
}

/// The crew while it is made, runs and ends. Destruction ends what there is, in order.
class Crew {
 public:
  Crew(const Options& options, const Context& context)
      : options_{options}, context_{context}, host_{context.make_host()}, agents_{host_.agents()} {}
  Crew(const Crew&) = delete;
  Crew& operator=(const Crew&) = delete;
  ~Crew() {
    try {
      end();
    } catch (const std::exception& problem) {
      print_message("fireclaw", problem.what());
    }
  }

  void start() {
    // What a newcomer has to do first is said before anything is made.
    const auto from = agents_.find_template(options_.agent_template);
    look_around(from);
    choose_network();
    choose_llm();
    set_up();
    use_llm();
    start_network();
    start_irc();
    start_overseer();
    start_agent();
    // From now on all agents are the crew's.
    others_.clear();
    if (context_.json) print_json(report_);
    std::fflush(stdout);
  }

  /// Until Ctrl-C (true), or a part ends by itself, which is told.
  bool stay() {
    say("ready", "Ctrl-C ends all of it");
    std::optional<int> first;
    try {
      first = irc_ ? wait_readable({irc_->fd(), overseer_->fd()}, std::nullopt, context_.stop)
                   : wait_readable({overseer_->fd()}, std::nullopt, context_.stop);
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::Cancelled) throw;
      return true;
    }
    print_message("fireclaw", (*first == overseer_->fd() ? *overseer_ : *irc_).why_ended());
    return false;
  }

  /// Agents, then the overseer, IRC and the network. What cannot be ended does not keep the rest; the first problem is
  /// thrown at the end.
  void end() {
    std::exception_ptr first;
    const auto attempt = [&first](auto&& step) {
      try {
        step();
      } catch (...) {
        if (!first) first = std::current_exception();
      }
    };
    if (std::exchange(has_agents_, false)) {
      say("agents", "ending");
      // The overseer ends all of them: one that may not is killed, and they are ended here.
      if (overseer_ && others_.empty()) attempt([&] { overseer_->end(agents_end_limit); });
      const bool has_overseer = overseer_.has_value();
      overseer_.reset();
      attempt([&] {
        for (const auto& agent : agents_.list()) {
          if (is_ours(agent)) attempt([&] { agents_.open(agent.name).stop(); });
        }
      });
      if (!first) say("agents", "ended");
      if (has_overseer) say("overseer", "ended");
    }
    if (irc_) {
      attempt([&] { irc_->end(irc_end_limit); });
      irc_.reset();
      say("irc", "ended");
    }
    if (std::exchange(has_network_, false)) attempt([&] { end_network(); });
    if (first) std::rethrow_exception(first);
  }

 private:
  /// To be ended with the crew.
  [[nodiscard]] bool is_ours(const AgentInfo& agent) const {
    return !agent.vm.empty() && agent.detached && std::ranges::find(others_, agent.name) == others_.end();
  }

  void end_network() {
    try {
      if (host_.network().down()) say("network", "removed");
    } catch (const Error& problem) {
      // Another machine uses it.
      if (problem.code() != ErrorCode::InvalidState) throw;
      say("network", "stays: " + std::string{problem.what()});
    }
  }

  /// The agent that the crew's first is now; nullopt: there is none. Error(InvalidArgument) for what cannot be a name.
  [[nodiscard]] std::optional<AgentInfo> known() const {
    try {
      return agents_.open(name_).info();
    } catch (const Error& problem) {
      if (problem.code() != ErrorCode::NotFound) throw;
      return std::nullopt;
    }
  }

  void look_around(const AgentTemplate& from) {
    name_ = options_.name.empty() ? from.nick : options_.name;
    const auto before = known();
    usual_model_ = before && before->template_name == from.name ? before->model : from.model;
    for (const auto& agent : agents_.list()) {
      if (!agent.vm.empty()) others_.push_back(agent.name);
    }
  }

  void say(std::string_view what, const std::string& text) {
    if (context_.json) return;
    std::puts(fmt::format("{:<9} {}", what, printable(text)).c_str());
    std::fflush(stdout);
  }

  void set_up() {
    ProgressPrinter progress;
    SetupOptions setup;
    setup.agents = true;
    setup.stop = context_.stop;
    setup.progress = [&progress](const Progress& step) { progress(step); };
    SetupReport made;
    try {
      made = host_.setup(setup);
    } catch (...) {
      progress.finish();
      throw;
    }
    say("setup", fmt::format("agents run in image {}, on {}", made.agent_image, made.engine));
  }

  void choose_network() {
    if (!options_.network.empty()) {
      network_ = network_mode_from_string(options_.network);
      if (network_ == NetworkMode::None)
        throw Error{ErrorCode::InvalidArgument, "a crew needs --net nat or --net user"};
      return;
    }
    const auto best = host_.network().best_mode();
    if (best.mode == NetworkMode::None) {
      throw Error{ErrorCode::Unsupported,
                  best.reason + "; or name QEMU's, which reaches this host's own network: --net user"};
    }
    network_ = best.mode;
  }

  void choose_llm() {
    const auto servers = host_.llm_servers();
    model_ = options_.model;
    named_llm_ = servers.named();
    if (options_.llm.empty() && named_llm_) return;
    llm_ = find_server(servers);
    if (!model_.empty()) {
      require_model(*llm_, model_);
    } else if (auto found = choose_model(*llm_, usual_model_); found != usual_model_) {
      model_ = std::move(found);
    }
  }

  void use_llm() {
    if (!llm_) {
      say("llm", fmt::format("{}, as config.json says", *named_llm_));
      report_["llm"] = {{"url", *named_llm_}};
      return;
    }
    host_.llm_servers().use(*llm_, network_);
    say("llm", fmt::format("{} at {}, model {}", llm_->name, llm_->url, model_.empty() ? usual_model_ : model_));
    report_["llm"] = to_json(*llm_);
  }

  [[nodiscard]] LlmServer find_server(const LlmServers& servers) const {
    if (!options_.llm.empty()) return servers.ask(options_.llm);
    auto found = servers.find();
    if (found.empty())
      throw Error{ErrorCode::NotFound, how_to_get_llm(options_.model.empty() ? usual_model_ : options_.model)};
    return std::move(found.front());
  }

  void start_network() {
    if (network_ != NetworkMode::Nat) {
      say("network", "the engine's, which reaches this host's own");
      return;
    }
    const bool was_up = host_.network().info().up;
    // A gateway that runs keeps the ports that it began with.
    if (was_up && llm_ && host_.gateway().info().address.empty()) host_.network().down();
    host_.network().up();
    has_network_ = !was_up;
    const auto gateway = host_.gateway().info();
    if (!gateway.address.empty()) say("gateway", gateway.address + " leads agents to the LLM server");
    report_["gateway"] = gateway.address;
  }

  [[nodiscard]] std::vector<std::string> overseer_program() const {
    std::vector<std::string> argv{
        std::filesystem::read_symlink("/proc/self/exe").replace_filename("fireclaw-overseer").native()};
    const auto host = to_argv(context_.host);
    argv.insert(argv.end(), host.begin(), host.end());
    return argv;
  }

  void start_irc() {
    report_["irc"] = fmt::format("127.0.0.1:{}", irc_port);
    if (listens_on_loopback(irc_port)) {
      say("irc", fmt::format("a server is on 127.0.0.1 port {} already: irssi -c 127.0.0.1 -n me", irc_port));
      return;
    }
    auto argv = overseer_program();
    argv.emplace_back("irc");
    irc_.emplace("irc", std::move(argv));
    irc_->wait_ready(irc_limit, context_.stop);
    say("irc", fmt::format("on 127.0.0.1 port {}: irssi -c 127.0.0.1 -n me", irc_port));
  }

  void start_overseer() {
    auto argv = overseer_program();
    argv.emplace_back("--stop-agents");
    has_agents_ = true;
    overseer_.emplace("overseer", std::move(argv));
    overseer_->wait_ready(overseer_limit, context_.stop);
    say("overseer", "listens in #control; say there: !help");
  }

  void start_agent() {
    AgentConfig config;
    config.template_name = options_.agent_template;
    config.name = name_;
    if (!model_.empty()) config.settings.model = model_;
    config.network = network_;
    AgentInfo agent;
    try {
      agent = agents_.start(config, {.stop = context_.stop}).start_info();
    } catch (const Error& problem) {
      // Another one's name can be the same on IRC.
      if (problem.code() != ErrorCode::AlreadyExists || !known()) throw;
      agent = agents_.open(config.name).status();
    }
    report_["agent"] = to_json(agent);
    say(agent.name, agent.online ? fmt::format("is in {}; say there: {}: hello",
                                               agent.channels.empty() ? "#agents" : agent.channels.front(), agent.nick)
                                 : fmt::format("runs, but is not on IRC yet: {}", agent.last_error));
  }

  const Options& options_;
  const Context& context_;
  Host host_;
  AgentManager agents_;
  NetworkMode network_ = NetworkMode::None;
  /// Name of the crew's first agent.
  std::string name_;
  /// The model that it has if nothing is changed.
  std::string usual_model_;
  /// The one that it is given instead; empty: none.
  std::string model_;
  /// Agents that ran before. They stay if the crew does not come to be.
  std::vector<std::string> others_;
  std::optional<std::string> named_llm_;
  /// The one that was found, or named on the command line.
  std::optional<LlmServer> llm_;
  bool has_network_ = false;
  bool has_agents_ = false;
  std::optional<Part> irc_;
  std::optional<Part> overseer_;
  Json report_;
};

int up(const Options& options, const Context& context) {
  Crew crew{options, context};
  crew.start();
  const bool in_order = crew.stay();
  crew.end();
  return in_order ? 0 : exit_failure;
}

}  // namespace

void add_up(CLI::App& app, Context& context, Action& action) {
  auto options = std::make_shared<Options>();
  auto* command = app.add_subcommand("up", "Run a crew: IRC server, gateway, overseer and a first agent");
  command->footer(
      "Makes what is missing (fireclaw setup --agents), finds an LLM server on this host and stays. Ctrl-C ends all\n"
      "agents, the overseer, the IRC server and the network; workspaces stay. If an IRC server is on port 6667 of "
      "127.0.0.1 already, it is used, and not ended.\n\n"
      "The LLM server is that of --llm, else the one that config.json names, else an Ollama, llama.cpp or LM Studio "
      "that answers at its usual port of 127.0.0.1. It is written into config.json: as \"up\" in section gateway, or, "
      "with --net user, as llm.url. An llm.url that you wrote is never replaced.\n\n"
      "Exit status:\n"
      "  0    It was ended by Ctrl-C or SIGTERM.\n"
      "  125  It could not start, or a part of it ended by itself.\n\n"
      "Examples:\n"
      "  fireclaw up\n"
      "  fireclaw up coder --name ada --model qwen2.5-coder:14b\n"
      "  fireclaw up --llm http://192.0.2.7:8080/v1");
  command->add_option("template", options->agent_template, "Template of the agent (see: fireclaw agent templates)")
      ->type_name("TEMPLATE")
      ->capture_default_str();
  command->add_option("--name", options->name, "Its name, nick and workspace; default: the template's nick")
      ->type_name("NAME");
  command
      ->add_option("--model", options->model, "LLM to use; default: the agent's own, or the first that the server has")
      ->type_name("MODEL");
  command
      ->add_option("--llm", options->llm,
                   "The LLM server; default: the one that config.json names, or one that is "
                   "found")
      ->type_name("URL");
  command->add_option("--net", options->network, "Network; default: nat where it can be used")->type_name("nat|user");
  command->add_flag("-v,--verbose", context.verbose, "Show what is logged");
  add_json(*command, context);
  set_action(*command, context, action, up, options);
}

}  // namespace fireclaw::cli
