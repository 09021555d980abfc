#include <cstdio>
#include <memory>

#include <fmt/format.h>

#include "command.hpp"
#include "output.hpp"

namespace fireclaw::cli {
namespace {

Json to_json(const NetworkInfo& info) {
  Json obstacles = Json::array();
  for (const auto& obstacle : info.obstacles) {
    obstacles.push_back({{"problem", obstacle.problem}, {"remedy", obstacle.remedy}});
  }
  Json leases = Json::array();
  for (const auto& lease : info.leases) {
    leases.push_back({{"address", lease.address},
                      {"mac", lease.mac},
                      {"tap", lease.tap},
                      {"vm", lease.vm},
                      {"holder_pid", lease.holder_pid},
                      {"alive", lease.alive}});
  }
  return {{"usable", info.obstacles.empty()},
          {"obstacles", obstacles},
          {"up", info.up},
          {"bridge", info.bridge},
          {"subnet", info.subnet},
          {"gateway", info.gateway},
          {"resolver", info.resolver},
          {"services", info.services},
          {"capacity", info.capacity},
          {"leases", leases}};
}

void print(const NetworkInfo& info) {
  std::puts(
      fmt::format("bridge    {} ({})", info.bridge, info.up ? "up" : "not up; the first machine brings it up").c_str());
  std::puts(fmt::format("subnet    {}, gateway {}", info.subnet, info.gateway).c_str());
  std::puts(
      fmt::format("services  {}", info.services.empty() ? "none" : fmt::format("{}", fmt::join(info.services, ", ")))
          .c_str());
  std::puts(fmt::format("names     {}", info.resolver.empty() ? "no name server is known that machines could ask"
                                                              : "asked of " + info.resolver)
                .c_str());
  std::puts(fmt::format("addresses {} of {} on loan", info.leases.size(), info.capacity).c_str());
  for (const auto& obstacle : info.obstacles) {
    std::puts(fmt::format("obstacle  {}\n          mend it with: {}", obstacle.problem, obstacle.remedy).c_str());
  }
  if (info.leases.empty()) return;
  Table table{{"ADDRESS", "VM", "TAP", "HOLDER"}};
  for (const auto& lease : info.leases) {
    table.add({lease.address, lease.vm, lease.tap,
               lease.alive ? std::to_string(lease.holder_pid) : fmt::format("{} (gone)", lease.holder_pid)});
  }
  table.print();
}

int show(bool json, const Context& context) {
  const auto info = Network::info(context.open_host());
  if (json) {
    print_json(to_json(info));
  } else {
    print(info);
  }
  return 0;
}

}  // namespace

void add_network(CLI::App& app, Context& context, Action& action) {
  auto* group = app.add_subcommand("network", "Show, make and remove what machines with --net nat share");
  group->require_subcommand(1);
  group->footer(
      "Bridge, subnet, services and name server are set in config.json, section \"network\". Machines bring the "
      "network\n"
      "up when they start.");

  auto json = std::make_shared<bool>(false);
  auto* show_command = group->add_subcommand("show", "Show bridge, subnet, services and who has which address");
  show_command->add_flag("--json", *json, "Print JSON");
  show_command->callback([json, &context, &action] { action = [json, &context] { return show(*json, context); }; });

  auto* up_command = group->add_subcommand("up", "Make bridge and firewall");
  up_command->callback([&context, &action] {
    action = [&context] {
      Network::up(context.open_host());
      return 0;
    };
  });

  auto* down_command = group->add_subcommand("down", "Remove them; refused while machines are attached");
  down_command->callback([&context, &action] {
    action = [&context] {
      if (!Network::down(context.open_host())) std::puts("there was nothing to remove");
      return 0;
    };
  });
}

}  // namespace fireclaw::cli
