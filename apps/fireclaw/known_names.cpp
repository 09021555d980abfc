#include "known_names.hpp"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/fireclaw.hpp"

namespace fireclaw::cli {
namespace {

void add_machines(const Host& host, std::vector<Candidate>& names) {
  for (const auto& machine : host.machines().list()) {
    names.push_back({machine.name, fmt::format("{}, {}", machine.image, to_string(machine.state))});
  }
}

/// With those that have their id only.
void add_all_machines(const Host& host, std::vector<Candidate>& names) {
  add_machines(host, names);
  const auto named = host.machines().list();
  for (const auto& machine : host.vms().list()) {
    if (std::ranges::find(named, machine.id, &MachineInfo::id) != named.end()) continue;
    names.push_back({machine.id, machine.agent.empty() ? machine.image : "agent " + machine.agent});
  }
}

void add_agents(const Host& host, std::vector<Candidate>& names) {
  for (const auto& agent : host.agents().list()) {
    names.push_back({agent.name, fmt::format("{}, {}", agent.template_name, to_string(agent.state))});
  }
}

std::vector<Candidate> names_in(const Host& host, std::string_view type) {
  std::vector<Candidate> names;
  if (type == "IMAGE") {
    for (const auto& image : host.images().list()) names.push_back({image.name, image.source});
  } else if (type == "SNAPSHOT") {
    for (const auto& one : host.snapshots().list()) {
      names.push_back({one.name, fmt::format("{}, {}", one.image, one.engine)});
    }
  } else if (type == "VM") {
    add_all_machines(host, names);
  } else if (type == "AGENT|VM") {
    add_agents(host, names);
    add_all_machines(host, names);
  } else if (type == "MACHINE") {
    add_machines(host, names);
  } else if (type == "WORKSPACE") {
    for (const auto& one : host.workspaces().list()) names.push_back({one.name, {}});
  } else if (type == "AGENT") {
    add_agents(host, names);
  } else if (type == "TEMPLATE") {
    for (const auto& from : host.agents().templates()) names.push_back({from.name, from.description});
  }
  return names;
}

}  // namespace

Names known_names(HostArguments arguments) {
  return [arguments = std::move(arguments)](std::string_view type) -> std::vector<Candidate> {
    try {
      // Opening a home folder would make it.
      if (!std::filesystem::is_directory(home_of(arguments) / "locks")) return {};
      return names_in(Host::open(host_options(arguments, [](LogLevel, std::string_view) {})), type);
    } catch (const std::exception&) {
      return {};
    }
  };
}

}  // namespace fireclaw::cli
