#include "overseer.hpp"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <random>
#include <utility>
#include <variant>

#include <fmt/format.h>

#include "crew/shutdown.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "irc/neighbours.hpp"
#include "irc/resolver.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::size_t most_announcements = 50;
/// How late a machine may be stopped or paused whose time has come.
constexpr std::chrono::seconds tend_interval{30};
constexpr std::chrono::seconds refusal_memory{60};
constexpr std::size_t most_refusals = 1000;
constexpr std::chrono::minutes relay_life{10};
/// An agent is somebody's to talk to until it has answered, or for so long; and for a moment after each line.
constexpr std::chrono::minutes answer_limit{2};
constexpr std::chrono::seconds answer_pause{10};
/// The pace of an agent's private lines. Further lines are counted, and their sum is said every ten seconds.
constexpr unsigned relay_burst = 5;
constexpr Seconds relay_interval{3};
constexpr std::chrono::seconds relay_sum{10};
constexpr std::size_t most_askers = 1000;
/// How often it is looked whether the gateway runs.
constexpr std::chrono::seconds gateway_interval{5};
/// Until the same agent's limit is news again.
constexpr std::chrono::minutes limit_interval{10};
constexpr std::chrono::seconds announce_again{2};
constexpr std::string_view not_an_operator = "you may not give commands here";
constexpr std::size_t longest_quote = 60;
constexpr std::string_view login = "!login";
constexpr std::size_t word_letters = 10;
constexpr unsigned most_wrong_words = 3;
constexpr std::chrono::seconds word_pause{20};
/// For so long somebody in the channel is taken to wait for an answer.
constexpr std::chrono::seconds waits_for_answer{30};

/// "3 agents run (a, b, c)"; empty for none.
std::string counted(const std::vector<std::string>& names, std::string_view one, std::string_view many) {
  if (names.empty()) return {};
  std::string list;
  for (const auto& name : names) list += (list.empty() ? "" : ", ") + name;
  return fmt::format("{} {} ({})", names.size(), names.size() == 1 ? one : many, list);
}

std::string to_line(const ReconcileReport& report) {
  std::string line;
  for (const auto& part : {counted(report.adopted, "agent runs", "agents run"),
                           counted(report.crashed, "was found dead", "were found dead"),
                           counted(report.orphans, "machine of no agent was ended", "machines of no agent were ended"),
                           counted(report.silent, "runs but does not answer", "run but do not answer"),
                           counted(report.busy, "is being started or stopped", "are being started or stopped")}) {
    if (!part.empty()) line += (line.empty() ? "" : ", ") + part;
  }
  return line.empty() ? "no agent runs" : line;
}

}  // namespace

Overseer::Overseer(EventLoop& loop, Agents& agents, const Settings& settings, const std::filesystem::path& folder,
                   const Notifier& notifier, const Log& log)
    : loop_{loop},
      agents_{agents},
      settings_{settings},
      notifier_{notifier},
      log_{log},
      operators_{settings.operators},
      folder_{folder},
      audit_{settings.audit_log.empty() ? folder / "audit.log" : settings.audit_log},
      status_{loop,
              {{"/metrics",
                [this] {
                  metrics_.irc(joined(), link_.connections());
                  metrics_.busy(crew_.busy());
                  return StatusServer::Page{"text/plain; version=0.0.4", metrics_.text()};
                }},
               {"/status",
                [this] {
                  return StatusServer::Page{"application/json", status_json()};
                }}}},
      refusal_pace_{3, Seconds{20}, EventLoop::Clock::now()},
      supervisor_{loop,
                  agents,
                  crew_,
                  metrics_,
                  [&] {
                    auto supervision = settings.supervision;
                    if (settings.metrics.empty()) supervision.survey = {};
                    return supervision;
                  }(),
                  [this](const Supervisor::Report& made) { report(made); }},
      desk_{loop,
            agents,
            crew_,
            supervisor_,
            metrics_,
            audit_,
            log,
            [this](const Asker& asker, std::string_view line) { answer(asker, line); },
            [this](const AgentInfo& agent, const std::string& text, const Asker& asker) {
              return deliver(agent, text, asker);
            }},
      link_{loop,
            [&] {
              auto server = settings.server;
              server.only_loopback = operators_.empty();
              return server;
            }(),
            settings.identity,
            settings.times,
            settings.pace,
            [this](const IrcEvent& event) { on_event(event); }},
      crew_{loop, settings.crew} {
  status_.add(listen_unix(folder / "socket"));
  if (settings.metrics.starts_with('/')) {
    status_.add(listen_unix(settings.metrics));
  } else if (!settings.metrics.empty()) {
    status_.add(listen_loopback(settings.metrics));
  }
}

