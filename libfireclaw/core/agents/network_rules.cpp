#include <poll.h>

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/text.hpp"
#include "core/agents/impl.hpp"
#include "core/machines/named.hpp"
#include "core/networks/reach.hpp"
#include "fireclaw/collections.hpp"
#include "fireclaw/error.hpp"
#include "gateway/records/files.hpp"
#include "gateway/records/refusals.hpp"
#include "sys/file.hpp"
#include "sys/poll.hpp"

namespace fireclaw {
namespace {

NetworkRefusal refusal_of(gateway::RefusalLine line) {
  auto& what = line.what;
  return {line.time,
          std::move(line.machine),
          std::move(line.machine_name),
          std::move(line.agent),
          std::string{to_string(what.by)},
          std::move(what.protocol),
          std::move(what.address),
          what.port,
          std::move(what.name),
          std::move(what.rule),
          std::move(what.reason),
          line.unwritten};
}

using core::ReachChange;

/// `list` without the entry, if it is there.
void take_out(std::vector<std::string>& list, const std::string& entry) {
  try {
    list = core::changed_list(list, entry, ReachChange::Deny, {});
  } catch (const Error& problem) {
    if (problem.code() != ErrorCode::NotFound) throw;
  }
}

std::vector<std::string> change_agent(const AgentManager::Impl& agents, const std::string& name,
                                      const std::string& destination, ReachChange change) {
  const auto turn = agents.lock(name);
  auto record = agents.require(name);
  const auto from = agents.require_template(record.template_name);
  const auto whose = fmt::format("agent '{}'", name);
  auto list = core::changed_list(core::allowed_list(record, from), destination, change, whose);
  if (const auto run = agents.running(record)) {
    list = core::change_reach(*agents.host, run->id, destination, change, whose);
  }
  auto& here = change == ReachChange::Allow ? record.allowed : record.denied;
  take_out(change == ReachChange::Allow ? record.denied : record.allowed, destination);
  const auto of_template = core::template_list(record, from);
  const auto with = core::changed_list(of_template, destination, ReachChange::Allow, whose);
  // What the template says already needs no word of its own.
  const bool template_has_it = with == of_template;
  if (template_has_it == (change == ReachChange::Deny)) {
    here = core::changed_list(std::move(here), destination, ReachChange::Allow, whose);
  }
  agents.agents.put(record);
  return list;
}

std::vector<std::string> change_machine(const Host::Impl& host, const std::string& name, const std::string& destination,
                                        ReachChange change) {
  const auto turn = core::lock_machine(host, name);
  auto record = core::require_machine(host, name);
  const auto whose = fmt::format("machine '{}'", name);
  if (network_mode_from_string(record.network) != NetworkMode::Nat) {
    throw Error{ErrorCode::InvalidState,
                fmt::format("{} has no network \"nat\", so nothing can be allowed or denied", whose)};
  }
  auto list = core::changed_list(record.allow, destination, change, whose);
  if (const auto run = core::run_of_machine(host, name)) {
    core::change_reach(host, run->id, destination, change, whose);
  }
  record.allow = list;
  if (change == ReachChange::Allow && egress_from_string(record.egress) == Egress::None) {
    record.egress = to_string(Egress::Allowlist);
  }
  core::machine_store(host).put(record);
  return list;
}

std::vector<std::string> change(const Host& host, const std::string& name, const std::string& destination,
                                ReachChange change) {
  const AgentManager::Impl agents{host};
  const auto& impl = *agents.host;
  const bool is_agent = is_agent_name(name) && agents.agents.find(name);
  if (is_agent) return change_agent(agents, name, destination, change);
  if (state::is_machine_name(name) && core::machine_store(impl).find(name)) {
    return change_machine(impl, name, destination, change);
  }
  const auto run = state::is_run_id(name) ? impl.runs.find(name) : std::nullopt;
  if (!run || !state::is_running(*run)) {
    throw Error{ErrorCode::NotFound, fmt::format("no agent and no machine '{}'; see: fireclaw ps", name)};
  }
  // What is kept of it is kept under its name.
  if (!run->agent.empty()) return change_agent(agents, run->agent, destination, change);
  if (!run->machine.empty()) return change_machine(impl, run->machine, destination, change);
  return core::change_reach(impl, run->id, destination, change, fmt::format("machine {}", name));
}

}  // namespace

std::vector<std::string> core::template_list(const state::AgentRecord& record, const state::Template& from) {
  return record.services_only ? std::vector<std::string>{} : from.texts("allow");
}

std::vector<std::string> core::allowed_list(const state::AgentRecord& record, const state::Template& from) {
  auto list = template_list(record, from);
  for (const auto& entry : record.denied) take_out(list, entry);
  for (const auto& entry : record.allowed) list = changed_list(std::move(list), entry, ReachChange::Allow, {});
  return list;
}

std::vector<NetworkRefusal> Network::refusals(const std::string& name, std::size_t most) const {
  std::vector<NetworkRefusal> all;
  for (auto& line : gateway::read_refusals(gateway::refusals_file(Access::impl(host_)->layout), name, most)) {
    all.push_back(refusal_of(std::move(line)));
  }
  return all;
}

void Network::follow_refusals(const std::string& name, const std::function<void(const NetworkRefusal&)>& on_refusal,
                              std::stop_token stop) const {
  const auto file = gateway::refusals_file(Access::impl(host_)->layout);
  sys::make_directories(file.parent_path());
  gateway::RefusalTail tail{file};
  while (sys::wait_fd(tail.fd(), POLLIN, Deadline::never(), stop) == sys::WaitResult::Ready) {
    for (auto& line : tail.read()) {
      if (gateway::is_about(line, name)) on_refusal(refusal_of(std::move(line)));
    }
  }
}

std::vector<std::string> Network::allow(const std::string& name, const std::string& destination) const {
  return change(host_, name, destination, ReachChange::Allow);
}

std::vector<std::string> Network::deny(const std::string& name, const std::string& destination) const {
  return change(host_, name, destination, ReachChange::Deny);
}

}  // namespace fireclaw
