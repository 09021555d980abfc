#include "crew/desk.hpp"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fireclaw/version.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

Outcome too_much() { return {false, {"Too much is waiting already; try again later"}, std::nullopt}; }

std::string not_written(const Command& command) {
  return fmt::format("{} is not carried out: the audit log cannot be written; see the overseer's log",
                     to_text(command));
}

bool starts(Verb verb) { return verb == Verb::Invoke || verb == Verb::Restart || verb == Verb::Fork; }

/// The agent whose machine begins or ends with the command; empty: none does.
std::string begins_or_ends(const Command& command, const std::string& agent) {
  // A fork starts the new one: the first continues, and its end would be news.
  if (command.verb == Verb::Fork) return command.text;
  return starts(command.verb) || command.verb == Verb::Destroy ? agent : std::string{};
}

/// What is known without asking a guest never waits behind those that do.
bool looks_only(Verb verb) { return verb == Verb::List || verb == Verb::Templates; }

/// The agents whose turn the command waits for.
std::vector<std::string> changed_by(const Command& command, const std::string& agent) {
  if (command.verb == Verb::Fork) return {agent, command.text};
  return {agent};
}

/// Why an agent cannot be talked to.
std::string not_to_be_told(const AgentInfo& info) {
  switch (info.state) {
    case AgentState::Running: break;
    case AgentState::Starting: return fmt::format("Agent \"{}\" is being started; try again in a moment", info.name);
    case AgentState::Paused: return fmt::format("Agent \"{0}\" is paused; !resume {0} resumes it", info.name);
    case AgentState::Stopped:
    case AgentState::Crashed: return fmt::format("Agent \"{0}\" is not running; !restart {0} starts it", info.name);
  }
  return {};
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : std::string{between}) + word;
  return text;
}

}  // namespace

Desk::Desk(EventLoop& loop, Agents& agents, Crew& crew, Supervisor& supervisor, Metrics& metrics, AuditLog& audit,
           const Log& log, Say say, Deliver deliver, std::chrono::milliseconds patience)
    : loop_{loop},
      agents_{agents},
      crew_{crew},
      supervisor_{supervisor},
      metrics_{metrics},
      audit_{audit},
      log_{log},
      say_{std::move(say)},
      deliver_{std::move(deliver)},
      patience_{patience} {}

void Desk::take(const Asker& asker, const Command& command) {
  auto task = std::make_shared<Task>(Task{asker, command, EventLoop::Clock::now(), 0, {}});
  // Also if this process is killed before it can say what came of it.
  const bool does_something = row_of(command.verb).kind == Kind::Change || command.verb == Verb::Say;
  if (does_something && !write_down({asker.source, asker.account, asker.reply_to, to_text(command), "asked", {}})) {
    metrics_.command(word_of(command.verb), "failed");
    return say_(asker, not_written(command));
  }
  task->timer = loop_.after(patience_, [this, task] {
    task->timer = 0;
    say_(task->asker, fmt::format("working on {}", to_text(task->command)));
  });
  if (row_of(command.verb).act != nullptr) return run(task);
  if (command.verb == Verb::Say) return pass_on(task);
  if (command.verb == Verb::StopAll) return stop_all([this, task](const Outcome& outcome) { finish(task, outcome); });
  const bool version = command.verb == Verb::Version;
  finish(
      task,
      {true, {version ? fmt::format("fireclaw {}", FIRECLAW_VERSION_STRING) : help_for(command.text)}, std::nullopt});
}

EventLoop::Task Desk::not_begun(const TaskPtr& task) {
  return [this, task] {
    finish(task, {false, {fmt::format("{} was not begun: the overseer ends", to_text(task->command))}, std::nullopt});
  };
}

void Desk::run(const TaskPtr& task) {
  if (row_of(task->command.verb).kind == Kind::Change) return change(task);
  const auto work = [this, task](const std::stop_token& stop) -> EventLoop::Task {
    return [this, task, outcome = carry_out(agents_, task->command, stop)] { finish(task, outcome); };
  };
  if (looks_only(task->command.verb)) return crew_.look(work);
  if (!crew_.ask(work, not_begun(task))) finish(task, too_much());
}

void Desk::change(const TaskPtr& task) {
  // An agent without its own name has its template's; where that is called otherwise, the library's lock sees to it
  // that two changes never meet.
  const auto& agent = task->command.agent.empty() ? task->command.template_name : task->command.agent;
  task->held = begins_or_ends(task->command, agent);
  if (!task->held.empty()) supervisor_.hold(task->held);
  const auto work = [this, task, asked = stops_.load()](const std::stop_token& stop) -> EventLoop::Task {
    if (starts(task->command.verb) && stops_ != asked) {
      return [this, task] {
        finish(task, {false, {fmt::format("{} was not begun: !stopall came first", to_text(task->command))}, {}});
      };
    }
    const auto began = EventLoop::Clock::now();
    auto outcome = carry_out(agents_, task->command, stop);
    return [this, task, outcome = std::move(outcome), took = EventLoop::Clock::now() - began] {
      if (outcome.done && starts(task->command.verb)) metrics_.started(took);
      finish(task, outcome);
    };
  };
  if (!crew_.change(changed_by(task->command, agent), work, not_begun(task))) finish(task, too_much());
}

