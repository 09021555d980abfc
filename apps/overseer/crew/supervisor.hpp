#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crew/agents.hpp"
#include "crew/crew.hpp"
#include "crew/operators.hpp"
#include "event_loop.hpp"
#include "irc/pacing.hpp"
#include "status/metrics.hpp"

namespace fireclaw::overseer {

struct Supervision {
  /// How often a dead agent is started again before it is left down.
  unsigned tries = 3;
  /// Before the first try; the others wait four times as long as the one before.
  Seconds first_wait{1};
  /// An agent that lived this long has all its tries again.
  std::chrono::seconds good_life{300};
  /// How often to look for agents that others have started.
  std::chrono::milliseconds refresh{5000};
  /// How often to ask each agent how it is, for the metrics; 0: never.
  std::chrono::milliseconds survey{30'000};
};

/// Notices agents that die, reports it, and starts them again. Lives on the loop's thread; borrowed objects must
/// outlive it.
class Supervisor {
 public:
  /// `report` gets news for people: what was done, whether it worked, and how long it took.
  struct Report {
    std::string line;
    /// What was done about an agent, for the audit log; empty: nothing.
    std::string action;
    bool done = true;
    std::chrono::milliseconds took{0};
  };

  Supervisor(EventLoop& loop, Agents& agents, Crew& crew, Metrics& metrics, Supervision options,
             std::function<void(const Report&)> report);
  Supervisor(const Supervisor&) = delete;
  Supervisor& operator=(const Supervisor&) = delete;
  ~Supervisor();

  /// Reads the agents' names, without looking after them yet.
  void meet();
  /// Looks after them from now on, and calls `then` when it has looked, or tried to, for the first time.
  void begin(EventLoop::Task then = {});
  /// Starts agents that were ended in order when the system stopped, as it does those that have died.
  void start_again(const std::vector<std::string>& names);
  /// Stops looking after agents.
  void end();
  /// Call before starting or stopping this agent: its end is expected until release().
  void hold(const std::string& name);
  void release(const std::string& name);
  /// Looks at all agents now.
  void refresh();
  /// Knows this agent's nick and address from now on, before it is next looked at.
  void know(const AgentInfo& info);

  /// As of the last look.
  [[nodiscard]] const std::vector<AgentInfo>& known() const { return known_; }
  [[nodiscard]] const AgentTraces& traces() const { return traces_; }
  /// Whether it has looked at all.
  [[nodiscard]] bool has_looked() const { return has_looked_; }
  /// Whether this agent's end will be noticed at once.
  [[nodiscard]] bool watches(const std::string& name) const;

 private:
  struct SupervisedAgent {
    std::shared_ptr<EndWatch> watch;
    EventLoop::Id watching = 0;
    EventLoop::Id timer = 0;
    TimePoint watched_since;
    unsigned held = 0;
    unsigned tries = 0;
    bool restarting = false;
    bool given_up = false;
    /// To be started although it is stopped.
    bool interrupted = false;
  };

  void take_note(std::vector<AgentInfo> all);
  void look_after_all();
  [[nodiscard]] std::optional<std::vector<AgentInfo>> list();
  void survey(const std::string& after);
  void look_at(const std::string& name);
  void on_look(const std::string& name, const AgentInfo& info, std::shared_ptr<EndWatch> watch);
  void on_death(const std::string& name, const std::string& why);
  /// Tries to start it again after a wait that grows with each try.
  void try_later(const std::string& name, std::chrono::duration<double> wait);
  void try_restart(const std::string& name);
  void on_restarted(const std::string& name, const AgentInfo& info, std::chrono::nanoseconds took);
  void on_not_restarted(const std::string& name, const std::string& why, bool gone, std::chrono::nanoseconds took);
  void unwatch(SupervisedAgent& agent);
  void forget(const std::string& name);

  EventLoop& loop_;
  Agents& agents_;
  Crew& crew_;
  Metrics& metrics_;
  Supervision options_;
  std::function<void(const Report&)> report_;
  std::map<std::string, SupervisedAgent> agents_by_name_;
  std::vector<AgentInfo> known_;
  AgentTraces traces_;
  bool has_looked_ = false;
  EventLoop::Task then_;
  EventLoop::Id timer_ = 0;
  EventLoop::Id survey_timer_ = 0;
  bool listing_ = false;
  /// Somebody asked to look again while it looked: what it sees may be from before.
  bool again_ = false;
  bool ended_ = true;
};

}  // namespace fireclaw::overseer