void Overseer::begin() {
  desk_.write_down({"overseer",
                    {},
                    {},
                    "begin",
                    "done",
                    fmt::format("fireclaw {}, process {}", FIRECLAW_VERSION_STRING, ::getpid())});
  // The agents' names must be known before anybody is obeyed; their states may take a while to find out.
  supervisor_.meet();
  reconcile();
  upgrade();
  keep_gateway();
  loop_.after(tend_interval, [this] { tend_machines(); });
  link_.connect();
  notifier_.tell("READY=1\nSTATUS=looking after agents");
  tell_watchdog();
}

void Overseer::tell_watchdog() {
  // From the loop itself: it stops when the loop does.
  if (!notifier_.watchdog()) return;
  notifier_.tell("WATCHDOG=1");
  loop_.after(*notifier_.watchdog(), [this] { tell_watchdog(); });
}

void Overseer::reconcile() {
  const auto work = [this](const std::stop_token&) -> EventLoop::Task {
    std::string line;
    bool done = true;
    try {
      line = to_line(agents_.reconcile());
    } catch (const std::exception& problem) {
      line = fmt::format("cannot tell how the agents are: {}", to_line(problem));
      done = false;
    }
    return [this, line, done] {
      if (ending_) return;
      desk_.write_down({"overseer", {}, {}, "reconcile", done ? "done" : "failed", line});
      // Commands are taken once it is known who the agents are.
      supervisor_.begin([this, line] {
        announce(fmt::format("Overseer of fireclaw {}: {}. !help lists the commands", FIRECLAW_VERSION_STRING, line));
      });
      supervisor_.start_again(take_interrupted(folder_));
    };
  };
  crew_.change({}, work, {});
}

void Overseer::upgrade() {
  const auto work = [this](const std::stop_token& stop) -> EventLoop::Task {
    std::string line;
    bool done = true;
    try {
      const auto renewed = agents_.upgrade(stop);
      if (renewed.empty()) return [] {};
      line = fmt::format("made again after an upgrade: {}", fmt::join(renewed, ", "));
    } catch (const std::exception& problem) {
      line = fmt::format("what an earlier version left cannot be made again: {}", to_line(problem));
      done = false;
    }
    return [this, line, done] {
      if (ending_) return;
      desk_.write_down({"overseer", {}, {}, "upgrade", done ? "done" : "failed", line});
      log_(done ? LogLevel::Info : LogLevel::Warning, line);
      announce(line);
    };
  };
  crew_.change({}, work, {});
}

void Overseer::keep_gateway() {
  crew_.look([this](const std::stop_token&) -> EventLoop::Task {
    std::string said;
    std::string trouble;
    std::map<std::string, std::string> limits;
    try {
      if (agents_.keep_gateway()) said = "The gateway was gone and runs again; answers of LLMs may have been cut off";
      limits = agents_.limits_reached();
    } catch (const std::exception& problem) {
      trouble = fmt::format("cannot tell whether the gateway runs: {}", to_line(problem));
    }
    return [this, said, trouble, limits] {
      if (ending_) return;
      if (!trouble.empty()) log_(LogLevel::Warning, trouble);
      tell_limits(limits);
      if (!said.empty()) {
        log_(LogLevel::Warning, said);
        announce(said);
      }
      loop_.after(gateway_interval, [this] { keep_gateway(); });
    };
  });
}

/// Each once, when it is new, and not again for some minutes: one a minute is reached again and again.
void Overseer::tell_limits(const std::map<std::string, std::string>& reached) {
  const auto now = std::chrono::steady_clock::now();
  for (const auto& [agent, limit] : reached) {
    const auto told = limits_told_.find(agent);
    const bool is_new = !limits_reached_.contains(agent);
    if (!is_new || (told != limits_told_.end() && now - told->second < limit_interval)) continue;
    limits_told_.insert_or_assign(agent, now);
    log_(LogLevel::Info, limit);
    announce(limit);
  }
  limits_reached_ = reached;
}

