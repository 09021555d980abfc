#include "crew/supervisor.hpp"

#include <poll.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "crew/actions.hpp"
#include "fireclaw/error.hpp"
#include "irc/text.hpp"

namespace fireclaw::overseer {
namespace {

constexpr double wait_factor = 4;
constexpr std::size_t longest_reason = 350;
/// An agent that is being started by somebody else is not watched until it has been seen to run.
constexpr std::chrono::milliseconds soon{500};

bool runs(AgentState state) { return state == AgentState::Running || state == AgentState::Paused; }

std::chrono::milliseconds to_ms(std::chrono::nanoseconds duration) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(duration);
}

}  // namespace

Supervisor::Supervisor(EventLoop& loop, Agents& agents, Crew& crew, Metrics& metrics, Supervision options,
                       std::function<void(const Report&)> report)
    : loop_{loop}, agents_{agents}, crew_{crew}, metrics_{metrics}, options_{options}, report_{std::move(report)} {}

Supervisor::~Supervisor() { end(); }

std::optional<std::vector<AgentInfo>> Supervisor::list() {
  try {
    return agents_.list();
  } catch (const std::exception&) {
    // The next look may see more; !list says what is wrong.
    return std::nullopt;
  }
}

void Supervisor::meet() {
  crew_.look([this](const std::stop_token&) -> EventLoop::Task {
    return [this, all = list()] {
      if (all) take_note(*all);
    };
  });
}

void Supervisor::begin(EventLoop::Task then) {
  ended_ = false;
  then_ = std::move(then);
  refresh();
  if (options_.survey.count() != 0) survey_timer_ = loop_.after(options_.survey, [this] { survey({}); });
}

void Supervisor::end() {
  ended_ = true;
  loop_.cancel(std::exchange(timer_, 0));
  loop_.cancel(std::exchange(survey_timer_, 0));
  for (auto& [name, agent] : agents_by_name_) {
    unwatch(agent);
    loop_.cancel(std::exchange(agent.timer, 0));
  }
}

void Supervisor::refresh() {
  if (ended_) return;
  if (std::exchange(listing_, true)) {
    again_ = true;
    return;
  }
  loop_.cancel(std::exchange(timer_, 0));
  crew_.look([this](const std::stop_token&) -> EventLoop::Task {
    return [this, all = list()] {
      listing_ = false;
      if (ended_) return;
      if (all) {
        take_note(*all);
        look_after_all();
      }
      if (const auto then = std::exchange(then_, {})) then();
      const bool more_to_come = std::ranges::find(known_, AgentState::Starting, &AgentInfo::state) != known_.end();
      timer_ = loop_.after(more_to_come ? std::min(soon, options_.refresh) : options_.refresh, [this] { refresh(); });
      if (std::exchange(again_, false)) refresh();
    };
  });
}

void Supervisor::take_note(std::vector<AgentInfo> all) {
  has_looked_ = true;
  known_ = std::move(all);
  // Those that began meanwhile stay known until the next look, which sees them.
  if (!again_) traces_ = {};
  for (const auto& info : known_) know(info);
  metrics_.agents(known_);
}

void Supervisor::know(const AgentInfo& info) {
  traces_.nicks.insert(info.nick);
  if (!info.address.empty()) traces_.addresses.insert(info.address);
}

void Supervisor::look_after_all() {
  std::vector<std::string> gone;
  for (const auto& [name, agent] : agents_by_name_) {
    if (std::ranges::find(known_, name, &AgentInfo::name) == known_.end() && agent.held == 0) gone.push_back(name);
  }
  for (const auto& name : gone) forget(name);
  for (const auto& info : known_) {
    const auto& agent = agents_by_name_[info.name];
    if (agent.held > 0 || agent.restarting) continue;
    if (runs(info.state) && agent.watching == 0) look_at(info.name);
    if (info.state == AgentState::Crashed && !agent.given_up && agent.timer == 0) look_at(info.name);
  }
}

