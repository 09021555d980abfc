#include "vm/machines.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

namespace fireclaw::cli {
namespace {

/// Less of an id is more likely a name with a mistake in it.
constexpr std::size_t least_of_id = 4;

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

std::string Machines::meant_by(const std::string& word) const {
  if (word.size() < least_of_id) return word;
  std::string found;
  for (const auto& [name, vm] : all()) {
    if (name == word || vm.id == word) return word;
    if (!vm.id.starts_with(word)) continue;
    if (!found.empty()) {
      throw Error{ErrorCode::InvalidArgument,
                  fmt::format("'{}' begins the ids of several machines: {}, {}", word, found, vm.id)};
    }
    found = vm.id;
  }
  return found.empty() ? word : found;
}

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
