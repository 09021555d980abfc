#include <cstddef>
#include <cstdio>
#include <exception>
#include <latch>
#include <memory>
#include <vector>

#include <fmt/format.h>

#include "command.hpp"
#include "common/json_of.hpp"
#include "common/processes/worker_pool.hpp"
#include "common/text/style.hpp"
#include "network/rules.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

Json to_json(const NetworkInfo& info) {
  Json out = {{"usable", info.obstacles.empty()}};
  out.update(cli::to_json<NetworkInfo>(info));
  return out;
}

void print(const NetworkInfo& info) {
  std::puts(
      fmt::format("bridge    {} ({})", info.bridge, info.up ? "up" : "not up; the first machine brings it up").c_str());
  std::puts(fmt::format("subnet    {}, gateway {}", info.subnet, info.gateway).c_str());
  std::puts(
      fmt::format("services  {}", info.services.empty() ? "none" : fmt::format("{}", fmt::join(info.services, ", ")))
          .c_str());
  std::puts(
      fmt::format("names     {}", "asked of " + (info.resolver.empty() ? "this host's name servers" : info.resolver))
          .c_str());
  std::puts(fmt::format("addresses {} of {} on loan", info.leases.size(), info.capacity).c_str());
  for (const auto& obstacle : info.obstacles) {
    std::puts(fmt::format("obstacle  {}\n          fix it with: {}", obstacle.problem, obstacle.remedy).c_str());
  }
  if (info.leases.empty()) return;
  Table table{{"ADDRESS", "VM", "TAP", "HOLDER"}};
  for (const auto& lease : info.leases) {
    table.add({lease.address, lease.vm, lease.tap,
               lease.alive ? std::to_string(lease.holder_pid) : fmt::format("{} (gone)", lease.holder_pid)});
  }
  table.print();
}

int show(const Context& context) {
  const auto info = context.open_host().network().info();
  if (context.json) return print_json(to_json(info));
  print(info);
  return 0;
}

int up(const Context& context) {
  const auto host = context.open_host();
  host.network().up();
  if (context.json) print_json(to_json(host.network().info()));
  return 0;
}

/// Each waits for a guest and an engine.
constexpr unsigned ended_at_once = 8;

/// Ends the machines that have an address, in order. One that cannot be ended keeps the bridge.
void end_machines(const Host& host) {
  std::vector<VMInfo> attached = host.vms().list();
  std::erase_if(attached, [](const VMInfo& vm) { return vm.address.empty(); });
  std::latch ended{static_cast<std::ptrdiff_t>(attached.size())};
  WorkerPool workers{ended_at_once};
  for (const auto& vm : attached) {
    workers.submit([&] {
      try {
        if (vm.agent.empty()) {
          host.vms().attach(vm.id).stop();
        } else {
          host.agents().open(vm.agent).stop();
        }
      } catch (const std::exception& problem) {
        print_message("fireclaw", fmt::format("VM {}: {}", vm.id, problem.what()));
      }
      ended.count_down();
    });
  }
  ended.wait();
}

int down(bool force, const Context& context) {
  const auto host = context.open_host();
  if (force) end_machines(host);
  const bool removed = host.network().down();
  if (context.json) {
    print_json({{"removed", removed}});
  } else if (!removed) {
    std::puts("there was nothing to remove");
  }
  return 0;
}

}  // namespace

void add_network(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("network", "Show and change the network that machines with --net nat share");
  group->require_subcommand(1);

  const auto add = [&](const char* word, const char* text, const char* footer, int (*act)(const Context&)) {
    auto* command = group->add_subcommand(word, text);
    command->footer(footer);
    add_json(*command, context);
    set_action(*command, context, action, act);
  };
  add("show", "Show bridge, subnet, services and machines' addresses",
      "Examples:\n"
      "  fireclaw network show",
      show);
  add("up", "Make bridge and firewall",
      "Seldom needed: the first machine brings them up by itself.\n\n"
      "Examples:\n"
      "  fireclaw network up",
      up);
  auto* removal = group->add_subcommand("down", "Remove them; refused while machines are attached");
  removal->footer(
      "IPv4 forwarding is then as it was before. Only the network namespace of the call is changed.\n\n"
      "Examples:\n"
      "  fireclaw network down\n"
      "  fireclaw network down --force");
  const auto force = std::make_shared<bool>(false);
  removal->add_flag(
      "--force", *force,
      "First end the home folder's machines with such a network in order, also agents and those in other network "
      "namespaces");
  add_json(*removal, context);
  set_action(*removal, context, action, down, force);
  add_network_rules(*group, context, action);
  group->footer(
      "Bridge, subnet, services and name server are set in config.json, section \"network\"; see fireclaw-config(5). "
      "Machines bring the network up when they start.\n\n"
      "Examples:\n"
      "  fireclaw network show");
}

}  // namespace fireclaw::cli