void Overseer::tend_machines() {
  loop_.after(tend_interval, [this] { tend_machines(); });
  const auto work = [this](const std::stop_token&) -> EventLoop::Task {
    std::string line;
    try {
      const auto report = agents_.tend_machines();
      if (!report.stopped.empty()) line += fmt::format("stopped after their ttl: {}", fmt::join(report.stopped, ", "));
      if (!report.paused.empty()) {
        line += fmt::format("{}paused, since nobody uses them: {}", line.empty() ? "" : "; ",
                            fmt::join(report.paused, ", "));
      }
    } catch (const std::exception& problem) {
      line = to_line(problem);
    }
    return [this, line] {
      if (!line.empty()) log_(LogLevel::Info, fmt::format("machines with names: {}", line));
    };
  };
  if (!ending_) crew_.change({}, work, {});
}

void Overseer::on_event(const IrcEvent& event) {
  if (const auto* online = std::get_if<IrcOnline>(&event)) {
    on_online(*online);
  } else if (std::holds_alternative<IrcJoined>(event)) {
    last_error_.clear();
    log_(LogLevel::Info, fmt::format("in {}", settings_.identity.channel));
    flush_announcements();
  } else if (const auto* text = std::get_if<IrcText>(&event)) {
    on_text(*text);
  } else if (const auto* nobody = std::get_if<IrcNobody>(&event)) {
    const auto found = relays_.find(fold(nobody->nick));
    if (found == relays_.end()) return;
    answer(found->second.asker, fmt::format("\"{}\" is not on IRC at the moment", clean_line(nobody->nick)));
    forget(found);
  } else if (const auto* left = std::get_if<IrcLeft>(&event)) {
    on_left(left->nick);
  } else if (const auto* parted = std::get_if<IrcParted>(&event)) {
    logged_in_.erase(fold(parted->nick));
  } else if (const auto* undelivered = std::get_if<IrcUndelivered>(&event)) {
    on_undelivered(*undelivered);
  } else if (const auto* trouble = std::get_if<IrcTrouble>(&event)) {
    last_error_ = trouble->what;
    log_(LogLevel::Warning, trouble->what);
  } else if (const auto* closed = std::get_if<IrcClosed>(&event)) {
    last_error_ = closed->reason;
    logged_in_.clear();
    log_(LogLevel::Warning, closed->reason);
  }
}

void Overseer::on_undelivered(const IrcUndelivered& what) {
  if (const auto found = relays_.find(fold(what.target)); found != relays_.end()) {
    answer(found->second.asker, fmt::format("\"{}\" was not told: {}", clean_line(what.target), what.why));
    forget(found);
    return;
  }
  if (fold(what.target) != fold(settings_.identity.channel) || last_asker_.empty()) return;
  // Once: who asks again is told again.
  const auto asker = std::exchange(last_asker_, {});
  if (EventLoop::Clock::now() - last_asked_ > waits_for_answer) return;
  say(asker, fmt::format("I cannot answer in {}: {}", settings_.identity.channel, what.why));
}

void Overseer::on_online(const IrcOnline& online) {
  log_(LogLevel::Info, fmt::format("on IRC as {} at {}:{}", online.nick, settings_.server.host, settings_.server.port));
  if (operators_.need_accounts() && !online.accounts) {
    log_(LogLevel::Warning,
         "this server does not say who is logged in: operators named as account:… are not recognised");
  }
}