/// One agent at a time, by name, so that a guest that does not answer costs one thread for a while and no more.
void Supervisor::survey(const std::string& after) {
  if (ended_) return;
  const auto next = std::ranges::find_if(
      known_, [&](const AgentInfo& info) { return info.name > after && info.state == AgentState::Running; });
  const bool asked = next != known_.end() && crew_.ask(
                                                 [this, name = next->name](const std::stop_token&) -> EventLoop::Task {
                                                   AgentInfo info;
                                                   try {
                                                     info = agents_.status(name);
                                                   } catch (const std::exception&) {
                                                     // It may have gone in the meantime.
                                                   }
                                                   return [this, name, info] {
                                                     if (info.name == name) metrics_.said(info);
                                                     survey(name);
                                                   };
                                                 },
                                                 {});
  if (!asked) survey_timer_ = loop_.after(options_.survey, [this] { survey({}); });
}

void Supervisor::look_at(const std::string& name) {
  crew_.look([this, name](const std::stop_token&) -> EventLoop::Task {
    try {
      auto info = agents_.info(name);
      std::shared_ptr<EndWatch> watch;
      if (runs(info.state)) {
        try {
          watch = agents_.watch(name);
        } catch (const std::exception&) {
          info = agents_.info(name);  // it has ended in between
        }
      }
      return [this, name, info, watch] { on_look(name, info, watch); };
    } catch (const std::exception&) {
      // Anything but an agent that is gone may be better when it is looked at again.
      if (!is_gone(agents_, name)) return {};
      return [this, name] { forget(name); };
    }
  });
}

void Supervisor::on_look(const std::string& name, const AgentInfo& info, std::shared_ptr<EndWatch> watch) {
  auto& agent = agents_by_name_[name];
  if (ended_ || agent.held > 0 || agent.restarting) return;
  unwatch(agent);
  if (watch) {
    // Somebody else has started it.
    if (std::exchange(agent.given_up, false)) agent.tries = 0;
    agent.watched_since = EventLoop::Clock::now();
    agent.watch = std::move(watch);
    agent.watching = loop_.watch(agent.watch->fd(), POLLIN, [this, name](short) {
      auto& ended = agents_by_name_[name];
      const bool long_life = EventLoop::Clock::now() - ended.watched_since >= options_.good_life;
      unwatch(ended);
      if (long_life) ended.tries = 0;
      look_at(name);
    });
  } else if (info.state == AgentState::Crashed && !info.detached) {
    // It ended with the process that it belonged to, or that one ends with it: who started that starts it again.
    if (std::exchange(agent.given_up, true)) return;
    metrics_.died();
    report_({fmt::format("Agent \"{}\" died: {}. It was started in the foreground, so I do not restart it", name,
                         shorten(clean_line(info.last_error), longest_reason)),
             {}});
  } else if (info.state == AgentState::Crashed) {
    on_death(name, shorten(clean_line(info.last_error), longest_reason));
  } else if (info.state == AgentState::Stopped) {
    agent.tries = 0;
  }
}

void Supervisor::on_death(const std::string& name, const std::string& why) {
  auto& agent = agents_by_name_[name];
  if (agent.timer != 0 || agent.given_up) return;
  metrics_.died();
  if (agent.tries >= options_.tries) {
    agent.given_up = true;
    return report_(
        {fmt::format("Agent \"{}\" died again: {}. It stays down; !restart {} starts it", name, why, name), {}});
  }
  const auto wait = options_.first_wait * std::pow(wait_factor, agent.tries);
  ++agent.tries;
  report_({fmt::format("Agent \"{}\" died: {}. Restarting it in {:.0f} s ({} of {})", name, why, wait.count(),
                       agent.tries, options_.tries),
           {}});
  try_later(name, wait);
}

void Supervisor::try_later(const std::string& name, std::chrono::duration<double> wait) {
  agents_by_name_[name].timer = loop_.after(std::chrono::duration_cast<EventLoop::Clock::duration>(wait), [this, name] {
    agents_by_name_[name].timer = 0;
    try_restart(name);
  });
}

