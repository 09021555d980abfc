#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "crew/audit.hpp"
#include "crew/breaker.hpp"
#include "crew/crew.hpp"
#include "crew/desk.hpp"
#include "crew/operators.hpp"
#include "crew/supervisor.hpp"
#include "event_loop.hpp"
#include "irc/link.hpp"
#include "log.hpp"
#include "service/notifier.hpp"
#include "settings.hpp"
#include "status/metrics.hpp"
#include "status/server.hpp"

namespace fireclaw::overseer {

/// The overseer: listens in its channel, decides who may give commands, and looks after the agents. Lives on the loop's
/// thread; what it borrows must outlive it.
class Overseer {
 public:
  /// `folder` holds its socket and audit log.
  Overseer(EventLoop& loop, Agents& agents, const Settings& settings, const std::filesystem::path& folder,
           const Notifier& notifier, const Log& log);

  void begin();
  /// Takes no more commands, lets what runs finish or be undone, says goodbye, and quits the loop.
  void shut_down();

 private:
  struct Refusal {
    TimePoint last;
    std::size_t more = 0;
  };
  /// Where an agent's private answers go, and how fast.
  struct Relay {
    Asker asker;
    TimePoint asked;
    TimePoint answered;
    Pacer pace;
    /// Lines that were too many, and when that is said.
    std::size_t more = 0;
    EventLoop::Id timer = 0;
  };
  using Relays = std::map<std::string, Relay>;

  void on_event(const IrcEvent& event);
  void on_online(const IrcOnline& online);
  void on_text(const IrcText& text);
  bool relay(const IrcText& text);
  void relay_line(Relay& relay, const std::string& nick, const std::string& line);
  void forget(Relays::iterator relay);
  /// Why somebody may not give commands; empty: they may.
  [[nodiscard]] std::string objection_to(const IrcText& text) const;
  void refuse(const IrcText& text, std::string_view line, const std::string& objection);
  Asker asker_of(const IrcText& text);
  void on_left(const std::string& nick);
  void on_undelivered(const IrcUndelivered& what);
  /// Whether somebody on this machine is who has started this process, as far as that can be known.
  [[nodiscard]] bool is_own_user(const std::string& nick) const;
  /// "!login WORD", where no operators are named. False if the line is something else.
  bool log_in(const IrcText& text, std::string_view line);
  void make_word();
  Outcome deliver(const AgentInfo& agent, const std::string& text, const Asker& asker);

  void reconcile();
  void keep_gateway();
  void tell_limits(const std::map<std::string, std::string>& reached);
  /// Every now and then.
  void tend_machines();
  void upgrade();
  void announce(const std::string& line);
  void report(const Supervisor::Report& report);
  void say(const std::string& target, std::string_view line);
  void answer(const Asker& asker, std::string_view line);
  void flush_announcements();
  void tell_watchdog();
  void say_goodbye();
  [[nodiscard]] std::string status_json() const;
  [[nodiscard]] bool joined() const;

  EventLoop& loop_;
  Agents& agents_;
  const Settings& settings_;
  const Notifier& notifier_;
  const Log& log_;
  Operators operators_;
  TimePoint began_ = EventLoop::Clock::now();
  Metrics metrics_;
  std::filesystem::path folder_;
  AuditLog audit_;
  StatusServer status_;
  bool ending_ = false;
  std::deque<std::string> announcements_;
  std::map<std::string, Refusal> refusals_;
  Pacer refusal_pace_;
  Breaker breaker_;
  /// Nicks of people who have said the word from the terminal, for as long as the nick is seen to be theirs.
  std::set<std::string> logged_in_;
  std::string word_;
  TimePoint word_made_;
  unsigned wrong_words_ = 0;
  /// What went wrong last on IRC; empty: nothing since we are in the channel.
  std::string last_error_;
  /// The nick that gave the last command in the channel, and when: it waits for an answer there.
  std::string last_asker_;
  TimePoint last_asked_;
  Relays relays_;
  /// Agents whose limit has refused their last request to an LLM, and when that was said.
  std::map<std::string, std::string> limits_reached_;
  std::map<std::string, std::chrono::steady_clock::time_point> limits_told_;
  /// Nicks that asked in private, for as long as an answer is due.
  std::map<std::string, std::weak_ptr<bool>> askers_;
  EventLoop::Id announcing_ = 0;
  Supervisor supervisor_;
  Desk desk_;
  IrcLink link_;
  // Last: its threads use the rest.
  Crew crew_;
};

}  // namespace fireclaw::overseer