void Overseer::on_text(const IrcText& text) {
  if (relay(text)) return;
  std::string_view line = text.text;
  // "overseer: !list" is the same as "!list".
  const auto nick = link_.session()->nick();
  if (line.size() > nick.size() && fold(line.substr(0, nick.size())) == fold(nick) &&
      (line[nick.size()] == ':' || line[nick.size()] == ',')) {
    line.remove_prefix(nick.size() + 1);
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  }
  if (log_in(text, line)) return;
  const auto parsed = parse_command(line);
  if (!parsed) return;
  if (const auto objection = objection_to(text); !objection.empty()) {
    if (objection.find(login) != std::string::npos && word_.empty()) make_word();
    return refuse(text, line, objection);
  }
  const auto* malformed = std::get_if<Malformed>(&*parsed);
  const auto nick_of_sender = fold(text.source.substr(0, text.source.find('!')));
  if (!breaker_.allows(nick_of_sender, line, malformed != nullptr, EventLoop::Clock::now())) {
    return log_(LogLevel::Debug, fmt::format("not answered, since {} does not stop: {}", text.source, line));
  }
  const auto asker = asker_of(text);
  if (!text.in_private) {
    last_asker_ = text.source.substr(0, text.source.find('!'));
    last_asked_ = EventLoop::Clock::now();
  }
  if (ending_) return answer(asker, "The overseer ends and begins nothing new");
  if (malformed != nullptr) {
    metrics_.command("malformed", "failed");
    return answer(asker, malformed->help);
  }
  desk_.take(asker, std::get<Command>(*parsed));
}

Asker Overseer::asker_of(const IrcText& text) {
  Asker asker{clean_line(text.source), clean_line(text.account), text.where};
  if (!text.in_private) return asker;
  asker.reply_to = text.source.substr(0, text.source.find('!'));
  if (askers_.size() >= most_askers) std::erase_if(askers_, [](const auto& one) { return one.second.expired(); });
  auto& known = askers_[fold(asker.reply_to)];
  auto there = known.lock();
  if (!there) known = there = std::make_shared<bool>(true);
  asker.there = there;
  return asker;
}

void Overseer::on_left(const std::string& nick) {
  logged_in_.erase(fold(nick));
  const auto node = askers_.extract(fold(nick));
  if (node.empty()) return;
  if (const auto there = node.mapped().lock()) *there = false;
}

bool Overseer::relay(const IrcText& text) {
  if (!text.in_private) return false;
  const auto nick = text.source.substr(0, text.source.find('!'));
  const auto found = relays_.find(fold(nick));
  if (found == relays_.end()) return false;
  if (EventLoop::Clock::now() > found->second.asked + relay_life) {
    forget(found);
    return false;
  }
  relay_line(found->second, clean_line(nick), text.text);
  return true;
}

void Overseer::relay_line(Relay& relay, const std::string& nick, const std::string& line) {
  const auto now = relay.answered = EventLoop::Clock::now();
  if (relay.pace.take(now)) return answer(relay.asker, fmt::format("<{}> {}", nick, line));
  ++relay.more;
  if (relay.timer != 0) return;
  relay.timer = loop_.after(relay_sum, [this, &relay, nick] {
    relay.timer = 0;
    answer(relay.asker, fmt::format("<{}> … and {} more lines", nick, std::exchange(relay.more, 0)));
  });
}

void Overseer::forget(Relays::iterator relay) {
  loop_.cancel(relay->second.timer);
  relays_.erase(relay);
}

Outcome Overseer::deliver(const AgentInfo& agent, const std::string& text, const Asker& asker) {
  const auto now = EventLoop::Clock::now();
  const auto found = relays_.find(fold(agent.nick));
  if (found != relays_.end() && found->second.asker.reply_to != asker.reply_to) {
    const auto& relay = found->second;
    const bool answered = relay.answered > relay.asked;
    // Its answer to one must not reach another.
    if (now < (answered ? relay.answered + answer_pause : relay.asked + answer_limit)) {
      return {false, {fmt::format("Agent \"{}\" talks with somebody else; try again in a moment", agent.name)}, agent};
    }
  }
  if (!link_.say(agent.nick, text)) return {false, {"The overseer is not on IRC at the moment"}, agent};
  if (found == relays_.end()) {
    relays_.emplace(fold(agent.nick), Relay{asker, now, {}, Pacer{relay_burst, relay_interval, now}});
  } else {
    found->second.asker = asker;
    found->second.asked = now;
  }
  return {true, {}, agent};
}

