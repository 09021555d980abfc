#include "core/end_run.hpp"

#include <poll.h>

#include <algorithm>
#include <csignal>

#include <fmt/format.h>

#include "core/nat_network.hpp"
#include "sys/poll.hpp"
#include "sys/usage.hpp"

namespace fireclaw::core {
namespace {

constexpr std::chrono::seconds kill_limit{60};

/// False if it was gone already.
bool end_process(const sys::ProcessId& process, const std::string& run) {
  const auto ended = sys::open_pidfd(process);
  if (!ended || !sys::send_signal(process, SIGKILL)) return false;
  sys::require_fd(ended->get(), POLLIN, Deadline::after(kill_limit), fmt::format("the end of VM {}", run));
  return true;
}

}  // namespace

bool end_run(const Host::Impl& host, const state::RunRecord& record) {
  bool any = record.process && end_process(*record.process, record.id);
  // An engine works in its machine's folder from its first instruction on.
  for (const auto& process : sys::processes_in(host.runs.directory(record.id))) {
    any = end_process(process, record.id) || any;
  }
  disconnect_run(host, record);
  host.runs.remove(record.id);
  return any;
}

}  // namespace fireclaw::core
