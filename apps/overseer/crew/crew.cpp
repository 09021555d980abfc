#include "crew/crew.hpp"

#include <algorithm>
#include <utility>

namespace fireclaw::overseer {

Crew::Crew(EventLoop& loop, Size size)
    : loop_{loop}, size_{size}, change_pool_{size.changes}, question_pool_{size.questions}, look_pool_{1} {}

void Crew::run(cli::WorkerPool& pool, Work work, std::function<void(EventLoop::Task)> done) {
  pool.submit([this, work = std::move(work), done = std::move(done), stop = stop_.get_token()] {
    auto task = work(stop);
    loop_.post([task = std::move(task), done] { done(task); });
  });
}

bool Crew::change(std::vector<std::string> agents, Work work, EventLoop::Task dropped) {
  if (stop_.stop_requested() || changes_ >= size_.changes + size_.most_waiting) return false;
  ++changes_;
  const auto job = std::make_shared<Job>(Job{std::move(agents), std::move(work), std::move(dropped)});
  for (const auto& agent : job->agents) queues_[agent].push_back(job);
  begin(job);
  return true;
}

void Crew::begin(const JobPtr& job) {
  const auto is_first = [&](const std::string& agent) { return queues_.at(agent).front() == job; };
  if (job->begun || !std::ranges::all_of(job->agents, is_first)) return;
  job->begun = true;
  run(change_pool_, job->work, [this, job](const EventLoop::Task& task) { finish(job, task); });
}

void Crew::finish(const JobPtr& job, const EventLoop::Task& task) {
  --changes_;
  for (const auto& agent : job->agents) {
    const auto found = queues_.find(agent);
    found->second.pop_front();
    if (found->second.empty()) queues_.erase(found);
  }
  for (const auto& agent : job->agents) {
    if (const auto found = queues_.find(agent); found != queues_.end()) begin(JobPtr{found->second.front()});
  }
  if (task) task();
  check_idle();
}

std::vector<std::string> Crew::agents() const {
  std::vector<std::string> names;
  for (const auto& [agent, queue] : queues_) names.push_back(agent);
  return names;
}

bool Crew::ask(Work work, EventLoop::Task dropped) {
  if (stop_.stop_requested() || questions_ >= size_.questions + size_.most_waiting) return false;
  ++questions_;
  // Its turn may come too late.
  auto unless_stopped = [work = std::move(work), dropped = std::move(dropped)](const std::stop_token& stop) {
    return stop.stop_requested() ? dropped : work(stop);
  };
  run(question_pool_, std::move(unless_stopped), [this](const EventLoop::Task& task) {
    --questions_;
    if (task) task();
    check_idle();
  });
  return true;
}

void Crew::look(Work work) {
  run(look_pool_, std::move(work), [](const EventLoop::Task& task) {
    if (task) task();
  });
}

void Crew::stop() {
  stop_.request_stop();
  std::vector<JobPtr> waiting;
  for (auto& [agent, queue] : queues_) {
    std::erase_if(queue, [&](const JobPtr& job) {
      if (job->begun) return false;
      if (std::ranges::find(waiting, job) == waiting.end()) waiting.push_back(job);
      return true;
    });
  }
  std::erase_if(queues_, [](const auto& queue) { return queue.second.empty(); });
  changes_ -= waiting.size();
  for (const auto& job : waiting) {
    if (job->dropped) job->dropped();
  }
}

void Crew::when_idle(EventLoop::Task task) {
  on_idle_ = std::move(task);
  check_idle();
}

void Crew::check_idle() {
  if (changes_ == 0 && questions_ == 0 && on_idle_) loop_.post(std::exchange(on_idle_, nullptr));
}

}  // namespace fireclaw::overseer
