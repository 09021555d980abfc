#include "network_options.hpp"

#include <cstdio>

#include <fmt/format.h>

#include "common/command_line/network_word.hpp"
#include "common/text/quantities.hpp"

namespace fireclaw::cli {

void NetworkOptions::add_mode_to(CLI::App& command) {
  command
      .add_option(
          "--net,--network", mode_,
          "Network: none, nat (an address on the host's bridge, behind its firewall), services (as nat, but it "
          "reaches only the gateway's services) or user (QEMU's own; reaches all that this host reaches); default: "
          "$FIRECLAW_NET, or nat where it is possible, else none")
      ->type_name("none|user|nat|services");
}

void NetworkOptions::add_all_to(CLI::App& command) {
  add_mode_to(command);
  command
      .add_option("-p,--publish", publish_,
                  "Publish a machine's port on the host: [ADDRESS:]HOST:GUEST[/udp]; on "
                  "127.0.0.1 unless ADDRESS says otherwise (0.0.0.0: everywhere)")
      ->type_name("PORTS")
      ->allow_extra_args(false);
  command
      .add_option("--egress", egress_,
                  "What the machine may reach outside; default: internet; with --allow: allowlist; with only "
                  "--allow-http: none")
      ->type_name("internet|allowlist|none");
  command
      .add_option(
          "--allow", allow_,
          "A destination that it may reach: CIDR, address or host name (*.example.org: all below), each with or "
          "without :PORT")
      ->type_name("DESTINATION")
      ->allow_extra_args(false);
  command
      .add_option_function<std::string>(
          "--net-rate", [this](const std::string& text) { mib_per_second_ = parse_rate_mib(text); },
          "Limit for what it sends and receives together in a second with nat: MiB, or with a unit as in 50M, 1G; "
          "default: limits.network_mib_per_second in config.json, or no limit")
      ->type_name("SIZE");
  command
      .add_option(
          "--allow-http", allow_http_,
          "A web server that it may reach through the gateway's proxy: NAME (*.example.org: all below), with or "
          "without :PORT; without --egress and --allow it reaches nothing else")
      ->type_name("NAME")
      ->allow_extra_args(false);
  auto* const services =
      command.add_flag("--services", services_, "Let it use all of the gateway's services (IRC, LLM), not only names");
  command.add_flag("--no-services", no_services_, "Block all of the gateway's services, also names")
      ->excludes(services);
}

bool NetworkOptions::wants_nat() const {
  return !publish_.empty() || !egress_.empty() || !allow_.empty() || !allow_http_.empty() || mib_per_second_ != 0 ||
         services_ || no_services_;
}

void NetworkOptions::apply(VMConfig& config, const Host& host, const Context& context) {
  auto asked = mode_;
  if (asked.empty() && wants_nat() && context.default_network.empty()) asked = "nat";
  // A snapshot decides whether there can be a network at all.
  const bool snapshot_has_none =
      !config.snapshot.empty() && asked.empty() && !host.snapshots().open(config.snapshot).info().network_device;
  if (snapshot_has_none) asked = "none";
  if (asked.empty()) asked = context.default_network;
  if (asked.empty()) {
    const auto best = host.network().best_mode();
    config.network = best.mode;
    if (best.mode == NetworkMode::None) missing_ = best.reason;
  } else {
    config.network = network_mode_of(asked);
  }
  if (wants_nat() && (config.network != NetworkMode::Nat || asked == services_only)) {
    throw Error{ErrorCode::InvalidArgument,
                fmt::format("-p, --egress, --allow, --allow-http, --net-rate, --services and --no-services go with "
                            "--net nat, not {}{}",
                            asked, mode_.empty() && !snapshot_has_none ? " (FIRECLAW_NET)" : "")};
  }
  config.nat.allow = allow_;
  config.nat.allow_http = allow_http_;
  config.nat.egress = egress_of(egress_, asked, config.nat);
  config.nat.publish = publish_;
  config.nat.mib_per_second = mib_per_second_;
  config.nat.services = services_ || asked == services_only ? GatewayServices::All
                        : no_services_                      ? GatewayServices::None
                                                            : GatewayServices::Names;
}

void NetworkOptions::tell_what_is_missing() const {
  if (missing_.empty()) return;
  std::fputs(fmt::format("fireclaw: the machine has no network: {}; --net none hides this message\n", missing_).c_str(),
             stderr);
}

}  // namespace fireclaw::cli
