#include "desk.hpp"

#include <algorithm>
#include <exception>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr std::chrono::seconds patience{1};

Outcome too_much() { return {false, {"Too much is waiting already; try again later"}, std::nullopt}; }

bool starts(Verb verb) { return verb == Verb::Invoke || verb == Verb::Restart || verb == Verb::Fork; }

/// The agent whose machine begins or ends with the command; empty: none does.
std::string begins_or_ends(const Command& command, const std::string& agent) {
  // Of a fork it is the new one: the first goes on, and its end would be news.
  if (command.verb == Verb::Fork) return command.text;
  return starts(command.verb) || command.verb == Verb::Destroy ? agent : std::string{};
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
  std::string text;
  for (const auto& word : words) text += (text.empty() ? "" : std::string{between}) + word;
  return text;
}

}  // namespace

Desk::Desk(EventLoop& loop, Agents& agents, Crew& crew, Supervisor& supervisor, Metrics& metrics, AuditLog& audit,
           const Log& log, Say say, Deliver deliver)
    : loop_{loop},
      agents_{agents},
      crew_{crew},
      supervisor_{supervisor},
      metrics_{metrics},
      audit_{audit},
      log_{log},
      say_{std::move(say)},
      deliver_{std::move(deliver)} {}

void Desk::take(const Asker& asker, const Command& command) {
  auto task = std::make_shared<Task>(Task{asker, command, EventLoop::Clock::now(), 0, {}});
  task->timer = loop_.after(patience, [this, task] {
    task->timer = 0;
    say_(task->asker.reply_to, fmt::format("working on {}", to_text(task->command)));
  });
  switch (command.verb) {
    case Verb::Help: return finish(task, {true, {help_for(command.text)}, std::nullopt});
    case Verb::Version:
      return finish(task, {true, {fmt::format("fireclaw {}", FIRECLAW_VERSION_STRING)}, std::nullopt});
    case Verb::StopAll: return stop_all([this, task](const Outcome& outcome) { finish(task, outcome); });
    case Verb::Say: return pass_on(task);
    case Verb::Invoke:
    case Verb::Destroy:
    case Verb::Restart:
    case Verb::Pause:
    case Verb::Resume:
    case Verb::Model:
    case Verb::Persona:
    case Verb::List:
    case Verb::Status:
    case Verb::Logs:
    case Verb::Memory:
    case Verb::Templates:
    case Verb::Snapshot:
    case Verb::Fork: return run(task);
  }
}

void Desk::run(const TaskPtr& task) {
  if (kind_of(task->command.verb) == Kind::Change) return change(task);
  const bool taken = crew_.ask([this, task](const std::stop_token& stop) -> EventLoop::Task {
    return [this, task, outcome = carry_out(agents_, task->command, stop)] { finish(task, outcome); };
  });
  if (!taken) finish(task, too_much());
}

void Desk::change(const TaskPtr& task) {
  // An agent without a name of its own has its template's; where that is called otherwise, the library's lock sees to
  // it that two changes never meet.
  const auto& agent = task->command.agent.empty() ? task->command.template_name : task->command.agent;
  task->held = begins_or_ends(task->command, agent);
  if (!task->held.empty()) supervisor_.hold(task->held);
  const auto work = [this, task](const std::stop_token& stop) -> EventLoop::Task {
    const auto began = EventLoop::Clock::now();
    auto outcome = carry_out(agents_, task->command, stop);
    return [this, task, outcome = std::move(outcome), took = EventLoop::Clock::now() - began] {
      if (outcome.done && starts(task->command.verb)) metrics_.started(took);
      finish(task, outcome);
    };
  };
  const auto dropped = [this, task] {
    finish(task, {false, {fmt::format("{} was not begun: the overseer ends", to_text(task->command))}, std::nullopt});
  };
  if (!crew_.change(agent, work, dropped)) finish(task, too_much());
}

