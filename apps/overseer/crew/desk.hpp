#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "crew/actions.hpp"
#include "crew/audit.hpp"
#include "crew/commands.hpp"
#include "crew/crew.hpp"
#include "crew/supervisor.hpp"
#include "event_loop.hpp"
#include "log.hpp"
#include "status/metrics.hpp"

namespace fireclaw::overseer {

/// The person who gave a command, and the place for the answer.
struct Asker {
  /// nick!user@host
  std::string source;
  std::string account;
  /// The channel, or the nick in private.
  std::string reply_to;
  /// False once that nick may be somebody else's. None: it is a channel.
  std::shared_ptr<const bool> there = nullptr;
};

/// Handles allowed commands: has the crew carry them out, says "working" when that takes a while, answers, and logs
/// them. Lives on the loop's thread; borrowed objects must outlive it.
class Desk {
 public:
  using Say = std::function<void(const Asker& asker, std::string_view line)>;
  /// Passes something on to an agent on IRC; the outcome is the answer.
  using Deliver = std::function<Outcome(const AgentInfo& agent, const std::string& text, const Asker& asker)>;

  /// A command that takes longer than `patience` is first answered with "working".
  Desk(EventLoop& loop, Agents& agents, Crew& crew, Supervisor& supervisor, Metrics& metrics, AuditLog& audit,
       const Log& log, Say say, Deliver deliver, std::chrono::milliseconds patience = usual_patience);

  /// Carries out a command, unless it cannot be logged.
  void take(const Asker& asker, const Command& command);
  /// Stops all agents, also those that are down or about to start; `done` gets the outcome.
  void stop_all(std::function<void(Outcome)> done);
  /// Adds an entry to the audit log that was not a command carried out here. False, with a message in the log, if that
  /// fails.
  bool write_down(const AuditEntry& entry);

 private:
  /// People notice a delay of a tenth of a second; this is less by the time to reach them.
  static constexpr std::chrono::milliseconds usual_patience{70};

  struct Task {
    Asker asker;
    Command command;
    TimePoint began;
    EventLoop::Id timer = 0;
    /// The agent that the supervisor does not look after in the meantime; empty: none.
    std::string held;
  };
  using TaskPtr = std::shared_ptr<Task>;

  /// For a command that comes too late.
  EventLoop::Task not_begun(const TaskPtr& task);
  void run(const TaskPtr& task);
  void change(const TaskPtr& task);
  void pass_on(const TaskPtr& task);
  void finish(const TaskPtr& task, const Outcome& outcome);

  EventLoop& loop_;
  Agents& agents_;
  Crew& crew_;
  Supervisor& supervisor_;
  Metrics& metrics_;
  AuditLog& audit_;
  const Log& log_;
  Say say_;
  Deliver deliver_;
  std::chrono::milliseconds patience_;
  /// How often all were stopped: older commands that have not begun start nothing.
  std::atomic<unsigned> stops_{0};
};

}  // namespace fireclaw::overseer