std::string Overseer::objection_to(const IrcText& text) const {
  if (operators_.lists_account(text.account)) return {};
  if (!operators_.empty() && !operators_.lists_mask(text.source)) return std::string{not_an_operator};
  if (!supervisor_.has_looked()) return "still looking who the agents are; try again in a moment";
  if (supervisor_.traces().fit(text.source)) return std::string{not_an_operator};
  if (!operators_.empty()) return {};
  if (!link_.session()->is_member(text.source.substr(0, text.source.find('!')))) return std::string{not_an_operator};
  const auto at = text.source.rfind('@');
  if (at == std::string::npos || !is_own_host(text.source.substr(at + 1))) {
    return "only people on this machine may give commands here, since no operators are named (--operator)";
  }
  if (is_own_user(text.source.substr(0, text.source.find('!')))) return {};
  return fmt::format(
      "others are connected from this machine as well: say {} and the word from the overseer's terminal to me in "
      "private",
      login);
}

bool Overseer::is_own_user(const std::string& nick) const {
  return logged_in_.contains(fold(nick)) || only_own_user_at(settings_.server.port);
}

bool Overseer::log_in(const IrcText& text, std::string_view line) {
  if (!operators_.empty() || fold_letters(line.substr(0, line.find(' '))) != login) return false;
  line.remove_prefix(std::min(login.size() + 1, line.size()));
  const auto nick = text.source.substr(0, text.source.find('!'));
  const auto asker = asker_of(text);
  const bool right = !word_.empty() && line == word_;
  const auto note = [&](const char* result, const char* detail) {
    return desk_.write_down({asker.source, asker.account, asker.reply_to, std::string{login}, result, detail});
  };
  if (!text.in_private) {
    // Now all know it.
    if (right) make_word();
    refuse(text, login, "say that in private, not here");
    return true;
  }
  const auto at = text.source.rfind('@');
  if (at == std::string::npos || !is_own_host(text.source.substr(at + 1)) || supervisor_.traces().fit(text.source)) {
    refuse(text, login, std::string{not_an_operator});
    return true;
  }
  if (!right || !link_.session()->is_member(nick)) {
    refuse(text, login, right ? std::string{not_an_operator} : "that is not the word");
    // So that nobody can try them all.
    if (word_.empty() || ++wrong_words_ >= most_wrong_words) make_word();
    return true;
  }
  word_.clear();
  if (!note("done", "gives commands until the nick or the channel is left")) return true;
  logged_in_.insert(fold(nick));
  answer(asker, "You give the commands, until you change your nick or leave the channel");
  return true;
}

void Overseer::make_word() {
  constexpr std::string_view letters = "abcdefghjkmnpqrstuvwxyz23456789";
  const auto now = EventLoop::Clock::now();
  word_.clear();
  // Somebody who tries many words must not fill the log.
  if (word_made_ != TimePoint{} && now - word_made_ < word_pause) return;
  word_made_ = now;
  std::random_device random;
  std::uniform_int_distribution<std::size_t> any{0, letters.size() - 1};
  for (std::size_t i = 0; i < word_letters; ++i) word_ += letters[any(random)];
  wrong_words_ = 0;
  // The terminal, or the journal, is this user's; IRC is not.
  log_(LogLevel::Warning,
       fmt::format("to be obeyed, say to {} on IRC, in private: {} {}",
                   link_.session() != nullptr ? link_.session()->nick() : settings_.identity.nick, login, word_));
}

void Overseer::refuse(const IrcText& text, std::string_view line, const std::string& objection) {
  metrics_.refused();
  const auto now = EventLoop::Clock::now();
  const auto sender = text.source.substr(0, text.source.find('!'));
  const auto where = text.in_private ? sender : text.where;
  const auto found = refusals_.find(fold(sender));
  if (found != refusals_.end()) {
    // Answered and written down a moment ago; the rest is only counted, however long it lasts.
    ++found->second.more;
    return;
  }
  if (refusals_.size() == most_refusals) return;
  refusals_.emplace(fold(sender), Refusal{now, 0});
  loop_.after(refusal_memory, [this, key = fold(sender), source = clean_line(text.source), where] {
    const auto node = refusals_.extract(key);
    if (node.mapped().more == 0) return;
    desk_.write_down({source, {}, where, fmt::format("{} more commands", node.mapped().more), "refused", {}});
  });
  const auto command = shorten(clean_line(line), longest_quote);
  desk_.write_down({clean_line(text.source), clean_line(text.account), where, command, "refused", objection});
  log_(LogLevel::Warning, fmt::format("refused {}: {}", text.source, command));
  if (refusal_pace_.take(now)) say(where, fmt::format("{}: {}", clean_line(sender), objection));
}

