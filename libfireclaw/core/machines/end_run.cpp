#include "core/machines/end_run.hpp"

#include <poll.h>

#include <csignal>

#include <fmt/format.h>

#include "core/host/cgroups.hpp"
#include "core/networks/nat.hpp"
#include "sys/poll.hpp"
#include "sys/usage.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds kill_limit{60};

}  // namespace

bool end_engine(const sys::ProcessId& engine, const std::string& run) {
  const auto ended = sys::open_pidfd(engine);
  if (!ended || !sys::send_signal(engine, SIGKILL)) return false;
  sys::require_fd(ended->get(), POLLIN, Deadline::after(kill_limit), fmt::format("the end of VM {}", run));
  return true;
}

bool end_run(const Host::Impl& host, const state::RunRecord& record) {
  bool any = record.process && end_engine(*record.process, record.id);
  // An engine works in its machine's folder from its first instruction on.
  for (const auto& process : sys::processes_in(host.runs.directory(record.id))) {
    any = end_engine(process, record.id) || any;
  }
  remove_machine_cgroup(record.cgroup, host.logger);
  disconnect_run(host, record);
  host.runs.remove(record.id);
  return any;
}

}  // namespace fireclaw::core
