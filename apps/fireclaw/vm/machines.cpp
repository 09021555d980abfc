#include "vm/machines.hpp"

#include <algorithm>
#include <utility>

namespace fireclaw::cli {
namespace {

VMInfo to_vm(const MachineInfo& machine) {
  VMInfo info;
  info.id = machine.id;
  info.state = machine.state;
  info.image = machine.image;
  info.engine = machine.engine;
  info.cpus = machine.cpus;
  info.memory_mib = machine.memory_mib;
  info.network = machine.network;
  info.address = machine.address;
  info.hostname = machine.hostname;
  info.snapshot = machine.snapshot;
  info.detached = true;
  info.workspace = machine.workspace;
  info.engine_pid = machine.engine_pid;
  info.created = machine.created;
  return info;
}

}  // namespace

std::string Machines::name_of(const std::string& word) const {
  for (const auto& machine : manager_.list()) {
    if (machine.name == word || machine.id == word) return machine.name;
  }
  const auto running = host_.vms().list();
  if (std::ranges::find(running, word, &VMInfo::id) != running.end()) return {};
  return manager_.info(word).name;  // says what is wrong with it
}

std::vector<NamedVM> Machines::all() const {
  auto running = host_.vms().list();
  std::vector<NamedVM> machines;
  for (const auto& machine : manager_.list()) {
    const auto runs = std::ranges::find(running, machine.id, &VMInfo::id);
    machines.push_back({machine.name, runs == running.end() ? to_vm(machine) : *runs});
    if (runs != running.end()) running.erase(runs);
  }
  for (auto& one : running) machines.push_back({{}, std::move(one)});
  return machines;
}

}  // namespace fireclaw::cli
