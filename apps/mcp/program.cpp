#include "program.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "common/command_line/mistakes.hpp"
#include "common/command_line/network_word.hpp"
#include "common/command_line/program.hpp"
#include "common/meaning_of.hpp"
#include "common/processes/signals.hpp"
#include "common/text/quantities.hpp"
#include "common/text/text.hpp"
#include "fireclaw/error.hpp"
#include "line_reader.hpp"
#include "pipes.hpp"
#include "server.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {
namespace {

/// As the command line of fireclaw has it.
constexpr int exit_failure = 125;

constexpr const char* program = "fireclaw-mcp";

constexpr const char* footer =
    "The client starts this program, which its configuration names. The program speaks the Model Context Protocol, "
    "versions 2024-11-05 to 2026-07-28, on standard input and output. The options here limit all that the client can "
    "ask for. A line holds one message, not a list of them as in 2025-03-26. There is nothing to subscribe to. When "
    "the client closes standard input, all machines end.\n\n"
    "In a client's configuration:\n"
    "  {\"mcpServers\": {\"fireclaw\": {\"command\": \"fireclaw\", \"args\": [\"mcp\"]}}}\n\n"
    "Exit status:\n"
    "  0    The client has closed the connection.\n"
    "  125  It could not start, or did not understand its arguments.\n\n"
    "Examples:\n"
    "  fireclaw mcp\n"
    "  fireclaw mcp --image tools --max-memory 2G --machines 4\n"
    "  fireclaw mcp --net nat --allow example.org:443";

struct Arguments {
  cli::HostArguments host;
  Policy policy;
  std::string network = "none";
  std::string egress;
  std::vector<std::string> allow;
  std::vector<std::string> allow_http;
  bool no_services = false;
  std::string memory;
  std::string max_memory;
  std::string timeout;
  std::string max_timeout;
  std::size_t max_output_kib = 0;
  std::size_t max_file_kib = 0;
  bool verbose = false;
};

void print_error(std::string_view text) {
  const auto line = fmt::format("{}: {}\n", program, cli::printable(text));
  // Nobody is left to be told if this fails.
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

void set_network(Policy& policy, const Arguments& arguments) {
  const bool services_only = arguments.network == cli::services_only;
  policy.network = cli::network_mode_of(arguments.network);
  const bool nat =
      !arguments.egress.empty() || !arguments.allow.empty() || !arguments.allow_http.empty() || arguments.no_services;
  if (nat && (policy.network != NetworkMode::Nat || services_only)) {
    throw Error{
        ErrorCode::InvalidArgument,
        fmt::format("--egress, --allow, --allow-http and --no-services go with --net nat, not {}", arguments.network)};
  }
  policy.nat.allow = arguments.allow;
  policy.nat.allow_http = arguments.allow_http;
  policy.nat.egress = cli::egress_of(arguments.egress, arguments.network, policy.nat);
  if (services_only) policy.nat.services = GatewayServices::All;
  if (arguments.no_services) policy.nat.services = GatewayServices::None;
}

Policy policy_from(const Arguments& arguments) {
  auto policy = arguments.policy;
  if (!arguments.memory.empty()) policy.memory_mib = cli::parse_memory_mib(arguments.memory);
  if (!arguments.max_memory.empty()) policy.most_memory_mib = cli::parse_memory_mib(arguments.max_memory);
  if (!arguments.timeout.empty()) policy.timeout = cli::parse_duration(arguments.timeout);
  if (!arguments.max_timeout.empty()) policy.longest_timeout = cli::parse_duration(arguments.max_timeout);
  if (policy.timeout.count() < 1) throw Error{ErrorCode::InvalidArgument, "--timeout must be longer than 0"};
  // What is usual is allowed.
  policy.most_memory_mib = std::max(policy.most_memory_mib, policy.memory_mib);
  policy.most_cpus = std::max(policy.most_cpus, policy.cpus);
  policy.longest_timeout = std::max(policy.longest_timeout, policy.timeout);
  if (arguments.max_output_kib != 0) policy.output_bytes = arguments.max_output_kib << 10;
  if (arguments.max_file_kib != 0) policy.file_bytes = arguments.max_file_kib << 10;
  set_network(policy, arguments);
  return policy;
}

void require_images(Backend& backend, const Policy& policy) {
  const auto there = backend.images();
  for (const auto& name : policy.images) {
    if (std::ranges::find(there, name, &ImageInfo::name) != there.end()) continue;
    throw Error{ErrorCode::NotFound, fmt::format("no image named '{}'; see: fireclaw image list", name)};
  }
}

/// The longest line that makes sense: a file to write, every byte of it as \u0000, and something around it.
std::size_t longest_line(const Policy& policy) { return 6 * policy.file_bytes + (std::size_t{1} << 20); }

int serve(const Arguments& arguments, const MakeBackend& make_backend, const cli::Signals& signals) {
  const auto policy = policy_from(arguments);
  std::atomic<Server*> client{nullptr};
  const auto log = [&client, shown = arguments.verbose ? LogLevel::Debug : LogLevel::Warning](
                       LogLevel level, std::string_view message) {
    if (level >= shown) print_error(message);
    if (auto* server = client.load()) server->log(level, message);
  };
  const auto backend = make_backend(arguments.host, log);
  require_images(*backend, policy);
  Machines machines{*backend, policy};
  Snapshots snapshots{*backend, machines, policy};
  snapshots.remove_leftovers();
  const auto tools = make_tools({*backend, machines, snapshots, policy});

  Pipes pipes{signals.token()};
  Server server{tools, policy, [&pipes](const Json& message) { pipes.write_line(to_line(message)); }};
  client = &server;
  LineReader reader{longest_line(policy)};
  for (auto bytes = pipes.read(); !bytes.empty(); bytes = pipes.read()) {
    for (const auto& line : reader.feed(bytes)) {
      if (line.too_long) {
        server.handle_too_long();
      } else {
        server.handle(line.text);
      }
    }
  }
  // Workers that are busy are asked to stop, and then have no machine to wait for.
  client = nullptr;
  server.cancel_all();
  pipes.end();
  machines.shut_down();
  return 0;
}

void add_network_options(CLI::App& app, Arguments& arguments) {
  constexpr const char* group = "What machines reach";
  app.add_option("--net", arguments.network,
                 "Network: none, nat (an address on the host's bridge, behind its firewall), services (as nat, but it "
                 "reaches only the gateway's services) or user (QEMU's own; reaches all that this host reaches)")
      ->type_name("none|user|nat|services")
      ->capture_default_str()
      ->group(group);
  app.add_option("--egress", arguments.egress,
                 "With nat, what machines may reach outside; default: internet; with --allow: allowlist; with only "
                 "--allow-http: none")
      ->type_name("internet|allowlist|none")
      ->group(group);
  app.add_option("--allow", arguments.allow,
                 "A destination that they may reach: CIDR, address or host name, each "
                 "with or without :PORT")
      ->type_name("DESTINATION")
      ->allow_extra_args(false)
      ->group(group);
  app.add_option("--allow-http", arguments.allow_http,
                 "A web server that they may reach through the gateway's proxy: NAME (*.example.org: all below), with "
                 "or without :PORT")
      ->type_name("NAME")
      ->allow_extra_args(false)
      ->group(group);
  app.add_flag("--no-services", arguments.no_services, "Let machines not use the gateway's name server")->group(group);
}

void add_limits(CLI::App& app, Arguments& arguments) {
  auto& policy = arguments.policy;
  const auto add = [&](const char* name, auto& value, const char* type, const std::string& text) {
    return app.add_option(name, value, text)->type_name(type)->group("Limits");
  };
  const auto add_number = [&](const char* name, auto& value, const std::string& text, int least, int most) {
    return add(name, value, "NUMBER", text)->check(CLI::Range(least, most).description(""));
  };
  const auto add_cpus = [&](const char* name, auto& value, const std::string& text) {
    constexpr auto range = description_of<VMConfig>("cpus");
    static_assert(range.least <= range.most);
    add_number(name, value, text, static_cast<int>(range.least), static_cast<int>(range.most))->capture_default_str();
  };
  add_number("--machines", policy.machines, "Machines at once, 1 to 1024", 1, 1024)->capture_default_str();
  add_cpus("--cpus", policy.cpus, "For each machine: " + cli::meaning_of<VMConfig>("cpus"));
  add_cpus("--max-cpus", policy.most_cpus, "The most that a client can ask for");
  add("--memory", arguments.memory, "SIZE", "Memory of a machine; default: 128M");
  add("--max-memory", arguments.max_memory, "SIZE", "The most that a client can ask for; default: 1G");
  add_number("--snapshots", policy.snapshots, "Snapshots at once, 0 to 1024", 0, 1024)->capture_default_str();
  add_number("--calls", policy.calls, "Calls at once, 1 to 256", 1, 256)->capture_default_str();
  add("--timeout", arguments.timeout, "TIME", "End a command after this long; default: 60s");
  add("--max-timeout", arguments.max_timeout, "TIME", "The most that a client can ask for; default: 10m");
  add("--max-output", arguments.max_output_kib, "KIB",
      "The most of each output stream of a command, up to 65536; "
      "default: 64")
      ->check(CLI::Range(1, 65536).description(""));
  add("--max-file", arguments.max_file_kib, "KIB",
      "The most of a file to read or write at once, up to 65536; "
      "default: 1024")
      ->check(CLI::Range(1, 65536).description(""));
}

int parse_and_serve(int argc, char** argv, const MakeBackend& make_backend, const cli::Signals& signals) {
  Arguments arguments;
  CLI::App app{"Serve machines to an LLM's client, by the Model Context Protocol", "fireclaw mcp"};
  cli::add_basics(app);
  app.footer(footer);
  cli::add_host_arguments(app, arguments.host);
  app.add_option("--image", arguments.policy.images,
                 "An image that clients may use; the first is the default. Without this option: all images, busybox "
                 "by default")
      ->type_name("IMAGE")
      ->allow_extra_args(false);
  add_network_options(app, arguments);
  add_limits(app, arguments);
  app.add_flag("-v,--verbose", arguments.verbose, "Show all that is logged, on standard error");
  const auto pages = [&]() -> std::vector<cli::PageOf> {
    return {{&app, {program, {}, {"fireclaw(1)", "fireclaw-config(5)"}}}};
  };
  if (cli::answer_script(app, argc, argv, {}, pages)) return 0;
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) return app.exit(problem);
    throw Error{ErrorCode::InvalidArgument, cli::explain(app, problem)};
  }
  return serve(arguments, make_backend, signals);
}

}  // namespace

int run_program(int argc, char** argv, const MakeBackend& make_backend) {
  const cli::Signals signals;
  try {
    return parse_and_serve(argc, argv, make_backend, signals);
  } catch (const std::exception& problem) {
    print_error(problem.what());
  }
  return exit_failure;
}

}  // namespace fireclaw::mcp