void Overseer::report(const Supervisor::Report& made) {
  log_(made.done ? LogLevel::Info : LogLevel::Warning, made.line);
  announce(made.line);
  desk_.write_down({"overseer",
                    {},
                    {},
                    made.action.empty() ? "watch" : made.action,
                    made.done ? "done" : "failed",
                    made.line,
                    made.took});
}

void Overseer::announce(const std::string& line) {
  announcements_.push_back(line);
  if (announcements_.size() > most_announcements) announcements_.pop_front();
  flush_announcements();
}

void Overseer::flush_announcements() {
  if (!joined()) return;
  while (!announcements_.empty() && link_.say(settings_.identity.channel, announcements_.front())) {
    announcements_.pop_front();
  }
  if (announcements_.empty() || announcing_ != 0) return;
  // The channel's queue is full at the moment.
  announcing_ = loop_.after(announce_again, [this] {
    announcing_ = 0;
    flush_announcements();
  });
}

void Overseer::answer(const Asker& asker, std::string_view line) {
  if (asker.there && !*asker.there) {
    return log_(LogLevel::Debug, fmt::format("not said, since {} has gone: {}", asker.reply_to, line));
  }
  say(asker.reply_to, line);
}

void Overseer::say(const std::string& target, std::string_view line) {
  if (!link_.say(target, line)) log_(LogLevel::Debug, fmt::format("not said to {}: {}", target, line));
}

bool Overseer::joined() const { return link_.session() != nullptr && link_.session()->joined(); }

void Overseer::shut_down() {
  if (std::exchange(ending_, true)) return;
  log_(LogLevel::Info, settings_.stop_agents ? "ending, and the agents too" : "ending; agents continue");
  notifier_.tell("STOPPING=1\nSTATUS=finishing what runs");
  supervisor_.end();
  crew_.stop();
  crew_.when_idle([this] {
    if (!settings_.stop_agents) return say_goodbye();
    crew_.restart();
    desk_.stop_all([this](const Outcome& outcome) {
      for (const auto& line : outcome.lines) {
        log_(outcome.done ? LogLevel::Info : LogLevel::Error, line);
        say(settings_.identity.channel, line);
      }
      desk_.write_down({"overseer",
                        {},
                        {},
                        "stop agents",
                        outcome.done ? "done" : "failed",
                        outcome.lines.empty() ? std::string{} : outcome.lines.front()});
      say_goodbye();
    });
  });
}

void Overseer::say_goodbye() {
  desk_.write_down(
      {"overseer", {}, {}, "end", "done", settings_.stop_agents ? "and the agents too" : "agents continue"});
  link_.quit(settings_.stop_agents ? "overseer ends, and the agents too" : "overseer ends; agents continue",
             [this] { loop_.quit(); });
}

std::string Overseer::status_json() const {
  nlohmann::ordered_json agents = nlohmann::ordered_json::array();
  for (const auto& info : supervisor_.known()) {
    agents.push_back({{"name", info.name},
                      {"model", info.model},
                      {"address", info.address},
                      {"running", !info.vm.empty()},
                      {"watched", supervisor_.watches(info.name)}});
  }
  const auto* session = link_.session();
  const auto up = std::chrono::duration_cast<std::chrono::seconds>(EventLoop::Clock::now() - began_);
  const nlohmann::ordered_json json{{"version", FIRECLAW_VERSION_STRING},
                                    {"pid", ::getpid()},
                                    {"uptime_s", up.count()},
                                    {"ending", ending_},
                                    {"irc",
                                     {{"server", fmt::format("{}:{}", settings_.server.host, settings_.server.port)},
                                      {"nick", session != nullptr ? session->nick() : ""},
                                      {"online", session != nullptr && session->online()},
                                      {"channel", settings_.identity.channel},
                                      {"joined", joined()},
                                      {"last_error", last_error_}}},
                                    {"audit_chain", audit_.chain()},
                                    {"changes", crew_.busy()},
                                    {"agents", agents}};
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace fireclaw::overseer