void Desk::pass_on(const TaskPtr& task) {
  crew_.look([this, task](const std::stop_token&) -> EventLoop::Task {
    const auto& name = task->command.agent;
    try {
      const auto info = agents_.info(name);
      if (info.state == AgentState::Running) {
        return [this, task, info] { finish(task, deliver_(info, task->command.text, task->asker)); };
      }
      return [this, task, info] {
        finish(
            task,
            {false, {fmt::format("Agent \"{}\" is not running; !restart {} starts it", info.name, info.name)}, info});
      };
    } catch (const Error& problem) {
      const auto line = problem.code() == ErrorCode::NotFound
                            ? fmt::format("There is no agent \"{}\"; !list shows those there are", name)
                            : fmt::format("{} failed: {}", to_text(task->command), to_line(problem));
      return [this, task, line] { finish(task, {false, {line}, std::nullopt}); };
    }
  });
}

void Desk::stop_all(std::function<void(Outcome)> done) {
  struct Sum {
    std::size_t left = 0;
    std::vector<std::string> stopped;
    std::vector<std::string> problems;
    std::function<void(Outcome)> done;
  };
  auto sum = std::make_shared<Sum>();
  sum->done = std::move(done);
  const auto one_less = [sum] {
    if (--sum->left > 0) return;
    Outcome outcome{sum->problems.empty(), sum->problems, std::nullopt};
    std::ranges::sort(sum->stopped);
    if (!sum->stopped.empty()) {
      outcome.lines.insert(outcome.lines.begin(), fmt::format("Stopped {}", joined(sum->stopped, ", ")));
    }
    sum->done(outcome);
  };
  const auto stop_one = [this, sum, one_less](const std::string& name) {
    supervisor_.hold(name);
    const auto work = [this, sum, one_less, name](const std::stop_token&) -> EventLoop::Task {
      std::string problem;
      try {
        agents_.stop(name);
      } catch (const std::exception& failure) {
        problem = fmt::format("Could not stop \"{}\": {}", name, to_line(failure));
      }
      return [this, sum, one_less, name, problem] {
        supervisor_.release(name);
        if (problem.empty()) {
          sum->stopped.push_back(name);
        } else {
          sum->problems.push_back(problem);
        }
        one_less();
      };
    };
    const auto dropped = [this, sum, one_less, name] {
      supervisor_.release(name);
      sum->problems.push_back(fmt::format("Did not stop \"{}\": the overseer ends", name));
      one_less();
    };
    if (!crew_.change(name, work, dropped)) dropped();
  };
  crew_.look([this, sum, stop_one](const std::stop_token&) -> EventLoop::Task {
    std::vector<std::string> names;
    std::string problem;
    try {
      for (const auto& info : agents_.list()) {
        if (!info.vm.empty()) names.push_back(info.name);
      }
    } catch (const std::exception& failure) {
      problem = to_line(failure);
    }
    return [sum, stop_one, names, problem] {
      if (!problem.empty()) return sum->done({false, {problem}, std::nullopt});
      if (names.empty()) return sum->done({true, {"No agent runs"}, std::nullopt});
      sum->left = names.size();
      for (const auto& name : names) stop_one(name);
    };
  });
}

void Desk::finish(const TaskPtr& task, const Outcome& outcome) {
  loop_.cancel(std::exchange(task->timer, 0));
  if (!task->held.empty()) supervisor_.release(task->held);
  for (const auto& line : outcome.lines) say_(task->asker.reply_to, line);
  const auto took = EventLoop::Clock::now() - task->began;
  const auto* result = outcome.done ? "done" : "failed";
  const auto detail = outcome.lines.empty() ? std::string{} : outcome.lines.front();
  metrics_.command(word_of(task->command.verb), result);
  log_(LogLevel::Info, fmt::format("{}: {}: {}", task->asker.source, to_text(task->command), detail));
  write_down({task->asker.source, task->asker.account, task->asker.reply_to, to_text(task->command), result, detail,
              std::chrono::duration_cast<std::chrono::milliseconds>(took)});
}

void Desk::write_down(const AuditEntry& entry) {
  try {
    audit_.add(entry);
  } catch (const Error& problem) {
    log_(LogLevel::Error, problem.what());
  }
}

}  // namespace fireclaw::overseer