void Supervisor::start_again(const std::vector<std::string>& names) {
  for (const auto& name : names) {
    agents_by_name_[name].interrupted = true;
    try_restart(name);
  }
}

void Supervisor::try_restart(const std::string& name) {
  auto& agent = agents_by_name_[name];
  agent.restarting = true;
  const auto work = [this, name, interrupted = agent.interrupted](const std::stop_token& stop) -> EventLoop::Task {
    const auto began = EventLoop::Clock::now();
    bool begun = false;
    try {
      // Somebody may have seen to it in the meantime.
      const auto state = agents_.info(name).state;
      if (state != AgentState::Crashed && !(interrupted && state == AgentState::Stopped)) {
        return [this, name] {
          agents_by_name_[name].restarting = false;
          look_at(name);
        };
      }
      begun = true;
      const auto info = agents_.restart(name, stop);
      return [this, name, info, took = EventLoop::Clock::now() - began] { on_restarted(name, info, took); };
    } catch (const std::exception& problem) {
      return [this, name, begun, gone = is_gone(agents_, name), why = to_line(problem),
              took = EventLoop::Clock::now() - began] {
        if (begun || !gone) on_not_restarted(name, why, gone, took);
        if (!gone) return;
        agents_by_name_[name].restarting = false;
        forget(name);
      };
    }
  };
  const auto dropped = [this, name] { agents_by_name_[name].restarting = false; };
  if (crew_.change({name}, work, dropped)) return;
  // Too much to do at the moment.
  agents_by_name_[name].restarting = false;
  if (!ended_) try_later(name, options_.refresh);
}

void Supervisor::on_restarted(const std::string& name, const AgentInfo& info, std::chrono::nanoseconds took) {
  agents_by_name_[name].restarting = false;
  agents_by_name_[name].interrupted = false;
  metrics_.restarted(true);
  metrics_.started(took);
  report_({started_line(info), fmt::format("restart {}", name), true, to_ms(took)});
  look_at(name);
}

void Supervisor::on_not_restarted(const std::string& name, const std::string& why, bool gone,
                                  std::chrono::nanoseconds took) {
  auto& agent = agents_by_name_[name];
  agent.restarting = false;
  metrics_.restarted(false);
  const auto tell = [&](std::string_view what_now) {
    report_({fmt::format("Agent \"{}\" could not be restarted: {}{}", name, why, what_now),
             fmt::format("restart {}", name), false, to_ms(took)});
  };
  // Somebody else sees to it, or nobody does any more.
  if (gone || ended_ || agent.held > 0) return tell("");
  if (agent.tries >= options_.tries) {
    agent.given_up = true;
    return tell(fmt::format(". It stays down; !restart {} starts it", name));
  }
  const auto wait = options_.first_wait * std::pow(wait_factor, agent.tries);
  ++agent.tries;
  tell(fmt::format(". Trying again in {:.0f} s ({} of {})", wait.count(), agent.tries, options_.tries));
  try_later(name, wait);
}

void Supervisor::hold(const std::string& name) {
  auto& agent = agents_by_name_[name];
  ++agent.held;
  agent.interrupted = false;
  agent.tries = 0;
  agent.given_up = false;
  loop_.cancel(std::exchange(agent.timer, 0));
  unwatch(agent);
}

void Supervisor::release(const std::string& name) {
  auto& agent = agents_by_name_[name];
  if (--agent.held > 0 || ended_) return;
  look_at(name);
  refresh();
}

bool Supervisor::watches(const std::string& name) const {
  const auto found = agents_by_name_.find(name);
  return found != agents_by_name_.end() && found->second.watching != 0;
}

void Supervisor::unwatch(SupervisedAgent& agent) {
  loop_.cancel(std::exchange(agent.watching, 0));
  agent.watch.reset();
}

void Supervisor::forget(const std::string& name) {
  const auto found = agents_by_name_.find(name);
  if (found == agents_by_name_.end() || found->second.held > 0 || found->second.restarting) return;
  unwatch(found->second);
  loop_.cancel(found->second.timer);
  agents_by_name_.erase(found);
}

}  // namespace fireclaw::overseer