void Desk::pass_on(const TaskPtr& task) {
  const auto work = [this, task](const std::stop_token&) -> EventLoop::Task {
    const auto& name = task->command.agent;
    try {
      // Asked, because it may go by another nick than its own.
      const auto info = agents_.status(name);
      if (info.state == AgentState::Running) {
        return [this, task, info] { finish(task, deliver_(info, task->command.text, task->asker)); };
      }
      return [this, task, info] { finish(task, {false, {not_to_be_told(info)}, info}); };
    } catch (const std::exception& problem) {
      return [this, task, outcome = failed(agents_, task->command, problem)] { finish(task, outcome); };
    }
  };
  if (!crew_.ask(work, not_begun(task))) finish(task, too_much());
}

void Desk::stop_all(std::function<void(Outcome)> done) {
  struct Sum {
    std::size_t left = 0;
    std::vector<std::string> stopped;
    std::vector<std::string> problems;
    std::function<void(Outcome)> done;
  };
  ++stops_;
  auto sum = std::make_shared<Sum>();
  sum->done = std::move(done);
  const auto one_less = [sum] {
    if (--sum->left > 0) return;
    Outcome outcome{sum->problems.empty(), sum->problems, std::nullopt};
    std::ranges::sort(sum->stopped);
    if (!sum->stopped.empty()) {
      outcome.lines.insert(outcome.lines.begin(), fmt::format("Stopped {}", joined(sum->stopped, ", ")));
    } else if (outcome.done) {
      outcome.lines.emplace_back("No agent runs");
    }
    sum->done(outcome);
  };
  const auto stop_one = [this, sum, one_less](const std::string& name) {
    supervisor_.hold(name);
    const auto work = [this, sum, one_less, name](const std::stop_token&) -> EventLoop::Task {
      bool stopped = false;
      std::string problem;
      try {
        agents_.stop(name);
        stopped = true;
      } catch (const std::exception& failure) {
        // One whose start failed in the meantime is not an agent any more.
        if (!is_gone(agents_, name)) problem = fmt::format("Could not stop \"{}\": {}", name, to_line(failure));
      }
      return [this, sum, one_less, name, stopped, problem] {
        supervisor_.release(name);
        if (stopped) sum->stopped.push_back(name);
        if (!problem.empty()) sum->problems.push_back(problem);
        one_less();
      };
    };
    const auto dropped = [this, sum, one_less, name] {
      supervisor_.release(name);
      sum->problems.push_back(fmt::format("Did not stop \"{}\": the overseer ends", name));
      one_less();
    };
    if (!crew_.change({name}, work, dropped)) dropped();
  };
  crew_.look([this, sum, stop_one](const std::stop_token&) -> EventLoop::Task {
    std::vector<std::string> names;
    std::string problem;
    try {
      // Also those that are down: they would be started again.
      for (const auto& info : agents_.list()) {
        if (info.state != AgentState::Stopped) names.push_back(info.name);
      }
    } catch (const std::exception& failure) {
      problem = to_line(failure);
    }
    return [this, sum, stop_one, names, problem]() mutable {
      if (!problem.empty()) return sum->done({false, {problem}, std::nullopt});
      for (auto& name : crew_.agents()) {
        if (std::ranges::find(names, name) == names.end()) names.push_back(std::move(name));
      }
      if (names.empty()) return sum->done({true, {"No agent runs"}, std::nullopt});
      sum->left = names.size();
      for (const auto& name : names) stop_one(name);
    };
  });
}

void Desk::finish(const TaskPtr& task, const Outcome& outcome) {
  loop_.cancel(std::exchange(task->timer, 0));
  if (outcome.agent) supervisor_.know(*outcome.agent);
  if (!task->held.empty()) supervisor_.release(task->held);
  const auto took = EventLoop::Clock::now() - task->began;
  const auto* result = outcome.done ? "done" : "failed";
  const auto detail = outcome.lines.empty() ? std::string{} : outcome.lines.front();
  metrics_.command(word_of(task->command.verb), result);
  log_(LogLevel::Info, fmt::format("{}: {}: {}", task->asker.source, to_text(task->command), detail));
  const bool written =
      write_down({task->asker.source, task->asker.account, task->asker.reply_to, to_text(task->command), result, detail,
                  std::chrono::duration_cast<std::chrono::milliseconds>(took)});
  // What was done is told all the same. A question can still be refused its answer.
  const bool asked_only = row_of(task->command.verb).kind == Kind::Question && task->command.verb != Verb::Say;
  if (!written && asked_only) return say_(task->asker, not_written(task->command));
  for (const auto& line : outcome.lines) say_(task->asker, line);
}

bool Desk::write_down(const AuditEntry& entry) {
  try {
    audit_.add(entry);
    return true;
  } catch (const std::exception& problem) {
    log_(LogLevel::Error, problem.what());
    return false;
  }
}

}  // namespace fireclaw::overseer
