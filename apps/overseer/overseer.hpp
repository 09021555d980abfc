#pragma once

#include <deque>
#include <filesystem>
#include <map>
#include <string>

#include "audit.hpp"
#include "crew.hpp"
#include "desk.hpp"
#include "event_loop.hpp"
#include "irc_link.hpp"
#include "log.hpp"
#include "metrics.hpp"
#include "notifier.hpp"
#include "operators.hpp"
#include "settings.hpp"
#include "status_server.hpp"
#include "supervisor.hpp"

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
  /// Where an agent's private answers go.
  struct Relay {
    Asker asker;
    TimePoint until;
  };

  void on_event(const IrcEvent& event);
  void on_online(const IrcOnline& online);
  void on_text(const IrcText& text);
  bool relay(const IrcText& text);
  [[nodiscard]] bool may_command(const IrcText& text) const;
  void refuse(const IrcText& text, std::string_view line);
  Outcome deliver(const AgentInfo& agent, const std::string& text, const Asker& asker);

  void reconcile();
  void announce(const std::string& line);
  void report(const Supervisor::Report& report);
  void say(const std::string& target, std::string_view line);
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
  AuditLog audit_;
  StatusServer status_;
  bool ending_ = false;
  std::deque<std::string> announcements_;
  std::map<std::string, Refusal> refusals_;
  Pacer refusal_pace_;
  std::map<std::string, Relay> relays_;
  Supervisor supervisor_;
  Desk desk_;
  IrcLink link_;
  // Last: its threads use the rest.
  Crew crew_;
};

}  // namespace fireclaw::overseer
