#include "crew.hpp"

#include <utility>
#include <vector>

namespace fireclaw::overseer {

Crew::Crew(EventLoop& loop, Size size)
    : loop_{loop}, size_{size}, change_pool_{size.changes}, question_pool_{size.questions}, look_pool_{1} {}

void Crew::run(cli::WorkerPool& pool, Work work, std::function<void(EventLoop::Task)> done) {
  pool.submit([this, work = std::move(work), done = std::move(done), stop = stop_.get_token()] {
    auto task = work(stop);
    loop_.post([task = std::move(task), done] { done(task); });
  });
}

bool Crew::change(const std::string& agent, Work work, EventLoop::Task dropped) {
  if (stop_.stop_requested() || changes_ >= size_.changes + size_.most_waiting) return false;
  ++changes_;
  auto& queue = queues_[agent];
  queue.push_back({std::move(work), std::move(dropped)});
  if (queue.size() == 1) begin(agent);
  return true;
}

void Crew::begin(const std::string& agent) {
  run(change_pool_, queues_.at(agent).front().work,
      [this, agent](const EventLoop::Task& task) { finish(agent, task); });
}

void Crew::finish(const std::string& agent, const EventLoop::Task& task) {
  const auto found = queues_.find(agent);
  found->second.pop_front();
  --changes_;
  if (found->second.empty()) {
    queues_.erase(found);
  } else {
    begin(agent);
  }
  if (task) task();
  check_idle();
}

bool Crew::ask(Work work) {
  if (stop_.stop_requested() || questions_ >= size_.questions + size_.most_waiting) return false;
  ++questions_;
  run(question_pool_, std::move(work), [this](const EventLoop::Task& task) {
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
  std::vector<Job> waiting;
  for (auto& [agent, queue] : queues_) {
    while (queue.size() > 1) {
      waiting.push_back(std::move(queue.back()));
      queue.pop_back();
    }
  }
  changes_ -= waiting.size();
  for (const auto& job : waiting) {
    if (job.dropped) job.dropped();
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
