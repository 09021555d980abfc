#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "common/processes/worker_pool.hpp"
#include "event_loop.hpp"

namespace fireclaw::overseer {

/// Work on agents: on its own threads, a bounded number of them, so that the loop never waits. Changes of one agent
/// are made in their order; different agents are worked on side by side. Members belong to the loop's thread.
/// Destruction waits for running work; the loop must outlive it.
class Crew {
 public:
  /// Runs on a worker; must not throw. The task that it returns is called on the loop's thread.
  using Work = std::function<EventLoop::Task(std::stop_token stop)>;

  struct Size {
    /// Starts, stops and other changes at the same time.
    unsigned changes = 4;
    /// Questions to guests at the same time.
    unsigned questions = 4;
    /// Changes that may wait.
    std::size_t most_waiting = 100;
  };

  Crew(EventLoop& loop, Size size);

  /// Changes one agent, several (it waits for its turn with each), or none. False if too much waits already, or after
  /// stop(). `dropped` is called instead if it never comes to it.
  bool change(std::vector<std::string> agents, Work work, EventLoop::Task dropped);
  /// Asks a guest, which may take seconds. Likewise.
  bool ask(Work work, EventLoop::Task dropped);
  /// Reads records of the host: quick, and never queued behind other work.
  void look(Work work);

  /// Drops waiting work, and cancels running work: starts are undone.
  void stop();
  [[nodiscard]] std::stop_token stop_token() const { return stop_.get_token(); }
  /// Calls `task` once, when nothing runs or waits any more.
  void when_idle(EventLoop::Task task);
  /// Changes that run or wait.
  [[nodiscard]] std::size_t busy() const { return changes_; }
  /// The agents that are being changed, or wait for it.
  [[nodiscard]] std::vector<std::string> agents() const;
  /// Lets work begin again after stop().
  void restart() { stop_ = std::stop_source{}; }

 private:
  struct Job {
    std::vector<std::string> agents;
    Work work;
    EventLoop::Task dropped;
    bool begun = false;
  };
  using JobPtr = std::shared_ptr<Job>;

  /// Unless it has, or another one's turn comes first.
  void begin(const JobPtr& job);
  void finish(const JobPtr& job, const EventLoop::Task& task);
  void run(cli::WorkerPool& pool, Work work, std::function<void(EventLoop::Task)> done);
  void check_idle();

  EventLoop& loop_;
  Size size_;
  std::stop_source stop_;
  /// By agent. A job runs once it is the first of all its agents.
  std::map<std::string, std::deque<JobPtr>> queues_;
  std::size_t changes_ = 0;
  std::size_t questions_ = 0;
  EventLoop::Task on_idle_;
  // Last, so that no thread outlives what it uses.
  cli::WorkerPool change_pool_;
  cli::WorkerPool question_pool_;
  cli::WorkerPool look_pool_;
};

}  // namespace fireclaw::overseer
