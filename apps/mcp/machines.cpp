#include "machines.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "fireclaw/error.hpp"

namespace fireclaw::mcp {
namespace {

Error no_machine(const std::string& name) {
  return Error{ErrorCode::NotFound, fmt::format("no machine named '{}'; see list_machines", name)};
}

}  // namespace

/// A machine, and its place among those that may be at once, which is free again once the machine has ended.
class Machines::Place {
 public:
  explicit Place(Machines& machines) : machines_{machines} {
    const std::scoped_lock lock{machines_.mutex_};
    if (machines_.ended_) throw Error{ErrorCode::Cancelled, "the server is ending"};
    if (machines_.taken_ >= machines_.policy_.machines) {
      throw Error{
          ErrorCode::InvalidState,
          fmt::format("there are {} machines, which is the limit; remove one with remove_machine, or wait for a "
                      "command to end",
                      machines_.taken_)};
    }
    ++machines_.taken_;
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    machine.reset();
    const std::scoped_lock lock{machines_.mutex_};
    --machines_.taken_;
  }

  std::unique_ptr<ExplainedMachine> machine;

 private:
  Machines& machines_;
};

void Machines::check_image(const VMConfig& config) const {
  // A snapshot decides over the image.
  if (policy_.images.empty() || !config.snapshot.empty()) return;
  if (std::ranges::find(policy_.images, config.image) == policy_.images.end()) {
    throw Error{ErrorCode::PermissionDenied,
                fmt::format("image '{}' may not be used here; see list_images", config.image)};
  }
}

std::shared_ptr<ExplainedMachine> Machines::start(VMConfig config, const std::stop_token& stop) {
  if (config.image.empty()) config.image = policy_.default_image();
  check_image(config);
  const auto place = std::make_shared<Place>(*this);
  place->machine = std::make_unique<ExplainedMachine>(backend_.start(config, stop));
  std::shared_ptr<ExplainedMachine> machine{place, place->machine.get()};

  const std::scoped_lock lock{mutex_};
  std::erase_if(all_, [](const auto& other) { return other.expired(); });
  all_.push_back(machine);
  if (!ended_) return machine;
  machine->kill();
  throw Error{ErrorCode::Cancelled, "the server is ending"};
}

std::shared_ptr<Machine> Machines::borrow(VMConfig config, const std::stop_token& stop) {
  return start(std::move(config), stop);
}

std::string Machines::unused_name() const {
  for (std::size_t number = 1;; ++number) {
    auto name = fmt::format("machine-{}", number);
    if (!named_.contains(name)) return name;
  }
}

std::string Machines::reserve(const std::string& wished) {
  const std::scoped_lock lock{mutex_};
  auto name = wished.empty() ? unused_name() : wished;
  if (!named_.try_emplace(name).second) {
    throw Error{ErrorCode::AlreadyExists, fmt::format("there is a machine named '{}' already", name)};
  }
  return name;
}

NamedMachine Machines::create(VMConfig config, const std::stop_token& stop) {
  const auto name = config.hostname = reserve(config.hostname);
  std::shared_ptr<ExplainedMachine> machine;
  try {
    machine = start(std::move(config), stop);
  } catch (...) {
    const std::scoped_lock lock{mutex_};
    named_.erase(name);
    throw;
  }
  const std::scoped_lock lock{mutex_};
  named_[name] = machine;
  return {name, machine};
}

std::shared_ptr<Machine> Machines::find(const std::string& name) { return find_explained(name); }

std::shared_ptr<ExplainedMachine> Machines::find_explained(const std::string& name) {
  const std::scoped_lock lock{mutex_};
  const auto found = named_.find(name);
  if (found == named_.end()) throw no_machine(name);
  if (!found->second) {
    throw Error{ErrorCode::InvalidState, fmt::format("machine '{}' is still being started", name)};
  }
  return found->second;
}

void Machines::save(const std::string& name, const std::string& snapshot, const std::string& call) {
  find_explained(name)->interrupt(call, [&](Machine& machine) { machine.save(snapshot); });
}

void Machines::remove(const std::string& name) {
  const auto machine = find_explained(name);
  {
    const std::scoped_lock lock{mutex_};
    // Somebody else may have removed it meanwhile.
    const auto found = named_.find(name);
    if (found == named_.end() || found->second != machine) throw no_machine(name);
    named_.erase(found);
  }
  machine->interrupt("remove_machine", [](Machine& one) { one.kill(); });
}

std::vector<NamedMachine> Machines::list() {
  const std::scoped_lock lock{mutex_};
  std::vector<NamedMachine> list;
  for (const auto& [name, machine] : named_) {
    if (machine) list.push_back({name, machine});
  }
  return list;
}

void Machines::shut_down() {
  std::vector<std::shared_ptr<Machine>> living;
  {
    const std::scoped_lock lock{mutex_};
    ended_ = true;
    for (const auto& machine : all_) {
      if (auto alive = machine.lock()) living.push_back(std::move(alive));
    }
    for (const auto& [name, machine] : named_) {
      if (machine) living.push_back(machine);
    }
    named_.clear();
    all_.clear();
  }
  for (const auto& machine : living) machine->kill();
}

}  // namespace fireclaw::mcp
