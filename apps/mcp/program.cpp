#include "program.hpp"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <exception>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "common/quantities.hpp"
#include "common/signals.hpp"
#include "fireclaw/error.hpp"
#include "fireclaw/version.hpp"
#include "line_reader.hpp"
#include "pipes.hpp"
#include "server.hpp"
#include "tools.hpp"

namespace fireclaw::mcp {
namespace {

/// As the command line of fireclaw has it.
constexpr int exit_failure = 125;

constexpr const char* footer =
    "It speaks the Model Context Protocol, versions 2024-11-05 to 2026-07-28, on standard input and output, and is\n"
    "started by the client: name it in the client's configuration, as in\n\n"
    "  {\"mcpServers\": {\"fireclaw\": {\"command\": \"fireclaw\", \"args\": [\"mcp\"]}}}\n\n"
    "What is said here holds for whatever the client asks for. When it closes standard input, all machines end.\n\n"
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
  const auto line = fmt::format("fireclaw-mcp: {}\n", cli::printable(text));
  // Nobody is left to be told if this fails.
  if (::write(STDERR_FILENO, line.data(), line.size()) < 0) return;
}

void set_network(Policy& policy, const Arguments& arguments) {
  policy.network = network_mode_from_string(arguments.network);
  const bool nat = !arguments.egress.empty() || !arguments.allow.empty() || arguments.no_services;
  if (nat && policy.network != NetworkMode::Nat) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("--egress, --allow and --no-services go with --net nat, not {}", arguments.network)};
  }
  if (!arguments.egress.empty()) {
    policy.nat.egress = egress_from_string(arguments.egress);
  } else if (!arguments.allow.empty()) {
    policy.nat.egress = Egress::Allowlist;
  }
  policy.nat.allow = arguments.allow;
  policy.nat.services = !arguments.no_services;
}

Policy policy_from(const Arguments& arguments) {
  auto policy = arguments.policy;
  if (!arguments.memory.empty()) policy.memory_mib = cli::parse_memory_mib(arguments.memory);
  if (!arguments.max_memory.empty()) policy.most_memory_mib = cli::parse_memory_mib(arguments.max_memory);
  if (!arguments.timeout.empty()) policy.timeout = cli::parse_duration(arguments.timeout);
  if (!arguments.max_timeout.empty()) policy.longest_timeout = cli::parse_duration(arguments.max_timeout);
  if (policy.timeout.count() < 1) throw Error{ErrorCode::InvalidArgument, "--timeout must be longer than nothing"};
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
  // Whoever still works is asked to stop, and then has no machine to wait for.
  client = nullptr;
  server.cancel_all();
  pipes.end();
  machines.shut_down();
  return 0;
}

void add_network_options(CLI::App& app, Arguments& arguments) {
  auto* group = app.add_option_group("What machines reach");
  group
      ->add_option("--net", arguments.network,
                   "Network: none, user (outgoing connections, no privileges) or nat (an address on the\n"
                   "host's bridge, policed by its firewall)")
      ->type_name("MODE")
      ->capture_default_str();
  group
      ->add_option("--egress", arguments.egress,
                   "With nat, what is reached outside: internet (default), allowlist, none")
      ->type_name("POLICY");
  group->add_option("--allow", arguments.allow, "A destination: CIDR, address or host name, each with or without :PORT")
      ->type_name("DESTINATION")
      ->allow_extra_args(false);
  group->add_flag("--no-services", arguments.no_services, "Keep the gateway's services (IRC, LLM, DNS) from machines");
}

void add_limits(CLI::App& app, Arguments& arguments) {
  auto& policy = arguments.policy;
  auto* group = app.add_option_group("Limits");
  group->add_option("--machines", policy.machines, "Machines at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  group->add_option("--cpus", policy.cpus, "Virtual CPUs of a machine")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  group->add_option("--max-cpus", policy.most_cpus, "What may be asked for")
      ->check(CLI::Range(1, 32))
      ->capture_default_str();
  group->add_option("--memory", arguments.memory, "Memory of a machine; default: 128M")->type_name("SIZE");
  group->add_option("--max-memory", arguments.max_memory, "What may be asked for; default: 1G")->type_name("SIZE");
  group->add_option("--snapshots", policy.snapshots, "Snapshots at once")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  group->add_option("--calls", policy.calls, "Calls that are worked on at once")
      ->check(CLI::Range(1, 256))
      ->capture_default_str();
  group->add_option("--timeout", arguments.timeout, "End a command after this long; default: 60s")->type_name("TIME");
  group->add_option("--max-timeout", arguments.max_timeout, "What may be asked for; default: 10m")->type_name("TIME");
  group->add_option("--max-output", arguments.max_output_kib, "Of each stream of a command's output; default: 64")
      ->type_name("KIB")
      ->check(CLI::Range(1, 65536));
  group->add_option("--max-file", arguments.max_file_kib, "Of a file that is read or written at once; default: 1024")
      ->type_name("KIB")
      ->check(CLI::Range(1, 65536));
}

int parse_and_serve(int argc, char** argv, const MakeBackend& make_backend, const cli::Signals& signals) {
  Arguments arguments;
  CLI::App app{"Serve machines to an LLM's client, by the Model Context Protocol", "fireclaw mcp"};
  app.set_version_flag("--version", fmt::format("fireclaw {}", FIRECLAW_VERSION_STRING));
  app.footer(footer);
  cli::add_host_arguments(app, arguments.host);
  app.add_option(
         "--image", arguments.policy.images,
         "An image that may be used; may be repeated; the first is the default. Without: all, busybox by default")
      ->type_name("NAME")
      ->allow_extra_args(false);
  add_network_options(app, arguments);
  add_limits(app, arguments);
  app.add_flag("-v,--verbose", arguments.verbose, "Show all that is logged, on standard error");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& problem) {
    if (problem.get_exit_code() == 0) return app.exit(problem);
    throw Error{ErrorCode::InvalidArgument, fmt::format("{}; see: fireclaw mcp --help", problem.what())};
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
